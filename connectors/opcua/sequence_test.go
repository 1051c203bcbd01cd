package opcua

import (
	"encoding/binary"
	"math"
	"testing"
)

// TestChunksFollowEachOther: a chunk that is left out, repeated or put in
// another place ends the channel (Part 6, 6.7.2).
func TestChunksFollowEachOther(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers []uint32
		wrong   int // place of the first that is refused; -1 for none
	}{
		{"in order", []uint32{51, 52, 53}, -1},
		{"one left out", []uint32{51, 52, 54}, 2},
		{"one twice", []uint32{51, 52, 52}, 2},
		{"one before its turn", []uint32{51, 53, 52}, 1},
		{"wraps as it must", []uint32{math.MaxUint32 - 1024, 1}, -1},
		{"wraps at the end", []uint32{math.MaxUint32, 0, 1}, -1},
		{"wraps too soon", []uint32{math.MaxUint32 - 2000, 1}, 1},
		{"wraps too far", []uint32{math.MaxUint32, 1024}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ch channel
			for i, n := range c.numbers {
				b := binary.LittleEndian.AppendUint32(make([]byte, 0, sequenceSize), n)
				err := ch.follow(append(b, 7, 0, 0, 0))
				if wrong := i == c.wrong; wrong != (err != nil) {
					t.Fatalf("chunk %d of %v: error %v", i, c.numbers, err)
				} else if wrong {
					return
				}
			}
		})
	}
}

package modbus

import (
	"bytes"
	"testing"

	goburrow "github.com/goburrow/modbus"
)

// fuzzFraming holds a framing against the library's decoder: what passes as the
// answer to a request is that to the library too, and has just what was asked.
func fuzzFraming(f *testing.F, fr framing) {
	s := &station{framing: fr}
	q := asked{unit: 1, function: 3, start: 8, count: 2}
	f.Add(s.right(q), byte(3), byte(2))
	f.Add(s.frame(1, 0x83, 2), byte(3), byte(2))
	f.Add(s.right(asked{1, 4, 8, 125}), byte(4), byte(125))
	f.Add(append([]byte{0}, s.right(q)...), byte(3), byte(2))
	f.Add([]byte(":0103"), byte(1), byte(16))
	f.Fuzz(func(t *testing.T, got []byte, function, count byte) {
		q := asked{unit: 1, function: function&3 + 1, start: 8, count: uint16(count) + 1}
		if !table(q.function).bits() {
			q.count = q.count%maxRegisters + 1
		}
		whole, err := fr.length(&q, got)
		if err != nil || whole == 0 || whole > len(got) {
			return
		}
		if again, err := fr.length(&q, got[:whole]); err != nil || again != whole {
			t.Fatalf("% x is %d bytes long, and then %d, %v", got, whole, again, err)
		}
		exception, err := fr.check(&q, got[:whole])
		if err != nil {
			return
		}
		p := fr.packager(q.unit)
		request, err := p.Encode(&goburrow.ProtocolDataUnit{FunctionCode: q.function, Data: []byte{0, 8, byte(q.count >> 8), byte(q.count)}})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := fr.parse(request); err != nil || back != q {
			t.Fatalf("request reads %+v, %v; want %+v", back, err, q)
		}
		if err := p.Verify(request, got[:whole]); err != nil {
			t.Fatalf("% x: %v", got[:whole], err)
		}
		pdu, err := p.Decode(got[:whole])
		if err != nil {
			t.Fatalf("% x: %v", got[:whole], err)
		}
		if exception != (pdu.FunctionCode == q.function|0x80) || !exception && (pdu.FunctionCode != q.function || len(pdu.Data) != 1+q.data()) || exception && len(pdu.Data) != 1 {
			t.Fatalf("% x passes as %+v, exception %v", got[:whole], pdu, exception)
		}
	})
}

func FuzzRTU(f *testing.F)   { fuzzFraming(f, rtu{}) }
func FuzzASCII(f *testing.F) { fuzzFraming(f, ascii{}) }

// TestPrefixes: no part of an answer is taken for a whole one.
func TestPrefixes(t *testing.T) {
	for _, fr := range []framing{rtu{}, ascii{}} {
		s := &station{framing: fr}
		q := asked{unit: 5, function: 3, start: 8, count: 3}
		for _, frame := range [][]byte{s.right(q), s.frame(5, 0x83, 2)} {
			for n := range len(frame) {
				if whole, err := fr.length(&q, frame[:n]); err != nil || whole != 0 && whole != len(frame) {
					t.Errorf("%T: %d bytes of % x are %d long, %v", fr, n, frame, whole, err)
				}
			}
			if _, err := fr.check(&q, frame); err != nil {
				t.Errorf("%T: % x: %v", fr, frame, err)
			}
			for bit := range 8 * len(frame) {
				wrong := bytes.Clone(frame)
				wrong[bit/8] ^= 1 << (bit % 8)
				if _, err := fr.check(&q, wrong); err == nil && !bytes.EqualFold(wrong, frame) {
					t.Errorf("%T: % x passes for % x", fr, wrong, frame)
				}
			}
		}
	}
}

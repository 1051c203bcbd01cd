package opcua

import (
	"bytes"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// What is prepared goes out byte for byte as the library would encode it.
func TestPreparedRequestsAreAsTheLibrarys(t *testing.T) {
	var nodes []*ua.ReadValueID
	for _, n := range []*ua.NodeID{ua.NewTwoByteNodeID(1), ua.NewFourByteNodeID(2, 3), ua.NewNumericNodeID(4, 70_000), ua.NewStringNodeID(5, "零件"), ua.NewByteStringNodeID(6, []byte{7}), ua.NewGUIDNodeID(8, "72962B91-FA75-4AE6-8D28-B404DC7DAF63")} {
		nodes = append(nodes, readValue(n))
	}
	p, err := prepare(make([]int, len(nodes)), nodes)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*ua.RequestHeader{
		{AuthenticationToken: ua.NewTwoByteNodeID(0)},
		{AuthenticationToken: ua.NewByteStringNodeID(1, []byte("a token of some length")), Timestamp: time.Date(2026, 3, 1, 8, 0, 0, 123_456_789, time.UTC), RequestHandle: 4_000_000_000, TimeoutHint: 2000},
	} {
		p.SetHeader(h)
		got, err := appendMessage([]byte("before"), p)
		if err != nil {
			t.Fatal(err)
		}
		want, err := appendMessage([]byte("before"), &ua.ReadRequest{RequestHeader: h, TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("encoded\n%x, want\n%x (%v)", got, want, err)
		}
	}
}

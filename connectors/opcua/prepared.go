package opcua

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// prepared is a request to read the same nodes again and again: they are
// encoded once, and only the header anew.
type prepared struct {
	ua.ReadRequest
	targets []int
	nodes   []byte // encoded, with all that stands between the header and them
}

func prepare(targets []int, nodes []*ua.ReadValueID) (*prepared, error) {
	p := &prepared{ReadRequest: ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes}, targets: targets}
	b, err := ua.Encode(&ua.ReadRequest{RequestHeader: &ua.RequestHeader{AuthenticationToken: ua.NewTwoByteNodeID(0)}, TimestampsToReturn: p.TimestampsToReturn, NodesToRead: nodes})
	if err != nil {
		return nil, fmt.Errorf("encode nodes to read: %w", err)
	}
	head, err := appendHeader(nil, &ua.RequestHeader{AuthenticationToken: ua.NewTwoByteNodeID(0)})
	p.nodes = b[len(head):]
	return p, err
}

// appendTo appends the request's type and content.
func (p *prepared) appendTo(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint16(append(b, 1, 0), id.ReadRequest_Encoding_DefaultBinary)
	b, err := appendHeader(b, p.RequestHeader)
	return append(b, p.nodes...), err
}

// appendHeader appends a request's header (Part 4, 7.33).
func appendHeader(b []byte, h *ua.RequestHeader) ([]byte, error) {
	token, err := h.AuthenticationToken.Encode()
	if err != nil {
		return nil, err
	}
	b = appendTime(append(b, token...), h.Timestamp)
	b = binary.LittleEndian.AppendUint32(b, h.RequestHandle)
	b = binary.LittleEndian.AppendUint32(b, h.ReturnDiagnostics)
	b = binary.LittleEndian.AppendUint32(b, 0xFFFFFFFF) // no audit entry
	b = binary.LittleEndian.AppendUint32(b, h.TimeoutHint)
	return append(b, 0, 0, 0), nil // no additional header
}

// appendTime appends a DateTime: units of 100 ns since 1601 (Part 6, 5.2.2.5).
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.LittleEndian.AppendUint64(b, 0)
	}
	return binary.LittleEndian.AppendUint64(b, uint64(t.UnixNano()/100+116444736000000000))
}

package sparkplug

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
)

// compressedUUID marks a payload whose body is another one, compressed. The
// specification has no word of it, but Eclipse Tahu and Cirrus Link's
// sparkplug-client write it.
const compressedUUID = "SPBV1.0_COMPRESSED"

// read decodes b, and what is compressed in it.
func (p *payload) read(b []byte) error {
	if err := p.decode(b); err != nil || string(p.uuid) != compressedUUID {
		return err
	}
	outer := *p
	body, err := outer.inflate()
	if err != nil {
		return err
	}
	if err := p.decode(body); err != nil {
		return fmt.Errorf("compressed %w", err)
	}
	if string(p.uuid) == compressedUUID {
		return faultAt(0, "compressed twice")
	}
	if !p.hasSeq {
		p.seq, p.hasSeq = outer.seq, outer.hasSeq
	}
	if !p.hasTime {
		p.time, p.hasTime = outer.time, outer.hasTime
	}
	return nil
}

// inflate gives the body as it was: at most as long as any payload may be.
func (p *payload) inflate() ([]byte, error) {
	algorithm := "DEFLATE"
	for i := range p.metrics {
		if m := &p.metrics[i]; string(m.name) == "algorithm" && m.field == metricFieldString {
			algorithm = strings.ToUpper(string(m.bytes))
		}
	}
	var r io.ReadCloser
	var err error
	switch algorithm {
	case "DEFLATE":
		r, err = zlib.NewReader(bytes.NewReader(p.body))
	case "GZIP":
		r, err = gzip.NewReader(bytes.NewReader(p.body))
	default:
		return nil, faultAt(0, "compressed by %.20q, want DEFLATE or GZIP", algorithm)
	}
	if err != nil {
		return nil, faultAt(0, "compressed by %s: %v", algorithm, err)
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	if err != nil {
		return nil, faultAt(0, "compressed by %s: %v", algorithm, err)
	}
	if len(body) > maxPayload {
		return nil, faultAt(0, "compressed: over %d bytes, want at most that", maxPayload)
	}
	return body, nil
}

package sparkplug

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// squeeze writes b as the body of a compressed payload.
func squeeze(t testing.TB, algorithm string, b []byte) []byte {
	t.Helper()
	var body bytes.Buffer
	var w io.WriteCloser = zlib.NewWriter(&body)
	if algorithm == "GZIP" {
		w = gzip.NewWriter(&body)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return wrap(algorithm, body.Bytes())
}

func wrap(algorithm string, body []byte) []byte {
	var out []byte
	if algorithm != "" {
		out = (&outMetric{name: "algorithm", time: 1, datatype: typeString, field: metricFieldString, text: algorithm}).append(out)
	}
	out = protowire.AppendString(append(out, payloadUUID<<3|2), compressedUUID)
	return protowire.AppendBytes(append(out, payloadBody<<3|2), body)
}

func TestCompressed(t *testing.T) {
	inner := pack(1000, 7, double("x", 5, 999, 1.5))
	for _, algorithm := range []string{"", "DEFLATE", "gzip", "GZIP"} {
		var p payload
		if err := p.read(squeeze(t, strings.ToUpper(algorithm), inner)); err != nil || p.time != 1000 || p.seq != 7 || len(p.metrics) != 1 || string(p.metrics[0].name) != "x" {
			t.Errorf("%q: %+v, %v", algorithm, p, err)
		}
	}
	// Some leave seq and time outside.
	var p payload
	if err := p.read(appendSeq(append(appendHead(nil, 4), squeeze(t, "", pack(1, -1)[2:])...), 9)); err != nil || p.time != 4 || p.seq != 9 || !p.hasSeq {
		t.Errorf("%+v, %v", p, err)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"a bomb", squeeze(t, "", make([]byte, maxPayload+1)), "payload at byte 0: compressed: over 16777216 bytes, want at most that"},
		{"twice", squeeze(t, "", squeeze(t, "", inner)), "payload at byte 0: compressed twice"},
		{"garbage inside", squeeze(t, "GZIP", []byte(`{"a":1}`)), "compressed payload at byte 1: "},
		{"no body", wrap("", nil), "payload at byte 0: compressed by DEFLATE: "},
		{"cut", wrap("GZIP", squeeze(t, "GZIP", inner)[:9]), "payload at byte 0: compressed by GZIP: "},
		{"another algorithm", wrap("LZ4", nil), `payload at byte 0: compressed by "LZ4", want DEFLATE or GZIP`},
	} {
		var p payload
		if err := p.read(c.b); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzCompressed: whatever is in a compressed payload, reading ends.
func FuzzCompressed(f *testing.F) {
	inner := pack(1000, 7, double("x", 5, 999, 1.5))
	f.Add(squeeze(f, "", inner))
	f.Add(squeeze(f, "GZIP", inner))
	f.Add(wrap("GZIP", []byte{0x1f, 0x8b}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p payload
		if err := p.read(b); err == nil && string(p.uuid) == compressedUUID {
			t.Fatal("still compressed")
		}
	})
}

// FuzzTopic: what is taken for a topic of an edge node is written as it was.
func FuzzTopic(f *testing.F) {
	f.Add("spBv1.0/a b/DDATA/g/d")
	f.Add("spBv1.0/STATE/h")
	f.Fuzz(func(t *testing.T, s string) {
		top, ok := parseTopic(s)
		if ok && (top.String() != s || top.area == "" || top.gateway == "" || top.kind.device() != (top.device != "")) {
			t.Fatalf("%q is %+v", s, top)
		}
	})
}

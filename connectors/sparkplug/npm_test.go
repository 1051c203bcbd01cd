package sparkplug

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"linetwin/plant"
)

// Another implementation reads what we write, and we read what it writes.
func TestAgainstNPM(t *testing.T) {
	folder := os.Getenv("LINETWIN_NPM_TESTS")
	if folder == "" {
		t.Skip("LINETWIN_NPM_TESTS names no folder with npm's sparkplug-payload@1.0.3 installed")
	}
	b := &plant.Batch{Sequence: 5, Complete: plant.Span{From: t0, To: t0 + plant.Millisecond}, Historical: true, Readings: theBatch(7).Readings}
	d := edgeOf(t).device("riveting", theBirth().Devices[0].Signals)
	birth := appendSeq(d.appendBirth(appendHead(nil, 1), 1, theBirth().Devices[0].Last), 3)
	data := appendSeq(appendBatch(nil, 1, d, b), 255)

	seen, own := askNPM(t, folder, birth)
	want := []string{
		"Delivery/Sequence UInt64 <nil>", "Delivery/Complete Through DateTime <nil>", "Delivery/Complete From DateTime <nil>",
		"state Int64 -3", "temperature Double <nil> Quality=0 Reason=timeout description=of the head engUnit=°C",
		"running Boolean <nil>", "product String 断路器", "never Double <nil>",
	}
	var got []string
	for _, m := range seen.Metrics {
		s := fmt.Sprint(m.Name, " ", m.Type, " ", m.Value)
		var props []string
		for k, p := range m.Properties {
			if k != propertyCounter {
				props = append(props, fmt.Sprint(k, "=", p.Value))
			}
		}
		slices.Sort(props)
		got = append(got, strings.Join(append([]string{s}, props...), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("npm reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if seen, _ := askNPM(t, folder, data); len(seen.Metrics) != 8 || fmt.Sprint(seen.Seq) != "255" {
		t.Errorf("npm reads %d metrics, seq %v", len(seen.Metrics), seen.Seq)
	}

	sink := newSink()
	g := newGateway(offline(t, sink), "assembly", "npm")
	g.take(message{kind: kindNBirth, payload: pack(1, 6, bd(0)), session: 1})
	g.take(message{kind: kindDBirth, device: "d", payload: own, session: 1})
	got = nil
	for _, r := range sink.nextBatch(t).Readings {
		got = append(got, fmt.Sprint(r.Signal, " ", r.Value.Kind(), " ", r.Value, " ", r.Quality, " ", r.Time.Milli()))
	}
	want = []string{
		"int8 integer -5 good 999", "int64 integer -9007199254740991 good 999", "uint32 integer 4294967295 good 999",
		"float float 0.5 good 999", "double float -0.1 uncertain 999", "boolean boolean true good 999", "string text 断路器 good 999",
		"date integer 1760000000000 good 999", "null none – bad 999",
	}
	if !slices.Equal(got, want) {
		t.Errorf("we read\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if s := g.host.Stats(); s.Skipped != 1 || s.Gaps != 0 {
		t.Errorf("stats %+v", s)
	}
}

type npmPayload struct {
	Seq     any
	Metrics []struct {
		Name       string
		Type       string
		Value      any
		Properties map[string]struct{ Value any }
	}
}

func askNPM(t *testing.T, folder string, b []byte) (npmPayload, []byte) {
	t.Helper()
	cmd := exec.Command("node", "testdata/peer.js", folder)
	cmd.Stdin = strings.NewReader(hex.EncodeToString(b))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var answer struct {
		Payload npmPayload
		Own     string
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	own, err := hex.DecodeString(answer.Own)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Payload, own
}

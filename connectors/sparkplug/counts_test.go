package sparkplug

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"linetwin/plant"
)

// countingNode and countingSink are a node and a sink that take counts too.
type countingNode struct {
	*testNode
	confirmed chan plant.CountConfirmation
}

func (n countingNode) Confirm(c plant.CountConfirmation) { n.confirmed <- c }

type countingSink struct {
	testSink
	reports chan plant.CountReport
}

func (s countingSink) Counts(r plant.CountReport) { s.reports <- r }

func theReport() plant.CountReport {
	return plant.CountReport{Book: "QX3", Number: 7, Span: plant.Span{From: t0, To: t0 + 60_000*plant.Millisecond},
		Counts: []plant.Count{{Machine: "riveting", Minute: t0, Made: 1 << 40, Repeated: 2, Late: 3, Dropped: 4}, {Machine: "welding", Minute: t0, Made: 1}},
		Gaps:   []plant.Gap{{Machine: "riveting", Span: plant.Span{From: t0, To: t0 + plant.Millisecond}, Readings: 4}, {Span: plant.Span{From: t0, To: t0 + plant.Millisecond}, Readings: 9}}}
}

func TestCountsRoundTrip(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		sink := countingSink{newSink(), make(chan plant.CountReport, 10)}
		node := countingNode{newNode(theBirth()), make(chan plant.CountConfirmation, 10)}
		h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, sink)
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url)}, node)
		await(t, "link", node.linked)
		sent := theReport()
		if err := e.Counts(&sent); err != nil {
			t.Fatal(err)
		}
		want := theReport()
		want.Area, want.Gateway = "assembly", "edge-1"
		if got := await(t, "report", sink.reports); !reflect.DeepEqual(got, want) {
			t.Errorf("report\n%+v\nwant\n%+v", got, want)
		}
		if err := h.Confirm(plant.CountConfirmation{Area: "assembly", Gateway: "edge-1", Book: "QX3", Number: 7}); err != nil {
			t.Fatal(err)
		}
		if got := await(t, "confirmation", node.confirmed); got != (plant.CountConfirmation{Gateway: "edge-1", Book: "QX3", Number: 7}) {
			t.Errorf("confirmation %+v", got)
		}
		if err := h.Confirm(plant.CountConfirmation{Area: "assembly", Gateway: "nobody"}); err != plant.ErrOffline {
			t.Errorf("to nobody: %v", err)
		}
		if s := h.Stats(); s.Foreign["NDATA"] != 0 {
			t.Errorf("foreign %v", s.Foreign)
		}
	})
}

func TestCountsThatAreNone(t *testing.T) {
	sink := countingSink{newSink(), make(chan plant.CountReport, 10)}
	h := offline(t, sink)
	g := newGateway(h, "assembly", "edge-1")
	g.birth.Session = "s"
	for _, text := range []string{`{`, `[]`, `{"book":"","number":1}`, `{"book":"b"}`, `{"book":"b","number":-1}`, `{"book":"b","number":1,"counts":[{"made":1}]}`,
		`{"book":"b","number":1,"from":"yesterday"}`, `{"book":"b","number":1,"gaps":[` + strings.Repeat("{},", maxCounts) + `{}]}`} {
		var p payload
		if err := p.decode(pack(1, 0, outMetric{name: metricCounts, field: metricFieldString, text: text})); err != nil {
			t.Fatal(err)
		}
		g.reports(&p)
	}
	if n := h.Stats().Foreign["NDATA"]; n != 8 || len(sink.reports) != 0 {
		t.Errorf("%d counted as foreign, %d reports taken", n, len(sink.reports))
	}
	for text, want := range map[string]string{"": "want a book", "b": "want a book", " 1": "want a book", "b -1": "want a book", "b 18446744073709551615": ""} {
		_, err := parseCounted(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzReport(f *testing.F) {
	r := theReport()
	text, _ := json.Marshal(&r)
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeCounts(b)
		if err != nil {
			return
		}
		if text, err = json.Marshal(&r); err != nil {
			t.Skip() // a time out of range
		}
		again, err := decodeCounts(text)
		if err != nil || again.Book != r.Book || again.Number != r.Number || len(again.Counts) != len(r.Counts) || len(again.Gaps) != len(r.Gaps) {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

package sqlite

import (
	"path/filepath"
	"reflect"
	"testing"

	"linetwin/plant"
)

func TestCountsOfGateways(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "ledger.db"))
	save := func(r plant.CountReport) {
		t.Helper()
		r.Area, r.Gateway = "assembly", "edge-1"
		if err := l.SaveCounts(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	first := plant.CountReport{Book: "a", Number: 1, Span: plant.Span{From: minute(0), To: minute(1)},
		Counts: []plant.Count{{Machine: "m", Minute: minute(0), Made: 5, Late: 1}, {Machine: "n", Minute: minute(0), Made: 2}},
		Gaps:   []plant.Gap{{Machine: "m", Span: plant.Span{From: minute(0), To: minute(1)}, Readings: 2}}}
	second := plant.CountReport{Book: "a", Number: 2, Span: plant.Span{From: minute(1), To: minute(2)},
		Counts: []plant.Count{{Machine: "m", Minute: minute(0), Made: 1, Repeated: 1, Dropped: 3}, {Machine: "m", Minute: minute(1), Made: 9}},
		Gaps:   []plant.Gap{{Machine: "m", Span: plant.Span{From: minute(1), To: minute(2)}, Readings: 3}, {Span: plant.Span{From: minute(1), To: minute(2)}, Readings: 4}}}
	other := plant.CountReport{Book: "b", Number: 1, Span: plant.Span{From: minute(5), To: minute(6)},
		Counts: []plant.Count{{Machine: "m", Minute: minute(5), Made: 7}}, Gaps: []plant.Gap{{Machine: "m", Span: plant.Span{From: minute(5), To: minute(6)}, Readings: 1}}}
	for _, r := range []plant.CountReport{first, first, second, first, second, other, second, other} {
		save(r)
	}
	counts, err := l.Counts(t.Context(), plant.Span{From: minute(0), To: minute(5)})
	row := func(machine string, at int, c plant.Count) plant.GatewayCount {
		c.Machine, c.Minute = machine, minute(at)
		return plant.GatewayCount{Area: "assembly", Gateway: "edge-1", Count: c}
	}
	want := []plant.GatewayCount{row("m", 0, plant.Count{Made: 6, Repeated: 1, Late: 1, Dropped: 3}), row("m", 1, plant.Count{Made: 9}), row("n", 0, plant.Count{Made: 2})}
	if err != nil || !reflect.DeepEqual(counts, want) {
		t.Errorf("counts %+v, %v\nwant %+v", counts, err, want)
	}
	counted, err := l.Counted(t.Context())
	if err != nil || !reflect.DeepEqual(counted, []plant.Counted{{Area: "assembly", Gateway: "edge-1", Span: plant.Span{From: minute(0), To: minute(6)}}}) {
		t.Errorf("counted %+v, %v", counted, err)
	}
	gap := func(machine string, from, to int, n uint64) plant.GatewayGap {
		return plant.GatewayGap{Area: "assembly", Gateway: "edge-1", Gap: plant.Gap{Machine: machine, Span: plant.Span{From: minute(from), To: minute(to)}, Readings: n}}
	}
	gaps, err := l.Gaps(t.Context(), plant.Span{})
	if err != nil || !reflect.DeepEqual(gaps, []plant.GatewayGap{gap("m", 0, 2, 5), gap("", 1, 2, 4), gap("m", 5, 6, 1)}) {
		t.Errorf("gaps %+v, %v", gaps, err)
	}
	if gaps, err = l.Gaps(t.Context(), plant.Span{From: minute(2), To: minute(5)}); err != nil || len(gaps) != 0 {
		t.Errorf("gaps between %+v, %v", gaps, err)
	}
	// Much later old counts are forgotten, gaps are not.
	later := plant.CountReport{Book: "c", Number: 1, Span: plant.Span{From: minute(7), To: minute(7).Add(countsAge)}, Counts: []plant.Count{{Machine: "m", Minute: minute(7), Made: 1}}}
	save(later)
	counts, err1 := l.Counts(t.Context(), plant.Span{From: 0, To: minute(1000)})
	gaps, err2 := l.Gaps(t.Context(), plant.Span{})
	if err1 != nil || err2 != nil || len(counts) != 1 || counts[0].Minute != minute(7) || len(gaps) != 3 {
		t.Errorf("later: %+v %+v, %v %v", counts, gaps, err1, err2)
	}
}

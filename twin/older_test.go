package twin_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
)

// revisions gives the revisions of the day's shifts, without the first of each,
// as "start number reason".
func (a *aged) revisions() []string {
	var all []string
	for _, r := range a.results() {
		if r.Number > 0 {
			all = append(all, fmt.Sprintf("%s %d %s", r.Shift.String()[11:16], r.Number, r.Reason))
		}
	}
	return all
}

// olderDone waits until nothing is left to restate of entries up to one.
func (a *aged) olderDone(id uint64) {
	a.t.Helper()
	a.eventually("all is restated", func() bool {
		a.setClock(plant.At(a.clock()).Add(5 * time.Second))
		v, ok, err := a.ledger.Value(context.Background(), "restating")
		return err == nil && ok && v == fmt.Sprintf(`{"noted":%d,"spans":[]}`, id)
	})
}

// says tells an entry of which so many older published shifts may change: one,
// or those of the day and of the time after it.
func (a *aged) says(e plant.Entry, older int) plant.Entry {
	a.t.Helper()
	e.By = "li.wei"
	if n, err := a.twin.Older(context.Background(), e); err != nil || n < older || older == 1 && n > 1 {
		a.t.Errorf("%s %s is of %d older shifts, %v; want %d", e.Kind, e.Key, n, err, older)
	}
	e, err := a.twin.Tell(context.Background(), e)
	if err != nil {
		a.t.Fatal(err)
	}
	a.olderDone(e.ID)
	return e
}

// TestEntriesOlder: an entry of a time that the twin has no memory of restates
// the shifts that it changes and no others, with itself as the reason, to what
// making them anew from history gives.
func TestEntriesOlder(t *testing.T) {
	t.Parallel()
	a := newAged(t, 17, old)
	a.heard()
	before := a.results()
	want := func(revisions ...string) {
		t.Helper()
		if got := a.revisions(); !slices.Equal(got, revisions) {
			t.Errorf("revisions:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(revisions, "\n"))
		}
		if effects := a.must(a.span, true); len(effects) != 0 {
			t.Errorf("made anew from history %s is %+v, published is %+v", effects[0].Shift, effects[0].After, effects[0].Before)
		}
	}
	// What is as it was anyway, and what nobody made.
	a.says(plant.Entry{Kind: plant.EntrySwitches, Key: "line", Value: plant.RawJSON(`{"breaks_worked": false}`)}, 3)
	a.says(plant.Entry{Kind: plant.EntryIdealCycle, Key: "C32/press", Value: plant.RawJSON(`{"cycle": "1s"}`)}, 3)
	want()
	a.says(plant.Entry{Kind: plant.EntryCount, Key: plant.AtKey("pack", begin.Add(9*time.Hour)), Value: plant.RawJSON(`{"good": 100}`)}, 1)
	want("06:00 1 entry 3 of li.wei: count pack@2026-03-02T07:00:00.000Z")
	cycle := a.says(plant.Entry{Kind: plant.EntryIdealCycle, Key: "C16/press", From: begin.Add(12 * time.Hour), Value: plant.RawJSON(`{"cycle": "1s"}`)}, 2)
	want("06:00 1 entry 3 of li.wei: count pack@2026-03-02T07:00:00.000Z", "06:00 2 entry 4 of li.wei: ideal_cycle C16/press",
		"14:00 1 entry 4 of li.wei: ideal_cycle C16/press")
	a.says(plant.Entry{Undoes: cycle.ID}, 2)
	a.says(plant.Entry{Kind: plant.EntryCount, Key: plant.AtKey("pack", begin.Add(9*time.Hour))}, 2)
	got := a.revisions()
	if want := "06:00 4 entry 6 of li.wei: count pack@2026-03-02T07:00:00.000Z"; len(got) != 6 || got[3] != want {
		t.Fatalf("%q, want %s", got, want)
	}
	last := map[plant.Time]plant.Window{}
	for _, r := range a.results() {
		last[r.Shift] = r.Window
	}
	for _, r := range before {
		if !reflect.DeepEqual(last[r.Shift], r.Window) {
			t.Errorf("all taken back, %s is %+v, was %+v", r.Shift, last[r.Shift], r.Window)
		}
	}
	a.says(plant.Entry{Kind: plant.EntryCalendar, Key: "three", Value: plant.RawJSON(`{"zone": "Asia/Shanghai", "shifts": [{"name": "long", "start": "06:00", "length": "12h"}]}`)}, 3)
	got = a.revisions()
	for i, want := range map[int]string{0: "22:00 1 entry 7 of li.wei: calendar three", 5: "06:00 5 entry 7 of li.wei: calendar three"} {
		if len(got) != 9 || got[i] != want {
			t.Errorf("%q, want %s", got, want)
		}
	}
	if effects := a.must(a.span, true); len(effects) != 0 {
		t.Errorf("then made anew: %+v", effects[0])
	}
}

// TestEntriesOlderKilled: what was said and not restated before the twin was
// killed is restated after its restart, also what the ledger has just taken.
func TestEntriesOlderKilled(t *testing.T) {
	t.Parallel()
	a := newAged(t, 18, old)
	a.heard()
	a.eventually("the ledger knows that nothing is left", func() bool {
		_, ok, err := a.ledger.Value(context.Background(), "restating")
		return err == nil && ok
	})
	a.close()
	l, err := sqlite.OpenLedger(context.Background(), a.dir+"/ledger.db")
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.AddEntry(context.Background(), plant.Entry{By: "li.wei", Why: "measured", Kind: plant.EntryIdealCycle, Key: "C16/press", From: begin.Add(8 * time.Hour), Value: plant.RawJSON(`{"cycle": "1s"}`)})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	a.start()
	a.olderDone(1)
	if got := a.revisions(); len(got) != 2 || got[1] != "14:00 1 entry 1 of li.wei: ideal_cycle C16/press: measured" {
		t.Errorf("%q", got)
	}
}

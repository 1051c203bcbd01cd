package twin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// What was said of calendars and ideal cycles stands beside the settings, by
// the time from which it holds; what was taken back is gone.
func TestPlans(t *testing.T) {
	r := newRig(t)
	r.eventually("the ledger's entries are read", func() bool {
		_, err := r.twin.Preview(context.Background(), plant.Entry{Kind: plant.EntryCalendar, Key: "three", By: "li.wei"})
		return err == nil
	})
	tell := func(e plant.Entry) plant.Entry {
		t.Helper()
		e.By = "li.wei"
		kept, err := r.twin.Tell(context.Background(), e)
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	later, earlier := begin.Add(48*time.Hour), begin.Add(24*time.Hour)
	cycle := func(from plant.Time, value string) uint64 {
		return tell(plant.Entry{Kind: plant.EntryIdealCycle, Key: "C16/press", From: from, Value: plant.RawJSON(value)}).ID
	}
	last, first := cycle(later, ""), cycle(earlier, `{"cycle":"1.5s"}`)
	tell(plant.Entry{Undoes: cycle(begin, `{"cycle":"9s"}`)})

	var got []string
	for _, p := range r.twin.Products() {
		for _, v := range p.Cycles {
			if v.Entry != 0 {
				got = append(got, fmt.Sprintf("%s/%s %s %d %v", p.ID, v.Machine, v.From, v.Entry, v.Cycle))
			}
		}
	}
	want := []string{fmt.Sprintf("C16/press %s %d 1.5s", earlier, first), fmt.Sprintf("C16/press %s %d <nil>", later, last)}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("cycles that were said:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	plans, err := r.twin.Calendars()
	if err != nil || len(plans) == 0 || len(plans[0].Versions) != 1 {
		t.Fatalf("calendars %+v, %v", plans, err)
	}
	own := plans[0].Versions[0].Calendar
	changed := strings.Replace(string(own), `"shifts":[`, `"except":["2026-05-01"],"shifts":[`, 1)
	name := plans[0].ID
	tell(plant.Entry{Kind: plant.EntryCalendar, Key: name, From: later})
	tell(plant.Entry{Kind: plant.EntryCalendar, Key: name, From: earlier, Value: plant.RawJSON(changed)})
	plans, err = r.twin.Calendars()
	if err != nil {
		t.Fatal(err)
	}
	v := plans[0].Versions
	if len(v) != 3 || string(v[1].Calendar) != changed || v[1].From != earlier || string(v[2].Calendar) != string(own) || len(plans[0].Lines) == 0 {
		t.Errorf("versions of %s: %+v", name, v)
	}
}

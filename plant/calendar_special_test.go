package plant

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// names gives the shifts that start on some dates, as "date name hours".
func shiftsOf(t *testing.T, c Calendar, from, to string) []string {
	t.Helper()
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) Time {
		d, err := time.ParseInLocation(time.DateOnly, s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return At(d)
	}
	s, err := c.Compile()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range s.Between(Span{at(from), at(to)}) {
		if in.From >= at(from) {
			got = append(got, in.Day[5:]+" "+in.Name+" "+in.Length().String())
		}
	}
	return got
}

func TestRotation(t *testing.T) {
	c := Calendar{
		Zone: "Asia/Shanghai", Days: []string{"mon", "sat"},
		Shifts:   []Shift{{Name: "early", Start: "06:00", Length: 8 * time.Hour}, {Name: "late", Start: "10:00", Length: 8 * time.Hour}, {Name: "night", Start: "22:00", Length: 8 * time.Hour}},
		Rotation: &Rotation{Start: "2026-01-07", Weeks: [][]string{{"early", "night"}, {"late"}, {}}},
		Except:   []string{"2026-01-31"},
		Overtime: []Overtime{{Date: "2026-01-31", Name: "extra", Start: "09:00", Length: 4 * time.Hour, Breaks: []Break{{"10:00", 15 * time.Minute}}}, {Date: "2026-01-26", Name: "second", Start: "15:00", Length: time.Hour}},
	}
	got := shiftsOf(t, c, "2025-12-22", "2026-02-02")
	want := []string{
		// 22 December is two weeks, 29 December one week before the first.
		"12-22 late 8h0m0s", "12-27 late 8h0m0s",
		"01-05 early 8h0m0s", "01-05 night 8h0m0s", "01-10 early 8h0m0s", "01-10 night 8h0m0s",
		"01-12 late 8h0m0s", "01-17 late 8h0m0s",
		"01-26 early 8h0m0s", "01-26 second 1h0m0s", "01-26 night 8h0m0s", "01-31 extra 4h0m0s",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	b, err := json.Marshal(c)
	var again Calendar
	if err == nil {
		err = json.Unmarshal(b, &again)
	}
	if err != nil || !reflect.DeepEqual(c, again) {
		t.Errorf("%s gives %+v, %v", b, again, err)
	}
}

func TestSpecialDaysAreChecked(t *testing.T) {
	base := func() Calendar {
		return Calendar{Zone: "Asia/Shanghai", Shifts: []Shift{{Name: "early", Start: "06:00", Length: 8 * time.Hour}, {Name: "night", Start: "22:00", Length: 8 * time.Hour}}}
	}
	for _, c := range []struct {
		name   string
		change func(c *Calendar)
		want   string
	}{
		{"right", func(c *Calendar) { c.Rotation = &Rotation{"2026-01-05", [][]string{{"early"}, {"night"}}} }, ""},
		{"no date", func(c *Calendar) { c.Rotation = &Rotation{"5 January", [][]string{{"early"}}} }, `rotation.start: found "5 January", allowed: a date such as 2026-01-02`},
		{"no weeks", func(c *Calendar) { c.Rotation = &Rotation{Start: "2026-01-05"} }, "rotation.weeks: missing"},
		{"other shift", func(c *Calendar) { c.Rotation = &Rotation{"2026-01-05", [][]string{{"early", "late"}}} }, `rotation.weeks[0][1]: found "late"`},
		{"twice", func(c *Calendar) { c.Rotation = &Rotation{"2026-01-05", [][]string{{"early", "early"}}} }, `rotation.weeks[0][1]: found "early"`},
		{"overlap in one week", func(c *Calendar) {
			c.Shifts = append(c.Shifts, Shift{Name: "long", Start: "12:00", Length: 12 * time.Hour})
			c.Rotation = &Rotation{"2026-01-05", [][]string{{"early"}, {"early", "long"}}}
		}, `rotation.weeks: found "long", which overlaps "early" in week 2`},
		{"overlap over the end of the cycle", func(c *Calendar) {
			c.Shifts = []Shift{{Name: "early", Start: "04:00", Length: 8 * time.Hour}, {Name: "night", Start: "22:00", Length: 8 * time.Hour}}
			c.Rotation = &Rotation{"2026-01-05", [][]string{{"early"}, {"night"}}}
		}, `rotation.weeks: found "early", which overlaps "night" in week 1`},
		{"overtime on no date", func(c *Calendar) { c.Overtime = []Overtime{{Name: "x", Start: "15:00", Length: time.Hour}} }, "overtime[0].date: missing"},
		{"overtime overlaps", func(c *Calendar) {
			c.Overtime = []Overtime{{Date: "2026-01-05", Name: "x", Start: "05:00", Length: 2 * time.Hour}}
		}, `overtime[0]: found "x", which overlaps "night"`},
		{"overtime too long", func(c *Calendar) {
			c.Overtime = []Overtime{{Date: "2026-01-05", Name: "x", Start: "15:00", Length: 25 * time.Hour}}
		}, "overtime[0].length: found 25h0m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cal := base()
			c.change(&cal)
			got := ""
			if faults := cal.Check(); len(faults) > 0 {
				got = faults[0].String()
			}
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

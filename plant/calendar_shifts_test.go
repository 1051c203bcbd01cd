package plant

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func twoShifts() Calendar {
	return Calendar{
		Zone: "Europe/Prague",
		Shifts: []Shift{
			{Name: "night", Start: "22:00", Length: 8 * time.Hour, Breaks: []Break{{Start: "02:30", Length: 30 * time.Minute}}},
			{Name: "day", Start: "06:00", Length: 8 * time.Hour, Breaks: []Break{{Start: "09:00", Length: 15 * time.Minute}, {Start: "12:00", Length: 30 * time.Minute}}},
		},
		Days: []string{"mon", "tue", "wed", "thu", "fri", "sat"},
	}
}

func instant(t testing.TB, s string) Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return At(at)
}

func TestCalendarBetween(t *testing.T) {
	c := twoShifts()
	c.Except = []string{"2025-01-08"}
	span := Span{instant(t, "2025-01-06T00:00:00+01:00"), instant(t, "2025-01-09T07:00:00+01:00")}
	all, err := c.Between(span)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, in := range all {
		got = append(got, in.Day+" "+in.Name+" "+in.From.Std().Format("02T15")+"-"+in.To.Std().Format("02T15"))
	}
	want := []string{ // the Monday is after a Sunday without shifts, the 8th is a holiday
		"2025-01-06 day 06T05-06T13", "2025-01-06 night 06T21-07T05",
		"2025-01-07 day 07T05-07T13", "2025-01-07 night 07T21-08T05",
		"2025-01-09 day 09T05-09T13",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if b := all[0].Breaks; len(b) != 2 || b[1] != (Span{instant(t, "2025-01-06T12:00:00+01:00"), instant(t, "2025-01-06T12:30:00+01:00")}) {
		t.Errorf("breaks %v", b)
	}
	if one, _ := c.Between(Span{instant(t, "2025-01-06T23:00:00+01:00"), instant(t, "2025-01-06T23:00:01+01:00")}); len(one) != 1 || one[0].Name != "night" {
		t.Errorf("inside a shift: %v", one)
	}
	if none, _ := c.Between(Span{span.From, span.From}); len(none) != 0 {
		t.Errorf("an empty span has %v", none)
	}
}

func TestBreaksWhenClocksChange(t *testing.T) {
	c := twoShifts()
	for _, x := range []struct{ day, from string }{
		{"2025-03-29", "2025-03-30T03:00:00+02:00"}, // 02:30 does not exist: at the change
		{"2025-10-25", "2025-10-26T02:30:00+02:00"}, // 02:30 comes twice: the first
	} {
		all, err := c.Between(Span{instant(t, x.day+"T22:00:00Z"), instant(t, x.day+"T23:00:00Z")})
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		want := Span{instant(t, x.from), instant(t, x.from).Add(30 * time.Minute)}
		if b := all[0].Breaks; len(b) != 1 || b[0] != want {
			t.Errorf("break in the night of %s: %v, want %v", x.day, b, want)
		}
	}
}

func TestCalendarCheck(t *testing.T) {
	c := Calendar{
		Zone: "Mars/Base",
		Shifts: []Shift{
			{Name: "", Start: "25:00", Length: 25 * time.Hour},
			{Name: "a", Start: "6:00", Length: time.Hour},
			{Name: "b", Start: "06:00", Length: time.Hour, Breaks: []Break{{"05:30", time.Minute}, {"06:30", time.Hour}, {"x", time.Minute}}},
			{Name: "c", Start: "08:00", Length: 4 * time.Hour, Breaks: []Break{{"10:00", time.Hour}, {"10:30", time.Hour}}},
		},
		Days:   []string{"mon", "monday", "mon"},
		Except: []string{"24.12.2025"},
	}
	var got []string
	for _, f := range c.Check() {
		got = append(got, f.Key)
	}
	want := []string{
		"zone", "days[1]", "days[2]", "except[0]", "shifts[0].name", "shifts[0].start", "shifts[0].length", "shifts[1].start",
		"shifts[2].breaks[0]", "shifts[2].breaks[1]", "shifts[2].breaks[2].start", "shifts[3].breaks[1]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults at\n%v, want\n%v", got, want)
	}
	if _, err := c.Between(Span{1, 2}); err == nil {
		t.Error("a wrong calendar gives shifts")
	}
	if f := (&Calendar{}).Check(); len(f) != 2 || f[0].Key != "zone" || f[1].Key != "shifts" {
		t.Errorf("of an empty calendar: %v", f)
	}
	for _, x := range []struct {
		name   string
		shifts []Shift
		days   []string
		want   int
	}{
		{"side by side", []Shift{{Name: "a", Start: "06:00", Length: 12 * time.Hour}, {Name: "b", Start: "18:00", Length: 12 * time.Hour}}, nil, 0},
		{"over midnight into the next", []Shift{{Name: "a", Start: "06:00", Length: 12 * time.Hour}, {Name: "b", Start: "18:00", Length: 13 * time.Hour}}, nil, 1},
		{"next day is off", []Shift{{Name: "a", Start: "06:00", Length: 12 * time.Hour}, {Name: "b", Start: "18:00", Length: 13 * time.Hour}}, []string{"sun"}, 0},
		{"sunday night into monday", []Shift{{Name: "a", Start: "06:00", Length: 12 * time.Hour}, {Name: "b", Start: "18:00", Length: 13 * time.Hour}}, []string{"mon", "sun"}, 1},
		{"a whole day", []Shift{{Name: "a", Start: "06:00", Length: 24 * time.Hour}}, nil, 0},
		{"the same twice", []Shift{{Name: "a", Start: "06:00", Length: time.Hour}, {Name: "b", Start: "06:00", Length: time.Hour}}, nil, 1},
	} {
		if f := (&Calendar{Zone: "UTC", Shifts: x.shifts, Days: x.days}).Check(); len(f) != x.want {
			t.Errorf("%s: %v, want %d faults", x.name, f, x.want)
		}
	}
}

// TestScheduleProperties: a calendar of shifts around the clock covers every
// local day once, of 23, 24 or 25 h, and what it gives does not depend on how
// it is asked.
func TestScheduleProperties(t *testing.T) {
	zones := []string{"Europe/Prague", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		start := rapid.IntRange(0, 23).Draw(t, "start")
		at := func(h int) string { return time.Date(2000, 1, 1, (start+h)%24, 0, 0, 0, time.UTC).Format("15:04") }
		c := Calendar{Zone: zone, Shifts: []Shift{
			{Name: "a", Start: at(0), Length: 7 * time.Hour}, {Name: "b", Start: at(7), Length: 9 * time.Hour}, {Name: "c", Start: at(16), Length: 8 * time.Hour},
		}}
		s, err := c.Compile()
		if err != nil {
			t.Fatal(err)
		}
		from := Time(rapid.Int64Range(0, 40*365*24).Draw(t, "hour")) * Time(time.Hour)
		span := Span{from, from.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "hours")) * time.Hour)}
		all := s.Between(span)
		covered := time.Duration(0)
		for i, in := range all {
			covered += in.Overlap(span).Length()
			if i > 0 && in.From != all[i-1].To {
				t.Fatalf("%v does not follow %v", in, all[i-1])
			}
			if l := in.Length(); l < 6*time.Hour || l > 10*time.Hour {
				t.Fatalf("%v is %v long", in, l)
			}
		}
		if covered != span.Length() {
			t.Fatalf("covers %v of %v", covered, span.Length())
		}
		middle := span.From.Add(span.Length() / 2)
		left, right := s.Between(Span{span.From, middle}), s.Between(Span{middle, span.To})
		if n := len(left); n > 0 && len(right) > 0 && left[n-1].Span == right[0].Span {
			right = right[1:]
		}
		if len(left)+len(right) != len(all) {
			t.Fatalf("%d shifts in halves, %d in all", len(left)+len(right), len(all))
		}
	})
}

func TestDaysOfChangedClocks(t *testing.T) {
	c := Calendar{Zone: "Europe/Prague", Shifts: []Shift{{Name: "all", Start: "00:00", Length: 24 * time.Hour}}}
	for day, hours := range map[string]int{"2025-03-30": 23, "2025-10-26": 25, "2025-06-01": 24} {
		if got := instanceOn(t, &c, day).Length(); got != time.Duration(hours)*time.Hour {
			t.Errorf("%s is %v long, want %d h", day, got, hours)
		}
	}
}

func BenchmarkScheduleBetween(b *testing.B) {
	c := twoShifts()
	s, err := c.Compile()
	if err != nil {
		b.Fatal(err)
	}
	from := instant(b, "2025-03-29T00:00:00Z")
	for b.Loop() {
		_ = s.Between(Span{from, from.Add(day)})
	}
}

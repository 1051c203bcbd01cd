package simulator

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// monday is an anchor for tests: 2026-03-02 00:10 in Shanghai.
func monday() int64 { return time.Date(2026, 3, 2, 0, 10, 0, 0, Zone()).UnixMilli() }

const hourMS = int64(time.Hour / time.Millisecond)

// week is one plant after a week, for tests that only look.
var week = sync.OnceValue(func() *model { return run(2, 7*dayMS) })

// run gives a plant after some time.
func run(seed uint64, length int64) *model {
	m := newModel(seed, monday(), linePlans())
	m.advance(monday() + length)
	return m
}

// fingerprint is equal for plants that are equal in all that can be seen.
func fingerprint(m *model) string {
	h := fnv.New64a()
	for _, s := range m.stations {
		fmt.Fprint(h, s.id, s.cells, s.stats, s.in.length, s.phase, s.hold, m.ledger.accounts[s.index])
	}
	return fmt.Sprintf("%x at %d", h.Sum64(), m.now)
}

func TestSameSeedSamePlant(t *testing.T) {
	one := fingerprint(run(7, 12*hourMS))
	if two := fingerprint(run(7, 12*hourMS)); two != one {
		t.Errorf("the same seed gives %s and %s", one, two)
	}
	if other := fingerprint(run(8, 12*hourMS)); other == one {
		t.Error("another seed gives the same plant")
	}
	m := newModel(7, monday(), linePlans())
	r := rand.New(rand.NewPCG(1, 2))
	for m.now < monday()+12*hourMS {
		m.advance(min(m.now+r.Int64N(20_000), monday()+12*hourMS))
	}
	if split := fingerprint(m); split != one {
		t.Errorf("advanced in steps gives %s, at once %s", split, one)
	}
}

func TestPiecesAreConserved(t *testing.T) {
	m := newModel(3, monday(), linePlans())
	for range 200 {
		m.advance(m.now + 397_123)
		for _, s := range m.stations {
			inside := int64(0)
			if s.phase == working {
				inside = 1
			}
			if s.taken != s.stats.good+s.stats.reject+inside {
				t.Fatalf("%s took %d, made %d good and %d rejects, has %d at work", s.id, s.taken, s.stats.good, s.stats.reject, inside)
			}
			if s.next == nil {
				continue
			}
			waiting := int64(s.next.in.length)
			if s.phase == done {
				waiting++
			}
			if s.stats.good != s.next.taken+waiting {
				t.Fatalf("%s made %d good, %s took %d and %d wait between them", s.id, s.stats.good, s.next.id, s.next.taken, waiting)
			}
		}
	}
	if m.stations[9].stats.good == 0 {
		t.Error("nothing was packed")
	}
}

func TestSegmentsTileTime(t *testing.T) {
	m := week()
	for _, s := range m.stations {
		a := m.ledger.accounts[s.index]
		if a.segments[0].from != m.anchor {
			t.Errorf("%s: first segment at %d, want the anchor %d", s.id, a.segments[0].from, m.anchor)
		}
		for i := 1; i < len(a.segments); i++ {
			before, g := a.segments[i-1], a.segments[i]
			if g.from <= before.from || g.state == before.state {
				t.Fatalf("%s: %v follows %v", s.id, g, before)
			}
			waits := g.state == stateStarved || g.state == stateBlocked
			if waits && before.state == stateExecute && g.from-before.from < patience {
				t.Fatalf("%s: %v only %d ms after %v", s.id, g, g.from-before.from, before)
			}
		}
		if last := a.segments[len(a.segments)-1]; last.state != s.cells[slotState].n {
			t.Errorf("%s: ledger ends in %d, the controller says %d", s.id, last.state, s.cells[slotState].n)
		}
	}
}

func TestMinutesAddUp(t *testing.T) {
	m := week()
	for _, s := range m.stations {
		var good, reject int64
		fastest := slices.Min(slices.DeleteFunc(slices.Clone(s.cycle[:]), func(ms int64) bool { return ms == 0 }))
		for _, n := range m.ledger.accounts[s.index].minutes {
			good, reject = good+int64(n.good), reject+int64(n.reject)
			if most := minuteMS/fastest + 1; int64(n.good)+int64(n.reject) > most {
				t.Fatalf("%s made %d pieces in a minute, can make %d", s.id, n.good+n.reject, most)
			}
		}
		if good != s.stats.good || reject != s.stats.reject {
			t.Errorf("%s: minutes hold %d and %d, totals %d and %d", s.id, good, reject, s.stats.good, s.stats.reject)
		}
	}
}

// shares gives how much of a span a machine was in each class by its reports.
func shares(m *model, id string) map[Class]float64 {
	sums := map[Class]float64{}
	for _, s := range m.stations {
		if s.id != id {
			continue
		}
		g := m.ledger.accounts[s.index].segments
		for i := range g {
			end := m.now
			if i+1 < len(g) {
				end = g[i+1].from
			}
			sums[classOf(g[i].state)] += float64(end-g[i].from) / float64(m.now-m.anchor)
		}
	}
	return sums
}

func TestWeekIsPlausible(t *testing.T) {
	m := week()
	for id, want := range map[string][]Class{
		"a-calibration": {ClassRun, ClassStop, ClassStarved, ClassBlocked, ClassChangeover, ClassPlannedStop},
		"b-calibration": {ClassRun, ClassStop, ClassStarved, ClassBlocked, ClassPlannedStop},
	} {
		got := shares(m, id)
		for _, c := range want {
			if got[c] == 0 {
				t.Errorf("%s was never in %s", id, c)
			}
		}
		if got[ClassRun] < .7 || got[ClassRun] > .92 {
			t.Errorf("%s ran %.0f %% of the week", id, got[ClassRun]*100)
		}
	}
	for _, s := range m.stations {
		if q := float64(s.stats.reject) / float64(s.stats.good+s.stats.reject); q < .0005 || q > .04 {
			t.Errorf("%s rejects %.2f %%", s.id, q*100)
		}
	}
}

func TestEachHourHasAStop(t *testing.T) {
	m := week()
	var stops [7 * 24]int
	for _, a := range m.ledger.accounts {
		for i := 1; i < len(a.segments); i++ {
			g := a.segments[i-1]
			if classOf(g.state) == ClassStop && g.state != stateOff && a.segments[i].from-g.from >= 15_000 {
				stops[(g.from-m.anchor)/hourMS]++
			}
		}
	}
	for h, n := range stops {
		if n == 0 {
			t.Errorf("hour %d: nothing happened", h)
		}
	}
}

func TestAllScriptsPlayInAWeek(t *testing.T) {
	m := week()
	if len(m.scripts) != len(scriptPlans()) {
		t.Fatalf("%d scripts, want %d", len(m.scripts), len(scriptPlans()))
	}
	for _, c := range m.scripts {
		if c.times < 4 {
			t.Errorf("%s at %s was played %d times", c.what, c.machine, c.times-1)
		}
	}
}

func station1(m *model, id string) *station {
	for _, s := range m.stations {
		if s.id == id {
			return s
		}
	}
	return nil
}

// logs gives mean and number of a machine's measured values, as logarithms, of
// pieces measured in [from, to).
func logs(m *model, id string, from, to int64, pick func(serial int64) bool) (mean float64, n int) {
	for _, v := range m.ledger.values {
		if v.Machine == id && v.At >= from && v.At < to && pick(v.Serial) {
			mean, n = mean+math.Log(v.Value), n+1
		}
	}
	return mean / float64(n), n
}

func TestDriftCreeps(t *testing.T) {
	m := newModel(1, monday(), linePlans())
	m.ledger.live = true
	s := station1(m, "a-calibration")
	for s.proc.driftMS == 0 {
		m.advance(m.now + 60_000)
	}
	from := s.proc.driftFrom
	lot := s.cells[slotExtra].n
	m.advance(from + s.proc.driftMS + hourMS)
	all := func(int64) bool { return true }
	before, n1 := logs(m, s.id, from-hourMS, from, all)
	last, n2 := logs(m, s.id, from+s.proc.driftMS-hourMS/2, from+s.proc.driftMS, all)
	after, n3 := logs(m, s.id, from+s.proc.driftMS, m.now, all)
	if n1 < 300 || n2 < 100 || n3 < 300 {
		t.Fatalf("too few values: %d %d %d", n1, n2, n3)
	}
	if up := (last - before) / s.measure.sigma; up < 1.5 || up > 2.7 {
		t.Errorf("at its end the lot is off by %.2f sigma, want about 2.2", up)
	}
	if back := math.Abs(after-before) / s.measure.sigma; back > .3 {
		t.Errorf("after the lot the process is off by %.2f sigma", back)
	}
	if lot != 4100+int64(s.index)+1 {
		t.Errorf("the lot is %d", lot)
	}
}

func TestCavityIsOff(t *testing.T) {
	q := quality{cavity: 7, cavityOff: 1.8, cavityUntil: 100}
	for _, c := range []struct {
		name        string
		now, cavity int64
		want        float64
	}{
		{"its pieces", 50, 7, 1.8}, {"another cavity", 50, 6, 0}, {"mended", 100, 7, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := q.shift(c.now, c.cavity); got != c.want {
				t.Errorf("off by %v, want %v", got, c.want)
			}
		})
	}
}

func TestChatterRejects(t *testing.T) {
	m := newModel(1, monday(), linePlans())
	s := station1(m, "a-dielectric")
	for s.proc.chatterUntil == 0 {
		m.advance(m.now + 1000)
	}
	began := s.stats
	m.advance(s.proc.chatterUntil)
	good, reject := s.stats.good-began.good, s.stats.reject-began.reject
	if total := good + reject; total > 50 && float64(reject)/float64(total) < .08 {
		t.Errorf("%d of %d rejected while the probe is loose", reject, total)
	}
}

func TestBreaksAndShifts(t *testing.T) {
	m := week()
	l := (&Plant{cfg: Config{Speed: 1}, model: m}).Ledger()
	var worked int
	for _, n := range l.NotScheduled {
		from, to := time.UnixMilli(n[0]), time.UnixMilli(n[1])
		if to.UnixMilli() > m.now {
			continue
		}
		for _, s := range m.stations {
			good, reject, err := l.Pieces(s.id, from, to)
			if err != nil {
				t.Fatal(err)
			}
			if good+reject == 0 {
				continue
			}
			if s.line.id != "mcb-a" || from.In(Zone()).Hour() != 12 {
				t.Fatalf("%s made %d pieces in the break of %s", s.id, good+reject, from.In(Zone()))
			}
			worked++
		}
	}
	if worked != 10 {
		t.Errorf("%d machines worked through a break, want line A's 10, once", worked)
	}
}

func TestResettingController(t *testing.T) {
	m := newModel(6, monday(), linePlans())
	s := station1(m, "b-dielectric")
	shift := monday() - 10*minuteMS + 8*hourMS // day shift
	m.advance(shift - 1)
	if s.cells[slotGood].n < 1000 {
		t.Fatalf("counter before the shift change: %d", s.cells[slotGood].n)
	}
	before := s.stats
	m.advance(shift + hourMS)
	if got, want := s.cells[slotGood].n, s.stats.good-before.good; got != want {
		t.Errorf("an hour into the shift the counter is %d, %d were made", got, want)
	}
	if other := station1(m, "b-packing"); other.cells[slotGood].n < other.stats.good {
		t.Error("another controller was reset too")
	}
}

func TestJamHoldsThePiece(t *testing.T) {
	m := newModel(1, monday(), linePlans())
	s := station1(m, "a-calibration")
	for m.now < monday()+10*minuteMS || s.phase != working || s.hold != 0 {
		m.advance(m.now + 500)
	}
	at, before := m.now, s.stats
	m.jam(s, 777, 60_000)
	m.advance(at + 59_999)
	if s.stats != before || s.cells[slotFault].n != 0 || s.cells[slotState].n != stateResetting {
		t.Errorf("just before the end: made %v before %v, fault %d, state %d", s.stats, before, s.cells[slotFault].n, s.cells[slotState].n)
	}
	m.advance(at + 63_000)
	if s.stats.good+s.stats.reject == before.good+before.reject {
		t.Error("no piece after the jam")
	}
	var states []int64
	for _, g := range m.ledger.accounts[s.index].segments {
		if g.from >= at && g.from <= at+60_000 {
			states = append(states, g.state)
		}
	}
	if want := []int64{stateAborted, stateClearing, stateResetting, stateExecute}; !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
}

func TestNewCalendar(t *testing.T) {
	at := func(day, hour, minute, second int) int64 {
		return time.Date(2026, 3, day, hour, minute, second, 0, Zone()).UnixMilli()
	}
	for _, c := range []struct {
		name   string
		anchor int64
		next   int64
		paused bool
	}{
		{"in a shift", at(2, 9, 0, 0), at(2, 11, 59, 40), false},
		{"on the start of a shift", at(2, 8, 0, 0), at(2, 11, 59, 40), false},
		{"as operators leave", at(2, 11, 59, 50), at(2, 12, 0, 0), false},
		{"in a break", at(2, 12, 10, 0), at(2, 12, 30, 0), true},
		{"after the last break of the day", at(2, 23, 0, 0), at(3, 0, 0, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newCalendar(c.anchor)
			if got.wall != c.next || got.paused != c.paused {
				t.Errorf("next %s paused %v, want %s %v", time.UnixMilli(got.wall).In(Zone()), got.paused, time.UnixMilli(c.next).In(Zone()), c.paused)
			}
		})
	}
}

func TestModelBegunInABreak(t *testing.T) {
	anchor := monday() + 12*hourMS // 12:10
	m := newModel(1, anchor, linePlans())
	m.advance(anchor + 19*minuteMS)
	for _, s := range m.stations {
		if s.taken != 0 || s.cells[slotState].n != stateOff {
			t.Fatalf("%s took %d pieces in the break, state %d", s.id, s.taken, s.cells[slotState].n)
		}
	}
	m.advance(anchor + 30*minuteMS)
	if m.stations[0].stats.good == 0 {
		t.Error("nothing made after the break")
	}
}

func TestFasterPlantKeepsTheCalendar(t *testing.T) {
	m := newModel(1, monday(), linePlans())
	m.goLive(monday(), 10)
	noon := monday() - 10*minuteMS + 4*hourMS // the break of the night shift, on the wall
	m.advance(m.calendar.process(noon))
	for _, s := range m.stations {
		if s.hold&holdOff == 0 {
			t.Errorf("%s works in the break", s.id)
		}
	}
	if made, most := m.stations[3].stats.good, int64(230*10*33); made < most/2 {
		t.Errorf("made %d in 230 minutes at tenfold speed", made)
	}
}

func BenchmarkDay(b *testing.B) {
	for range b.N {
		m := newModel(1, monday(), linePlans())
		m.advance(monday() + dayMS)
		b.ReportMetric(float64(m.seq), "events/op")
	}
}

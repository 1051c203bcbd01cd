package twin

import (
	"cmp"
	"slices"
	"time"

	"pgregory.net/rapid"

	"linetwin/plant"
)

// drawn is a plant that was drawn: its settings, and what its gateway sends in
// the order in which it is sent.
type drawn struct {
	cfg     Config
	span    plant.Span // of whole minutes, around all that is sent
	batches []*plant.Batch
}

// begins are days with something special: ordinary, leap day, new year, and
// those on which the clocks of one of the zones change.
var begins = []struct {
	zone string
	at   string // local, an hour in which the plant begins to speak
}{
	{"Asia/Shanghai", "2026-03-02T05:50"}, {"Asia/Shanghai", "2024-02-28T20:00"}, {"Asia/Kathmandu", "2024-02-29T13:00"},
	{"Europe/Prague", "2025-03-29T19:00"}, {"Europe/Prague", "2025-10-25T21:30"}, {"Europe/Prague", "2024-12-31T18:00"},
	{"America/New_York", "2025-03-08T20:00"}, {"America/New_York", "2025-11-01T22:00"}, {"America/St_Johns", "2025-03-08T23:00"},
	{"Australia/Lord_Howe", "2025-04-05T20:00"}, {"Australia/Lord_Howe", "2025-10-04T20:00"}, {"America/Havana", "2025-03-08T22:00"},
}

func anyOf[T any](t *rapid.T, what string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, what)
}

func chance(t *rapid.T, what string, oneIn int) bool {
	return rapid.IntRange(0, oneIn-1).Draw(t, what) == oneIn-1
}

// drawPlant draws a plant.
func drawPlant(t *rapid.T) *drawn {
	when := anyOf(t, "begin", begins...)
	zone, err := time.LoadLocation(when.zone)
	if err != nil {
		t.Fatal(err)
	}
	begin, err := time.ParseInLocation("2006-01-02T15:04", when.at, zone)
	if err != nil {
		t.Fatal(err)
	}
	d := &drawn{cfg: anySite(t, when.zone, begin)}
	d.span.From = plant.At(begin).Floor(time.Hour)
	for _, l := range d.cfg.Areas[0].Lines {
		for i := range l.Machines {
			d.speak(t, &l.Machines[i], plant.At(begin))
		}
	}
	slices.SortStableFunc(d.batches, func(a, b *plant.Batch) int { return cmp.Compare(a.Complete.To, b.Complete.To) })
	last := plant.At(begin)
	for i, b := range d.batches {
		b.Sequence = uint64(i + 1)
		last = max(last, b.Complete.To)
		for _, r := range b.Readings {
			last = max(last, r.Time)
		}
	}
	d.span.To = last.Floor(time.Hour).Add(time.Hour)
	return d
}

// speaking is one machine's controller with the gateway that looks at it.
type speaking struct {
	d      *drawn
	m      *MachineConfig
	at     plant.Time // of the look
	before plant.Time // of the last claim
	values map[string]plant.Reading
	used   map[plant.Time]bool // a look has a millisecond of its own
}

// speak draws what a machine says.
func (d *drawn) speak(t *rapid.T, m *MachineConfig, begin plant.Time) {
	s := &speaking{d: d, m: m, at: begin, values: map[string]plant.Reading{}, used: map[plant.Time]bool{}}
	s.at = s.at.Add(anyOf(t, "first look", 0, 90*time.Second, 3*time.Hour))
	s.before = s.at
	base := anyOf(t, "base", int64(0), 250, 65530)
	var first []plant.Reading
	for _, r := range plant.Roles {
		v := plant.Integer(base)
		switch r {
		case plant.RoleState:
			v = plant.Text("run")
		case plant.RoleFault:
			v = plant.Integer(0)
		case plant.RoleProduct, plant.RoleOrder:
			v = plant.Text(anyOf(t, "at first", "", "1"))
		}
		if m.Roles[r] != "" {
			first = append(first, s.reads(string(r), v))
		}
	}
	s.send(first)
	for range rapid.IntRange(0, 25).Draw(t, "looks") {
		s.look(t)
	}
	s.at = max(s.at, s.before).Add(time.Second) // what was said ahead of a claim is claimed in the end
	s.send(nil)
}

func (s *speaking) reads(signal string, v plant.Value) plant.Reading {
	r := plant.Reading{Machine: s.m.ID, Signal: signal, Time: s.at, Value: v}
	s.values[signal] = r
	return r
}

// counter draws a signal of those that count.
func (s *speaking) counter(t *rapid.T) string {
	var all []string
	for _, r := range []plant.Role{plant.RoleGood, plant.RoleReject, plant.RoleTotal} {
		if s.m.Roles[r] != "" {
			all = append(all, string(r))
		}
	}
	return anyOf(t, "counter", all...)
}

// look draws the time that passes and what is then seen.
func (s *speaking) look(t *rapid.T) {
	s.at = s.at.Add(anyOf(t, "wait", time.Second, 7*time.Second, 20*time.Second, 61*time.Second, 5*time.Minute, 21*time.Minute, 2*time.Hour))
	for s.used[s.at] {
		s.at += plant.Millisecond
	}
	switch anyOf(t, "seen", "pieces", "pieces", "pieces", "state", "state", "state", "nothing", "word", "reset", "jump", "nonsense", "bad", "away", "gap", "clock", "behind", "ahead", "parts", "learnt") {
	case "pieces":
		s.send(s.made(t))
	case "state":
		if s.m.Roles[plant.RoleState] == "" {
			s.send(s.made(t))
			return
		}
		s.send([]plant.Reading{s.reads("state", plant.Text(anyOf(t, "state", "run", "stop", "starved", "blocked", "change", "clean", "nobody knows")))})
	case "nothing":
		s.send(nil)
	case "word":
		s.send(s.word(t))
	case "reset":
		s.send([]plant.Reading{s.reads(s.counter(t), plant.Integer(rapid.Int64Range(0, 20).Draw(t, "from")))})
	case "jump":
		c := s.counter(t)
		s.send([]plant.Reading{s.reads(c, plant.Integer(max(0, s.count(c)+anyOf(t, "by", int64(-3), 1000, 1<<40))))})
	case "nonsense":
		s.send([]plant.Reading{s.reads(s.counter(t), anyOf(t, "is", plant.Float(3.5), plant.Integer(-1), plant.Text("many")))})
	case "bad":
		s.send([]plant.Reading{s.bad(anyOf(t, "which", s.signals()...))})
	case "away":
		var all []plant.Reading
		for _, signal := range s.signals() {
			all = append(all, s.bad(signal))
		}
		s.send(all)
	case "gap": // nobody looked since: the gateway begins anew
		s.before = s.at
		s.send(s.all(t))
	case "clock": // it was set back for a moment; the gateway begins anew, twice
		was := s.at
		s.at = max(s.at.Add(-anyOf(t, "back", 3*time.Second, 10*time.Minute)), s.d.span.From)
		for s.used[s.at] {
			s.at += plant.Millisecond
		}
		s.used[s.at] = true
		s.batch(s.all(t), plant.Span{From: s.at, To: s.at})
		s.at = max(was, s.at) + plant.Millisecond
		s.before = s.at
		s.send(s.all(t))
	case "behind": // it was set back for good: the gateway tells of a time once more
		s.send(nil) // of what was said ahead, too
		s.at = max(s.at.Add(-anyOf(t, "back", 30*time.Second, 10*time.Minute)), s.d.span.From)
		for s.used[s.at] {
			s.at += plant.Millisecond
		}
		s.before = s.at
		s.send(s.all(t))
	case "ahead": // readings that the claim does not reach yet
		to := s.at.Add(-5 * time.Second)
		if to <= s.before {
			to = s.at
		}
		s.claimTo(s.made(t), to)
	case "parts":
		s.parts(t)
	case "learnt": // what a controller kept while nobody looked
		s.learnt(t)
	}
}

func (s *speaking) signals() []string {
	var all []string
	for _, r := range plant.Roles {
		if s.m.Roles[r] != "" {
			all = append(all, string(r))
		}
	}
	return all
}

func (s *speaking) count(signal string) int64 {
	n, _ := s.values[signal].Value.Count()
	return max(n, 0)
}

// made draws how far the counters went.
func (s *speaking) made(t *rapid.T) []plant.Reading {
	n := anyOf(t, "made", int64(1), 2, 5, 30)
	var all []plant.Reading
	for _, signal := range []string{"good", "reject", "total"} {
		if s.m.Roles[plant.Role(signal)] == "" || signal == "reject" && !chance(t, "reject", 3) {
			continue
		}
		next := s.count(signal) + n
		if bits := s.m.Counters[plant.Role(signal)]; bits > 0 {
			next %= 1 << bits
		}
		all = append(all, s.reads(signal, plant.Integer(next)))
	}
	return all
}

// word draws what is said besides states and counts.
func (s *speaking) word(t *rapid.T) []plant.Reading {
	words := map[string][]plant.Value{"fault": {plant.Integer(0), plant.Integer(7), plant.Integer(8)}, "product": {plant.Text(""), plant.Text("1"), plant.Text("2"), plant.Text("new")}, "order": {plant.Text(""), plant.Text("4711"), plant.Text("4712")}}
	var all []plant.Reading
	for _, signal := range []string{"fault", "product", "order"} {
		if s.m.Roles[plant.Role(signal)] != "" && rapid.Bool().Draw(t, "says "+signal) {
			all = append(all, s.reads(signal, anyOf(t, signal, words[signal]...)))
		}
	}
	return all
}

// all gives every signal once more, with pieces that were made meanwhile.
func (s *speaking) all(t *rapid.T) []plant.Reading {
	all := s.made(t)
	for _, signal := range s.signals() {
		if r := s.values[signal]; r.Time != s.at {
			r.Time = s.at
			s.values[signal] = r
			all = append(all, r)
		}
	}
	return all
}

func (s *speaking) bad(signal string) plant.Reading {
	return plant.Reading{Machine: s.m.ID, Signal: signal, Time: s.at, Quality: plant.Bad, Reason: "timeout"}
}

func (s *speaking) send(rs []plant.Reading) { s.claimTo(rs, s.at) }

func (s *speaking) claimTo(rs []plant.Reading, to plant.Time) {
	s.used[s.at] = true
	s.batch(rs, plant.Span{From: s.before, To: to})
	s.before = to
}

func (s *speaking) batch(rs []plant.Reading, claim plant.Span) {
	slices.SortStableFunc(rs, func(a, b plant.Reading) int { return cmp.Compare(a.Time, b.Time) })
	s.d.batches = append(s.d.batches, &plant.Batch{Area: "area", Gateway: "edge", Machine: s.m.ID, Complete: claim, Readings: rs})
}

// parts draws a round that is too big for one batch: only its last part claims.
func (s *speaking) parts(t *rapid.T) {
	first := s.made(t)
	s.used[s.at] = true
	s.at = s.at.Add(400 * time.Millisecond)
	for s.used[s.at] {
		s.at += plant.Millisecond
	}
	second := s.made(t)
	s.batch(first, plant.Span{From: s.before, To: s.before})
	s.send(second)
}

// learnt draws a reading of some time ago that comes without a claim.
func (s *speaking) learnt(t *rapid.T) {
	at := max(s.at.Add(-anyOf(t, "ago", time.Second, 30*time.Second, time.Hour)), s.d.span.From)
	for s.used[at] {
		at += plant.Millisecond
	}
	s.used[at] = true
	r := plant.Reading{Machine: s.m.ID, Signal: "good", Time: at, Value: plant.Integer(s.count("good"))}
	if s.m.Roles[plant.RoleState] != "" && rapid.Bool().Draw(t, "of state") {
		r.Signal, r.Value = "state", plant.Text(anyOf(t, "state", "run", "stop"))
	}
	s.send(nil)
	s.batch([]plant.Reading{r}, plant.Span{From: s.before, To: s.before})
	s.d.batches[len(s.d.batches)-1].Historical = true
}

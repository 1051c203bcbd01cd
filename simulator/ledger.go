package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

const minuteMS = int64(time.Minute / time.Millisecond)

// Caps of what the ledger keeps. Beyond them the oldest half of a machine's
// segments or minutes goes, and measured values are no more kept.
const (
	mostSegments = 100_000 // about half a year of a busy machine
	mostMinutes  = 45_000  // about a month
	mostValues   = 200_000
)

// ledger is what truly happened, in process time since the anchor.
type ledger struct {
	off      bool // keep nothing
	accounts []account
	live     bool // keep measured values
	values   []Measurement
	dropped  int64 // values beyond the cap
}

// account is the ledger of one machine.
type account struct {
	segments []stretch
	minutes  []minute
	measured int64
}

// stretch is a reported state from a time, in ms, up to the next stretch.
type stretch struct{ from, state int64 }

// minute counts the pieces of one product in one minute of the Unix epoch.
type minute struct {
	index        int32
	product      product
	good, reject uint16
}

func (l *ledger) state(s *station, at, state int64) {
	if l.off {
		return
	}
	a := &l.accounts[s.index]
	if n := len(a.segments); n > 0 && a.segments[n-1].from == at {
		a.segments = a.segments[:n-1]
	}
	if n := len(a.segments); n == 0 || a.segments[n-1].state != state {
		a.segments = append(halve(a.segments, mostSegments), stretch{at, state})
	}
}

func (l *ledger) piece(s *station, at int64, good bool) {
	if l.off {
		return
	}
	a := &l.accounts[s.index]
	i := int32(at / minuteMS)
	n := len(a.minutes)
	if n == 0 || a.minutes[n-1].index != i || a.minutes[n-1].product != s.piece.product {
		a.minutes = append(halve(a.minutes, mostMinutes), minute{index: i, product: s.piece.product})
		n = len(a.minutes)
	}
	if good {
		a.minutes[n-1].good++
	} else {
		a.minutes[n-1].reject++
	}
}

// halve drops the older half of what has grown to most.
func halve[T any](all []T, most int) []T {
	if len(all) < most {
		return all
	}
	return append(make([]T, 0, most), all[len(all)/2:]...)
}

func (l *ledger) measured(s *station, at int64, serial uint32, x float64) {
	if l.off {
		return
	}
	l.accounts[s.index].measured++
	switch {
	case !l.live:
	case len(l.values) >= mostValues:
		l.dropped++
	default:
		l.values = append(l.values, Measurement{s.id, s.measure.signal, at, int64(serial), x})
	}
}

// Measurement is one measured value.
type Measurement struct {
	Machine string  `json:"machine"`
	Signal  string  `json:"signal"`
	At      int64   `json:"at"` // ms of the Unix epoch
	Serial  int64   `json:"serial"`
	Value   float64 `json:"value"`
}

// Ledger is what truly happened in the plant. All times are ms of the Unix
// epoch on the wall clock. What was forced by Set is not in it.
type Ledger struct {
	Seed   uint64  `json:"seed"`
	Speed  float64 `json:"speed"`
	Anchor int64   `json:"anchor"`
	Start  int64   `json:"start"` // of live service
	Now    int64   `json:"now"`
	// NotScheduled are the breaks from anchor to now, as pairs [from, to).
	NotScheduled [][2]int64       `json:"not_scheduled"`
	States       map[int64]Class  `json:"states"`
	Products     []string         `json:"products"`
	Machines     []MachineAccount `json:"machines"`
	// Values are the measured values since Start, at most 200,000; Dropped
	// counts those beyond.
	Values  []Measurement `json:"values"`
	Dropped int64         `json:"dropped"`
}

// MachineAccount is the ledger of one machine.
type MachineAccount struct {
	Machine string `json:"machine"`
	Line    string `json:"line"`
	Good    int64  `json:"good"` // pieces since the anchor, whatever the counters say
	Reject  int64  `json:"reject"`
	// Segments are pairs of a time and the state reported from then on; the
	// last one lasts until now.
	Segments [][2]int64 `json:"segments"`
	// Minutes are [start of the minute, index of the product, good, reject].
	Minutes  [][4]int64 `json:"minutes"`
	Measured int64      `json:"measured"` // values since the anchor
}

// Ledger gives the ledger as of now.
func (p *Plant) Ledger() *Ledger {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sync()
	l := p.tell(p.model, func(process int64) int64 { return p.wall(process).UnixMilli() })
	if !p.start.IsZero() {
		l.Start = p.start.UnixMilli()
	}
	return l
}

// tell gives a model's ledger; ms gives the wall time of a process time.
func (p *Plant) tell(m *model, ms func(process int64) int64) *Ledger {
	l := &Ledger{Seed: p.cfg.Seed, Speed: p.cfg.Speed, Anchor: m.anchor, Now: ms(m.now), States: map[int64]Class{},
		Values: slices.Clone(m.ledger.values), Dropped: m.ledger.dropped}
	for i := range l.Values {
		l.Values[i].At = ms(l.Values[i].At)
	}
	for _, s := range States() {
		l.States[s.Value] = s.Class
	}
	for _, q := range productPlans() {
		l.Products = append(l.Products, q.ID)
	}
	if !p.cfg.Continuous {
		l.NotScheduled = breaks(l.Anchor, l.Now)
	}
	for _, s := range m.stations {
		a := &m.ledger.accounts[s.index]
		x := MachineAccount{Machine: s.id, Line: s.line.id, Good: s.stats.good, Reject: s.stats.reject, Measured: a.measured,
			Segments: make([][2]int64, len(a.segments)), Minutes: make([][4]int64, len(a.minutes))}
		for i, g := range a.segments {
			x.Segments[i] = [2]int64{ms(g.from), g.state}
		}
		for i, n := range a.minutes {
			x.Minutes[i] = [4]int64{ms(int64(n.index) * minuteMS), int64(n.product), int64(n.good), int64(n.reject)}
		}
		l.Machines = append(l.Machines, x)
	}
	return l
}

// breaks gives the breaks of the calendar that overlap [from, to), whole.
func breaks(from, to int64) [][2]int64 {
	var all [][2]int64
	for day := from - (from+zoneMS)%dayMS; day < to; day += dayMS {
		for _, s := range Shifts() {
			b := day + s.Break.Milliseconds()
			if e := b + s.Pause.Milliseconds(); e > from && b < to {
				all = append(all, [2]int64{b, e})
			}
		}
	}
	return all
}

// WriteLedger writes the ledger as of now as one JSON document.
func (p *Plant) WriteLedger(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(p.Ledger()); err != nil {
		return fmt.Errorf("write the simulator's ledger: %w", err)
	}
	return nil
}

func (l *Ledger) find(machine string) (*MachineAccount, error) {
	for i := range l.Machines {
		if l.Machines[i].Machine == machine {
			return &l.Machines[i], nil
		}
	}
	return nil, fmt.Errorf("machine %q: not in the ledger", machine)
}

// Pieces counts a machine's pieces in [from, to), which must be whole minutes.
func (l *Ledger) Pieces(machine string, from, to time.Time) (good, reject int64, err error) {
	a, err := l.find(machine)
	if err != nil {
		return 0, 0, err
	}
	b, e := from.UnixMilli(), to.UnixMilli()
	if b%minuteMS != 0 || e%minuteMS != 0 {
		return 0, 0, fmt.Errorf("pieces of %s from %s to %s: want whole minutes", machine, from, to)
	}
	for _, m := range a.Minutes {
		if m[0] >= b && m[0] < e {
			good, reject = good+m[2], reject+m[3]
		}
	}
	return good, reject, nil
}

// Time sums up how long a machine was in each class in [from, to), up to the
// ledger's end. Breaks count as ClassNotScheduled, whatever the machine said,
// if schedule is set.
func (l *Ledger) Time(machine string, from, to time.Time, schedule bool) (map[Class]time.Duration, error) {
	a, err := l.find(machine)
	if err != nil {
		return nil, err
	}
	sums := map[Class]time.Duration{}
	add := func(c Class, b, e int64) {
		if e > b {
			sums[c] += time.Duration(e-b) * time.Millisecond
		}
	}
	first, last := from.UnixMilli(), min(to.UnixMilli(), l.Now)
	for i, g := range a.Segments {
		end := l.Now
		if i+1 < len(a.Segments) {
			end = a.Segments[i+1][0]
		}
		b, e := max(g[0], first), min(end, last)
		c := l.States[g[1]]
		if schedule {
			for _, n := range l.NotScheduled {
				if nb, ne := max(n[0], b), min(n[1], e); ne > nb {
					add(ClassNotScheduled, nb, ne)
					add(c, b, nb)
					b = ne
				}
			}
		}
		add(c, b, e)
	}
	return sums, nil
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"linetwin/configs"
	"linetwin/plant"
	"linetwin/simulator"
)

// weekWay is a way in which the same past comes to a twin.
type weekWay struct {
	name     string
	looks    int           // in a batch
	shuffled int           // batches that come in any order
	doubled  int           // so many batches later each comes again
	outages  time.Duration // each third of such stretches comes after the next one
}

// weekWays are all that gateways and brokers do to data: lose a message and
// send it again, send it twice, keep it while nobody listens, cut it otherwise.
var weekWays = []weekWay{
	{name: "straight", looks: 6},
	{name: "shuffled", looks: 6, shuffled: 200},
	{name: "doubled", looks: 6, doubled: 50},
	{name: "outages", looks: 6, outages: 50 * time.Minute},
	{name: "other batches", looks: 37},
	{name: "all of it", looks: 11, shuffled: 70, doubled: 90, outages: 35 * time.Minute},
}

// TestWeek gives the demo's past to a twin with its real stores, holds what it
// makes of it against the plant's own ledger, and gives the same past to more
// twins in other ways: each must tell the very same. LINETWIN_WEEK=7d takes the
// demo's whole week; without it, it is two hours of one line around the end of
// a shift.
func TestWeek(t *testing.T) {
	p, ways := newWeek(t), weekWays
	var straight *weekAnswers
	if !t.Run(ways[0].name, func(t *testing.T) {
		straight = p.come(t, ways[0], func(a *weekAnswers) string { return p.holds(a) })
		p.report(t, straight)
	}) {
		return
	}
	for _, way := range ways[1:] {
		t.Run(way.name, func(t *testing.T) {
			if p.short {
				t.Parallel()
			}
			p.come(t, way, func(a *weekAnswers) string { return differs(straight, a) })
		})
	}
}

// come lets the past come to a new twin in some way, until what that tells is
// right.
func (p *week) come(t *testing.T, way weekWay, wrong func(a *weekAnswers) string) *weekAnswers {
	w := newWeekTwin(t, p)
	began := time.Now()
	readings := w.deliver(p.batches(way))
	t.Logf("%d readings stored after %s", readings, time.Since(began).Round(time.Millisecond))
	a := w.settled(wrong)
	t.Logf("right after %s", time.Since(began).Round(time.Millisecond))
	return a
}

// week is a past of the demo's plant.
type week struct {
	cfg     *configs.Demo
	short   bool
	span    plant.Span
	seen    plant.Time // the last look: what it finds was made before span's end
	lines   []string
	gateway map[string]string // by machine
	births  []plant.GatewayBirth
	truth   *simulator.Ledger
	looks   map[string][]weekLook
	resets  map[string]bool
}

// weekLook is what a look at a machine found. A first one begins a claim.
type weekLook struct {
	at       plant.Time
	first    bool
	readings []plant.Reading
}

func newWeek(t *testing.T) *week {
	t.Helper()
	cfg, err := configs.LoadDemo()
	if err != nil {
		t.Fatal(err)
	}
	p := &week{cfg: cfg, lines: []string{"mcb-b"}, gateway: map[string]string{}, looks: map[string][]weekLook{}, resets: map[string]bool{}}
	length, anchor := 2*time.Hour, time.Date(2026, 3, 2, 5, 0, 0, 0, time.UTC) // 13:00 on a Monday in the plant
	if s := os.Getenv("LINETWIN_WEEK"); s == "" {
		p.short = true
	} else {
		if length, err = parsePast(s); err != nil || length < time.Hour {
			t.Fatalf("LINETWIN_WEEK: found %q, allowed: 1h to 7d", s)
		}
		anchor = anchor.Add(-7 * time.Hour)
		p.lines = []string{"mcb-a", "mcb-b"}
	}
	for i := range cfg.Twin.Areas[0].Lines {
		// What a look finds at the start of a break was made before it.
		cfg.Twin.Areas[0].Lines[i].BreaksWorked = true
	}
	p.span = plant.Span{From: plant.At(anchor), To: plant.At(anchor.Add(length))}
	p.seen = p.span.To.Add(-pastEvery)
	for _, g := range cfg.Gateways {
		birth := plant.GatewayBirth{Area: g.Config.Area, Gateway: g.Config.Gateway, Session: "s", First: 1}
		for _, d := range g.Devices {
			p.gateway[d.Machine] = g.Config.Gateway
			birth.Devices = append(birth.Devices, plant.DeviceBirth{Machine: d.Machine, Online: true})
		}
		p.births = append(p.births, birth)
	}
	s, err := simulator.New(simulator.Config{Seed: 1, Lines: p.lines, Anchor: anchor, Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if p.truth, err = s.PastLedger(t.Context(), p.seen.Std()); err != nil {
		t.Fatal(err)
	}
	p.remember(t, s)
	return p
}

// remember has the plant tell its past once.
func (p *week) remember(t *testing.T, s *simulator.Plant) {
	t.Helper()
	for _, m := range s.Describe().Machines {
		p.resets[m.ID] = m.Resets
	}
	err := s.Past(t.Context(), p.span.From.Std(), p.seen.Add(time.Millisecond).Std(), pastEvery, func(s simulator.Sample) error {
		r := round(s)
		p.looks[s.Machine] = append(p.looks[s.Machine], weekLook{r.Through, s.First, r.Readings})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// batches gives the past as it comes in some way.
func (p *week) batches(way weekWay) []*plant.Batch {
	var all []*plant.Batch
	for machine, looks := range p.looks {
		through := looks[0].at
		for len(looks) > 0 {
			if looks[0].first {
				through = looks[0].at
			}
			n := 1
			for n < min(way.looks, len(looks)) && !looks[n].first {
				n++
			}
			b := &plant.Batch{Area: "assembly", Gateway: p.gateway[machine], Machine: machine, Complete: plant.Span{From: through, To: looks[n-1].at}}
			for _, l := range looks[:n] {
				b.Readings = append(b.Readings, l.readings...)
			}
			through, looks = b.Complete.To, looks[n:]
			all = append(all, b)
		}
	}
	slices.SortFunc(all, func(a, b *plant.Batch) int {
		return cmp.Or(cmp.Compare(a.Complete.To, b.Complete.To), cmp.Compare(a.Machine, b.Machine))
	})
	number := map[string]uint64{}
	for _, b := range all {
		number[b.Gateway]++
		b.Sequence = number[b.Gateway]
	}
	return way.disturb(all)
}

// disturb puts batches that are in order into the order in which they come.
func (way weekWay) disturb(all []*plant.Batch) []*plant.Batch {
	if way.outages > 0 {
		all = way.hold(all)
	}
	rng := rand.New(rand.NewPCG(5, 7))
	for i := 0; way.shuffled > 0 && i < len(all); i += way.shuffled {
		part := all[i:min(i+way.shuffled, len(all))]
		rng.Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
		for _, b := range part {
			b.Historical = b.Historical || rng.IntN(2) == 0 // sent again
		}
	}
	if way.doubled == 0 {
		return all
	}
	var twice []*plant.Batch
	for i := range len(all) + way.doubled {
		if i < len(all) {
			twice = append(twice, all[i])
		}
		if j := i - way.doubled; j >= 0 {
			again := *all[j]
			again.Historical = true
			twice = append(twice, &again)
		}
	}
	return twice
}

// hold lets what was read in outages, which each gateway has at times of its
// own, come later, beside what is read then.
func (way weekWay) hold(all []*plant.Batch) []*plant.Batch {
	out, held := make([]*plant.Batch, 0, len(all)), map[string][]*plant.Batch{}
	for _, b := range all {
		stretch := b.Complete.To.Sub(all[0].Complete.From) / way.outages
		if (int(stretch)+int(b.Gateway[len(b.Gateway)-1]))%3 == 0 {
			b.Historical = true
			held[b.Gateway] = append(held[b.Gateway], b)
			continue
		}
		out = append(out, b)
		waiting := held[b.Gateway]
		n := min(2, len(waiting))
		out, held[b.Gateway] = append(out, waiting[:n]...), waiting[n:]
	}
	for _, gateway := range []string{"edge-1", "edge-2"} {
		out = append(out, held[gateway]...)
	}
	return out
}

// weekAnswers is what the API tells and must not depend on the way.
type weekAnswers struct {
	Lines map[string]*weekLine
	JSON  []byte
}

type weekLine struct {
	Figures  map[string][]plant.Figures
	Machines map[string][]plant.Figures // by machine: the whole span, then its shifts
	Timeline plant.Timeline
	Stops    []plant.Stop
}

func (p *week) machines(line string) []string {
	var all []string
	for _, m := range p.truth.Machines {
		if m.Line == line {
			all = append(all, m.Machine)
		}
	}
	return all
}

// ask gives the twin's answers over the whole span. Revisions, and whether
// a shift was published already, tell of the way and do not count.
func (p *week) ask(ctx context.Context, w *weekTwin) (*weekAnswers, error) {
	a := &weekAnswers{Lines: map[string]*weekLine{}}
	var err error
	figures := func(fs []plant.Figures, problem error) []plant.Figures {
		err = cmp.Or(err, problem)
		for i := range fs {
			fs[i].Revision, fs[i].Provisional = 0, false
		}
		return fs
	}
	for _, id := range p.lines {
		l := &weekLine{Figures: map[string][]plant.Figures{}, Machines: map[string][]plant.Figures{}}
		for _, by := range []string{"", "hour", "shift", "day", "week", "product", "order"} {
			l.Figures[by] = figures(w.model.Figures(ctx, id, p.span, by))
		}
		for _, m := range p.machines(id) {
			for _, by := range []string{"", "shift"} {
				l.Machines[m] = append(l.Machines[m], figures(w.model.MachineFigures(ctx, m, p.span, by))...)
			}
		}
		var problem error
		l.Timeline, problem = w.model.Timeline(ctx, id, p.span)
		err = cmp.Or(err, problem)
		l.Stops, problem = w.model.Stops(ctx, id, p.span)
		err = cmp.Or(err, problem)
		a.Lines[id] = l
	}
	if err != nil {
		return nil, err
	}
	a.JSON, err = json.MarshalIndent(a.Lines, "", " ")
	return a, err
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func weekFolders(t *testing.T, cfg *configs.Twin) {
	dir := t.TempDir()
	cfg.History.Embedded.Folder, cfg.History.Embedded.Sync = filepath.Join(dir, "history"), "normal"
	cfg.Ledger.SQLite = filepath.Join(dir, "ledger.db")
}

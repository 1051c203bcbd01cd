package twin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// shelf is a history in memory, by the contract of connectors/historytest.
type shelf map[string]*shelved

type shelved struct {
	readings map[shelfKey]plant.Reading
	claims   plant.Spans
}

type shelfKey struct {
	signal string
	time   plant.Time
}

func (s shelf) Write(_ context.Context, batches []*plant.Batch) error {
	for _, b := range batches {
		m := s[b.Machine]
		if m == nil {
			m = &shelved{readings: map[shelfKey]plant.Reading{}}
			s[b.Machine] = m
		}
		m.claims.Add(b.Complete)
		for _, r := range b.Readings {
			k := shelfKey{r.Signal, r.Time}
			if old, ok := m.readings[k]; !ok || !r.Value.IsNone() || old.Value.IsNone() {
				m.readings[k] = r
			}
		}
	}
	return nil
}

func (s shelf) Record(_ context.Context, machine string, signals []string, span plant.Span) (plant.Record, error) {
	var rec plant.Record
	m := s[machine]
	if m == nil {
		return rec, nil
	}
	for _, r := range m.readings {
		if span.Has(r.Time) && (signals == nil || slices.Contains(signals, r.Signal)) {
			rec.Readings = append(rec.Readings, r)
		}
	}
	slices.SortFunc(rec.Readings, func(a, b plant.Reading) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Signal, b.Signal))
	})
	for _, c := range m.claims {
		if c = c.Overlap(span); !c.Empty() {
			rec.Complete = append(rec.Complete, c)
		}
	}
	return rec, nil
}

func (s shelf) Before(context.Context, string, []string, plant.Time) ([]plant.Reading, error) {
	return nil, nil
}

func (s shelf) Chart(context.Context, string, string, plant.Span, int) ([]plant.Bucket, error) {
	return nil, nil
}

// slate is a ledger in memory: of progress, entries, results and values what the
// twin relies on, of the rest nothing.
type slate struct {
	progress map[string]*slated
	entries  []plant.Entry
	results  []plant.Result
	values   map[string]string
}

type slated struct {
	past  plant.Past
	marks []mark
}

func (s *slate) of(machine string) *slated {
	if s.progress == nil {
		s.progress = map[string]*slated{}
	}
	if s.progress[machine] == nil {
		s.progress[machine] = &slated{}
	}
	return s.progress[machine]
}

func (s *slate) Save(_ context.Context, all []plant.Progress) error {
	for _, p := range all {
		m := s.of(p.Machine)
		m.past.Segments = slices.DeleteFunc(m.past.Segments, func(s plant.Segment) bool { return s.From >= p.From })
		m.past.Segments = append(m.past.Segments, p.Segments...)
		m.past.Pieces = slices.DeleteFunc(m.past.Pieces, func(c plant.Pieces) bool { return c.Minute >= p.Since.Floor(time.Minute) })
		m.past.Pieces = append(m.past.Pieces, p.Pieces...)
		m.past.Orders = slices.DeleteFunc(m.past.Orders, func(o plant.OrderTold) bool { return o.At >= p.Since.Floor(time.Minute) })
		m.past.Orders = append(m.past.Orders, p.Orders...)
		m.marks = slices.DeleteFunc(m.marks, func(m mark) bool { return m.at > p.Since })
		if len(p.Checkpoint) > 0 {
			m.marks = append(slices.DeleteFunc(m.marks, func(m mark) bool { return m.at == p.At }), mark{p.At, p.Checkpoint})
		}
	}
	return nil
}

func (s *slate) Past(_ context.Context, machine string, span plant.Span) (past plant.Past, _ error) {
	for _, x := range s.of(machine).past.Segments {
		if !x.Overlap(span).Empty() {
			past.Segments = append(past.Segments, x)
		}
	}
	for _, p := range s.of(machine).past.Pieces {
		if span.Has(p.Minute) {
			past.Pieces = append(past.Pieces, p)
		}
	}
	past.Orders = slices.Clone(ordersOf(s.of(machine).past.Orders, span))
	slices.SortFunc(past.Segments, func(a, b plant.Segment) int { return cmp.Compare(a.From, b.From) })
	slices.SortFunc(past.Pieces, func(a, b plant.Pieces) int {
		return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Product, b.Product), cmp.Compare(a.Order, b.Order))
	})
	return past, nil
}

func (s *slate) OrderTold(_ context.Context, machine, order string) (span plant.Span, ok bool, _ error) {
	all := s.of(machine).past.Orders
	for i := range all {
		if all[i].Order != order {
			continue
		}
		one := plant.Span{From: all[i].At, To: 1 << 62}
		if i+1 < len(all) {
			one.To = all[i+1].At
		}
		if span = hull(one, one); ok {
			span.From = min(span.From, one.From)
		}
		ok = true
	}
	return span, ok, nil
}

func (s *slate) Checkpoint(_ context.Context, machine string, at plant.Time) (raw []byte, when plant.Time, _ error) {
	for _, m := range s.of(machine).marks {
		if m.at <= at && m.at > when {
			raw, when = m.raw, m.at
		}
	}
	return raw, when, nil
}

func (s *slate) Rewrite(context.Context, []plant.Rewrite) error {
	return errors.New("nothing is rewritten here")
}

func (s *slate) AddEntries(_ context.Context, all []plant.Entry) ([]plant.Entry, error) {
	all = slices.Clone(all)
	for i := range all {
		all[i].ID = uint64(len(s.entries)) + 1
		s.entries = append(s.entries, all[i])
	}
	return all, nil
}

func (s *slate) Entries(_ context.Context, after uint64) ([]plant.Entry, error) {
	return slices.Clone(s.entries[min(after, uint64(len(s.entries))):]), nil
}

func (s *slate) SaveResult(_ context.Context, r plant.Result) error {
	s.results = append(s.results, r)
	return nil
}

func (s *slate) Results(_ context.Context, line string, span plant.Span) (all []plant.Result, _ error) {
	for _, r := range s.results {
		if r.Line == line && span.Has(r.Shift) {
			all = append(all, r)
		}
	}
	return all, nil
}

func (s *slate) ResultsSince(context.Context, plant.Time, int) ([]plant.Result, error) {
	return nil, nil
}

func (s *slate) SaveAlert(context.Context, plant.Alert) error { return nil }

func (s *slate) Alerts(context.Context, plant.Span, bool) ([]plant.Alert, error) { return nil, nil }

func (s *slate) SaveSignal(context.Context, plant.Signal) error { return nil }

func (s *slate) Value(_ context.Context, key string) (value string, ok bool, _ error) {
	value, ok = s.values[key]
	return value, ok, nil
}

func (s *slate) SetValue(_ context.Context, key, value string) error {
	if s.values == nil {
		s.values = map[string]string{}
	}
	s.values[key] = value
	return nil
}

// world is a twin with stores in memory that does its background work when it
// is told to, so that every step of it can be drawn and repeated.
type world struct {
	tb    failer
	twin  *Twin
	shelf shelf
	slate *slate
	now   plant.Time
	told  []*plant.Batch // all that was delivered
}

// failer is a test, or one check of a property.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var _ failer = (testing.TB)(nil)

func newWorld(tb failer, cfg *Config, now plant.Time) *world {
	w := &world{tb: tb, shelf: shelf{}, slate: &slate{}, now: now}
	w.start(cfg)
	w.settle() // else the first data would be folded as late data
	return w
}

// start makes a twin of what the stores have. A twin that was there before is
// gone, with all that was only in its memory.
func (w *world) start(cfg *Config) {
	w.tb.Helper()
	var err error
	w.twin, err = New(*cfg, Options{History: w.shelf, Ledger: w.slate, Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return w.now.Std() }})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.twin.load(context.Background())
	close(w.twin.loaded)
	w.twin.Birth(plant.GatewayBirth{Area: "area", Gateway: "edge", Session: "s", First: 1, Time: w.now})
}

func (w *world) deliver(b *plant.Batch) {
	w.told = append(w.told, b)
	c := *b
	c.Readings = slices.Clone(b.Readings)
	w.twin.Batch(&c)
}

// store has history take up to n batches of each lane.
func (w *world) store(n int) {
	h := w.twin.hist
	for _, l := range []*lane{h.live, h.backlog} {
		front := slices.Clone(l.queue[:min(n, len(l.queue))])
		for _, q := range front {
			if err := h.before(context.Background()); err != nil {
				w.tb.Fatal(err)
			}
			_ = w.shelf.Write(context.Background(), []*plant.Batch{q.batch}) // never fails
		}
		l.pop(front)
		h.done(front, deafTo{})
	}
}

type deafTo struct{}

func (deafTo) Acknowledge(plant.Acknowledgement) error { return nil }

// stored tells whether history has a batch, as the gateway would be told.
func (w *world) stored(n uint64) bool {
	s := w.twin.hist.sessions[gatewayKey{"area", "edge"}]
	return s != nil && s.stored.Covers(plant.Span{From: plant.Time(n), To: plant.Time(n) + 1})
}

// settle folds again what is wrong, until nothing is.
func (w *world) settle() {
	w.tb.Helper()
	for range 10 {
		done := true
		for _, m := range w.twin.machineList() {
			if m.track.dirty == 0 {
				continue
			}
			done = false
			if err := w.twin.restate(context.Background(), m); err != nil {
				w.tb.Fatal(err)
			}
		}
		if done {
			return
		}
	}
	w.tb.Fatal("folded again ten times and still not right")
}

// lineAccount is all that the API tells of a line and must not depend on how it came to be.
type lineAccount struct {
	Figures  map[string][]plant.Figures // by each split; by product of each machine
	Timeline plant.Timeline
	Stops    []plant.Stop
	Windows  []plant.Window // of the line, then of its machines
}

// account gives what the twin tells of each line over span, and of the plant.
func (w *world) account(span plant.Span) map[string]lineAccount {
	w.tb.Helper()
	ctx := context.Background()
	all := map[string]lineAccount{}
	for _, id := range w.twin.lineIDs() {
		a := lineAccount{Figures: map[string][]plant.Figures{}}
		for _, by := range splits {
			a.Figures[by] = w.figures(id, span, by)
		}
		var err error
		if a.Timeline, err = w.twin.Timeline(ctx, id, span); err != nil {
			w.tb.Fatal(err)
		}
		if a.Stops, err = w.twin.Stops(ctx, id, span); err != nil {
			w.tb.Fatal(err)
		}
		a.Windows = w.windows(id, span)
		for _, m := range w.twin.lineByID[id].machines {
			fs, err := w.twin.MachineFigures(ctx, m.cfg.ID, span, "product")
			a.Figures[m.cfg.ID] = w.plain(fs, err)
		}
		all[id] = a
	}
	a := lineAccount{Figures: map[string][]plant.Figures{}}
	for _, by := range []string{"shift", "week", "order"} {
		fs, err := w.twin.PlantFigures(ctx, span, by)
		a.Figures[by] = w.plain(fs, err)
	}
	all["plant"] = a
	return all
}

// figures gives those of a line, without what tells of the way, not of the plant.
func (w *world) figures(id string, span plant.Span, by string) []plant.Figures {
	w.tb.Helper()
	fs, err := w.twin.Figures(context.Background(), id, span, by)
	return w.plain(fs, err)
}

func (w *world) plain(fs []plant.Figures, err error) []plant.Figures {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
	for i := range fs {
		fs[i].Provisional, fs[i].Revision = false, 0
	}
	return fs
}

// windows gives the sums of a line, then of each of its machines.
func (w *world) windows(id string, span plant.Span) []plant.Window {
	l := w.twin.lineByID[id]
	all := []plant.Window{l.window(span)}
	for _, m := range l.machines {
		all = append(all, m.window(span))
	}
	return all
}

// without gives the settings with fewer machines: what follows the flow is not
// there yet, or a whole line.
func without(cfg Config, line bool) Config {
	cfg.Areas = slices.Clone(cfg.Areas)
	lines := slices.Clone(cfg.Areas[0].Lines)
	if line && len(lines) > 1 {
		lines = lines[:1]
	}
	there := map[string]bool{}
	for i := range lines {
		l := &lines[i]
		l.Machines = slices.DeleteFunc(slices.Clone(l.Machines), func(m MachineConfig) bool { return !slices.Contains(machinesOf(strings.Join(l.Flow, "+")), m.ID) })
		for _, m := range l.Machines {
			there[m.ID] = true
		}
	}
	cfg.Areas[0].Lines = lines
	cfg.Products = slices.Clone(cfg.Products)
	for i := range cfg.Products {
		cfg.Products[i].IdealCycle = maps.Clone(cfg.Products[i].IdealCycle)
		maps.DeleteFunc(cfg.Products[i].IdealCycle, func(m string, _ time.Duration) bool { return !there[m] })
	}
	return cfg
}

// Package twin keeps the living model of a site's production lines. It takes
// what gateways send, has it stored and acknowledged, folds it into machine
// states and pieces, and answers for lines: state, counts, OEE, stops,
// alerts.
//
// The engine is Fold and Tally: pure functions over events in the order of
// time (fold.go, tally.go). Everything else here brings them their events,
// also when these come late, twice or in the wrong order.
package twin

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"linetwin/plant"
	"linetwin/rules"
)

// Ledger keeps what must outlive the process and is no reading. Its methods
// may be called at the same time.
type Ledger interface {
	Progress
	OrdersTold
	Alarms
	Results
	SignalTypes
	Entries
	Values
}

// Progress keeps what the fold made of each machine.
type Progress interface {
	Save(ctx context.Context, p []plant.Progress) error
	Past(ctx context.Context, machine string, span plant.Span) (plant.Past, error)
	// Checkpoint gives the newest checkpoint at or before at; nil for none.
	Checkpoint(ctx context.Context, machine string, at plant.Time) ([]byte, plant.Time, error)
	// Rewrite replaces past stretches, all of them or, with an error, none.
	Rewrite(ctx context.Context, w []plant.Rewrite) error
}

// OrdersTold knows which orders machines told.
type OrdersTold interface {
	// OrderTold gives the time from which a machine first told an order until it
	// last told another one in its place; false where it never did.
	OrderTold(ctx context.Context, machine, order string) (plant.Span, bool, error)
}

// Alarms keeps alerts.
type Alarms interface {
	SaveAlert(ctx context.Context, a plant.Alert) error
	Alerts(ctx context.Context, span plant.Span, openOnly bool) ([]plant.Alert, error)
}

// Results keeps the accounts of closed shifts, each as often as it changed.
type Results interface {
	SaveResult(ctx context.Context, r plant.Result) error
	Results(ctx context.Context, line string, span plant.Span) ([]plant.Result, error)
	ResultsSince(ctx context.Context, since plant.Time, most int) ([]plant.Result, error)
}

// Entries keeps what people and other systems say.
type Entries interface {
	// AddEntries appends entries, all of them or, with an error, none, and gives
	// them with their IDs.
	AddEntries(ctx context.Context, all []plant.Entry) ([]plant.Entry, error)
	Entries(ctx context.Context, after uint64) ([]plant.Entry, error)
}

// SignalTypes keeps which kind and unit a signal's name has in the whole site.
type SignalTypes interface {
	// SaveSignal keeps a signal's kind and unit; it fails where its name has
	// others already.
	SaveSignal(ctx context.Context, s plant.Signal) error
}

// Options are the parts that a twin works with.
type Options struct {
	History History
	Ledger  Ledger
	Rules   rules.Config
	// Books and Counter are what an audit needs; where one is nil there is none.
	Books   Books
	Counter Counter
	// Outlet is where figures are copied to for other tools; nil for nowhere.
	Outlet  Outlet
	Version string
	Log     *slog.Logger
	Clock   func() time.Time // nil: time.Now
	// Elapsed gives a time that goes on whatever the clock is set to. Without it
	// beside a Clock, nothing looks for steps of that.
	Elapsed func() time.Duration
}

// Twin is the model of a site. Its methods may be called at the same time.
type Twin struct {
	cfg     Config
	opts    Options
	log     *slog.Logger
	zone    *time.Location
	hist    *historian
	live    *broadcaster
	pending *alertBook
	reports chan plant.CountReport // of counts, for the ledger
	loaded  chan struct{}          // closed once the ledger is read: only then batches are applied

	unsaved []plant.Result // that the ledger could not take yet; of flush alone
	said    atomic.Pointer[book]
	heard   atomic.Bool // said is what the ledger has
	telling sync.Mutex  // held while an entry is checked and appended
	lates   lates

	recomputing chan struct{} // has an element while Recompute works

	mu        sync.RWMutex
	lines     []*line
	lineByID  map[string]*line
	machines  map[string]*machine
	gateways  map[gatewayKey]*gateway
	signals   map[string]map[string]*signalNow // machine -> signal
	rules     *rules.Engine
	notices   map[string]*plant.Notice
	who       identities
	tellers   map[string]*teller   // by machine
	standings map[string]*standing // by machine
	overdue   overdues
	types     map[plant.Signal]bool // kinds and units that births told; true: checked against the ledger
}

// New makes a twin of the site in cfg, which Check has found right.
func New(cfg Config, opts Options) (*Twin, error) {
	if opts.Clock == nil {
		began := time.Now()
		opts.Clock, opts.Elapsed = time.Now, func() time.Duration { return time.Since(began) }
	}
	zone, err := time.LoadLocation(cfg.Zone)
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", cfg.Zone, err)
	}
	t := &Twin{
		cfg: cfg, opts: opts, log: opts.Log, zone: zone,
		hist: newHistorian(opts.History, opts.Log), live: newBroadcaster(), pending: &alertBook{}, loaded: make(chan struct{}),
		reports:  make(chan plant.CountReport, reportsQueued),
		lineByID: map[string]*line{}, machines: map[string]*machine{}, gateways: map[gatewayKey]*gateway{},
		signals: map[string]map[string]*signalNow{}, notices: map[string]*plant.Notice{}, types: map[plant.Signal]bool{}, standings: map[string]*standing{},
		who: identities{by: map[gatewayKey]kept{}}, tellers: map[string]*teller{}, recomputing: make(chan struct{}, 1),
	}
	t.said.Store(newBook(nil))
	t.hist.before = t.keepLates
	for ai := range cfg.Areas {
		for li := range cfg.Areas[ai].Lines {
			l, err := newLine(&cfg, cfg.Areas[ai].ID, &cfg.Areas[ai].Lines[li], &t.said)
			if err != nil {
				return nil, err
			}
			t.lines = append(t.lines, l)
			t.lineByID[l.cfg.ID] = l
			for _, m := range l.machines {
				t.machines[m.cfg.ID] = m
			}
		}
	}
	t.rules, err = rules.NewEngine(opts.Rules, t.characteristics(), func(machine string) string {
		if m := t.machines[machine]; m != nil {
			return m.line.cfg.ID
		}
		return ""
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Twin) now() plant.Time { return plant.At(t.opts.Clock()) }

func (t *Twin) characteristics() []rules.Characteristic {
	var all []rules.Characteristic
	for _, l := range t.lines {
		for _, m := range l.machines {
			for _, c := range m.characteristics {
				all = append(all, rules.Characteristic{Line: l.cfg.ID, Characteristic: c})
			}
		}
	}
	return all
}

// Run loads what the ledger knows and works until ctx ends; everything that it
// started has ended then. It runs once. Feeds may call the twin's sink methods
// before and while it runs; batches wait until the ledger is read.
func (t *Twin) Run(ctx context.Context, acks Acknowledger) error {
	t.load(ctx)
	t.hist.recycler, _ = acks.(Recycler)
	close(t.loaded)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs := []func(context.Context) error{
		func(ctx context.Context) error { return t.hist.run(ctx, acks, t.now) },
		t.restateLoop,
		t.tickLoop,
		t.ledgerLoop,
		func(ctx context.Context) error { return t.countsLoop(ctx, acks) },
	}
	if t.opts.Outlet != nil {
		jobs = append(jobs, t.copyLoop)
	}
	errs := make(chan error, len(jobs))
	for _, job := range jobs {
		go func() { errs <- job(ctx) }()
	}
	var first error
	for range jobs {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
		cancel()
	}
	t.live.close()
	t.flush(context.WithoutCancel(ctx))
	return first
}

// notice counts something that went wrong outside of any line.
func (t *Twin) notice(kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noticeLocked(kind, text)
}

func (t *Twin) noticeLocked(kind, text string) {
	n := t.notices[kind]
	if n == nil {
		n = &plant.Notice{Kind: kind}
		t.notices[kind] = n
	}
	n.Text, n.Last, n.Count = text, t.now(), n.Count+1
}

// Notice lets the parts around the twin (the wire, the stores) tell what IT
// should know; count is the total so far. Without a text it takes the notice
// away.
func (t *Twin) Notice(kind, text string, count uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text == "" {
		delete(t.notices, kind)
		return
	}
	n := t.notices[kind]
	if n != nil && n.Count == count && n.Text == text {
		return
	}
	t.notices[kind] = &plant.Notice{Kind: kind, Text: text, Count: count, Last: t.now()}
}

// Ready tells whether the twin does its work, and what is in the way.
func (t *Twin) Ready() (bool, []string) {
	var why []string
	if failing, since := t.hist.state(); failing != "" {
		why = append(why, "history does not store since "+since.String()+": "+failing)
	}
	now := t.now()
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, l := range t.lines {
		switch through := l.through(); {
		case through == 0:
			why = append(why, "line "+l.cfg.ID+": no data yet")
		case now.Sub(through) > t.cfg.LateAfter:
			why = append(why, "line "+l.cfg.ID+": no data since "+through.String())
		default:
			for _, m := range l.ends() {
				if n := m.track.cp.Now(); n.Class == plant.ClassUnknown {
					why = append(why, "line "+l.cfg.ID+": machine "+m.cfg.ID+" is unknown since "+n.Since.String()+": "+n.Why)
				}
			}
		}
	}
	return len(why) == 0, why
}

package twin

import (
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"linetwin/plant"
)

// line is a line's settings with its machines.
type line struct {
	area      string
	cfg       *LineConfig
	calendar  *plant.Schedule // as the settings say; shifts gives what holds
	book      *atomic.Pointer[book]
	reasons   map[string]plant.Class // that stops may have
	machines  []*machine             // in the order of flow, then the rest
	steps     []step                 // of the flow
	neck      step                   // the bottleneck: it gives the line's time
	tellers   []*machine             // that tell orders, in the order in which their word holds
	ideals    []ideal                // of the bottleneck's machines
	noFailure map[string]bool        // reasons for which a stop is no failure of the machine
	names     map[string]plant.Name
	rules     TallyRules

	published map[plant.Time]published // closed shifts, by start
	recopy    plant.Spans              // restated since the outlet was last told
	recheck   plant.Time               // from when on figures changed since they were published; 0: nowhere
	why       string                   // what changed them; someone's words before late data
	unsettled plant.Time               // when late data was last on its way
	restates  int64                    // how often figures of the past changed
	version   uint64                   // raised with each change that can be seen
	sent      uint64                   // version that browsers have
}

// machine is a machine's settings with its track.
type machine struct {
	line            *line
	cfg             *MachineConfig
	characteristics []plant.Characteristic
	roles           map[string]plant.Role // signal -> role
	roleSignals     []string              // signals that the fold reads
	states          map[string]StateMeaning
	ideal           ideal

	track   *track
	tail    []tailed // what came while the track is folded again; nil when it is not
	folding bool
	scratch []plant.Reading // of take, whose readings are nobody's afterwards
	hints   []hinted        // of the signals of the last batch
	gateway string
	loaded  bool       // the ledger's past is in memory
	left    plant.Time // from here on it is in history only, until its time has come; 0: nothing
	// saving: the ledger is just being told what changes from savingSince on.
	saving      bool
	savingSince plant.Time
	saved       plant.Time // the ledger's last checkpoint, or what it may be just now
	late        plant.Time // what is older than saved and in history alone begins here; 0: nothing (late.go)
}

// tailed is a batch as a track takes it.
type tailed struct {
	readings []plant.Reading
	claim    plant.Span
	late     bool // it is no repeat
}

func newLine(cfg *Config, area string, lc *LineConfig, said *atomic.Pointer[book]) (*line, error) {
	l := &line{area: area, cfg: lc, book: said, reasons: leaves(cfg.Reasons, map[string]plant.Class{}), noFailure: noFailures(cfg.Reasons, map[string]bool{}), names: map[string]plant.Name{}, published: map[plant.Time]published{}}
	cal := cfg.Calendars[lc.Calendar]
	var err error
	if l.calendar, err = cal.Compile(); err != nil {
		return nil, fmt.Errorf("line %s: calendar %s: %w", lc.ID, lc.Calendar, err)
	}
	byID := map[string]*MachineConfig{}
	for i := range lc.Machines {
		byID[lc.Machines[i].ID] = &lc.Machines[i]
	}
	add := func(id string) {
		mc := byID[id]
		delete(byID, id)
		l.machines = append(l.machines, newMachine(cfg, l, mc))
		l.names[id] = mc.Name
	}
	for _, s := range lc.Flow {
		ids := machinesOf(s)
		for _, id := range ids {
			add(id)
		}
		l.steps = append(l.steps, l.machines[len(l.machines)-len(ids):])
	}
	l.neck = l.steps[l.stepOf(lc.Bottleneck)]
	for i := range lc.Machines {
		if _, rest := byID[lc.Machines[i].ID]; rest {
			add(lc.Machines[i].ID)
		}
	}
	l.rules = TallyRules{SmallStop: lc.SmallStop, BreaksWorked: lc.BreaksWorked, PlannedStopsAsSchedule: lc.PlannedStops}
	l.findTellers()
	l.bindIdeals(cfg)
	return l, nil
}

func newMachine(cfg *Config, l *line, mc *MachineConfig) *machine {
	m := &machine{line: l, cfg: mc, roles: map[string]plant.Role{}}
	states, ok := cfg.StateMaps[mc.States]
	if !ok {
		states = PackML()
	}
	model := &MachineModel{
		ID: mc.ID, Signals: maps.Clone(mc.Roles), States: states, Widths: maps.Clone(mc.Counters),
		Ideal: ideals(cfg, mc.ID, l.book), PiecesPerCount: mc.PiecesPerCount,
		StartupPieces: l.cfg.StartupCount, StartupTime: l.cfg.StartupTime, LongStop: l.cfg.LongStop,
		Products: mc.Products, DefaultProduct: l.cfg.Product,
	}
	if model.Widths == nil {
		model.Widths = map[plant.Role]int{}
	}
	for role, signal := range mc.Roles {
		m.roles[signal] = role
		m.roleSignals = append(m.roleSignals, signal)
	}
	for _, c := range mc.Characteristics {
		m.characteristics = append(m.characteristics, plant.Characteristic{
			ID: c.ID, Machine: mc.ID, Signal: c.Signal, Name: c.Name, Unit: c.Unit, LSL: c.LSL, USL: c.USL, Target: c.Target})
	}
	m.states, m.ideal = model.States, model.Ideal // they never change, so that sums need no lock
	m.track = &track{model: model, every: checkpointLive}
	return m
}

// ideals gives the ideal cycles of one machine: what was said of a time, else
// what the settings say. A product without one of its own has none: nothing is
// assumed.
func ideals(cfg *Config, machine string, said *atomic.Pointer[book]) func(string, plant.Time) (time.Duration, bool) {
	cycles := map[string]time.Duration{}
	for _, p := range cfg.Products {
		if c, ok := p.IdealCycle[machine]; ok {
			cycles[p.ID] = c
		}
	}
	return func(product string, at plant.Time) (time.Duration, bool) {
		if d, ok, known := said.Load().ideal(product, machine, at); known {
			return d, ok
		}
		c, ok := cycles[product]
		return c, ok
	}
}

// widths takes the counters' widths from what the gateway knows of the
// signals, where the settings say nothing. A model in use is never changed.
func (m *machine) widths(signals []plant.Signal) {
	for _, s := range signals {
		role, ok := m.roles[s.Name]
		if !ok || s.Counter == 0 || m.track.model.Widths[role] != 0 {
			continue
		}
		model := *m.track.model
		model.Widths = maps.Clone(model.Widths)
		model.Widths[role] = s.Counter
		m.track.model = &model
	}
}

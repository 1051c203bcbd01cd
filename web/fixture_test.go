package web

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"linetwin/plant"
)

// fixture is a plant that shows every state a page can meet: running, stopped,
// starved, blocked, changeover, planned stop, small stop, no shift, unknown,
// stale data and figures that cannot be computed. It is a pure function of the
// clock and of what was done to it.
type fixture struct {
	clock func() plant.Time
	base  plant.Time // when it began: states count from here
	quiet bool       // no history to fill, so that answers do not change

	mu     sync.Mutex
	flips  map[string]plant.Class // machines whose class was set by hand
	since  map[string]plant.Time
	acked  map[string]string
	said   []plant.Entry
	subs   map[chan plant.Change]bool
	closed int // subscriptions that were cancelled
}

func newFixture(clock func() plant.Time) *fixture {
	return &fixture{clock: clock, base: clock(), flips: map[string]plant.Class{}, since: map[string]plant.Time{}, acked: map[string]string{}, subs: map[chan plant.Change]bool{}}
}

func ptr[T any](v T) *T { return &v }

func name(en, zh string) plant.Name { return plant.Name{En: en, Zh: zh} }

// machineSeed is a machine as the fixture begins.
type machineSeed struct {
	id      string
	name    plant.Name
	class   plant.Class
	state   plant.State
	minutes float64
	fault   string
	why     string
	small   bool
	link    plant.Link
}

type lineSeed struct {
	id, bottleneck, cause, fault string
	name                         plant.Name
	product                      plant.Product
	pace                         float64 // share of the ideal pace
	age                          time.Duration
	machines                     []machineSeed
}

func lineSeeds() []lineSeed {
	run := func(id, en, zh string) machineSeed {
		return machineSeed{id, name(en, zh), plant.ClassRun, plant.StateExecute, 41, "", "", false, plant.LinkFlowing}
	}
	with := func(m machineSeed, c plant.Class, s plant.State, minutes float64, fault string) machineSeed {
		m.class, m.state, m.minutes, m.fault = c, s, minutes, fault
		return m
	}
	small := func(m machineSeed) machineSeed { m.small = true; return m }
	dark := func(m machineSeed, why string, link plant.Link) machineSeed {
		m.class, m.state, m.why, m.link, m.minutes = plant.ClassUnknown, "", why, link, 17
		return m
	}
	stations := func(p string) []machineSeed {
		return []machineSeed{
			run(p+"-assembly", "Coil and arc chute assembly", "线圈灭弧室装配"), run(p+"-welding", "Bimetal welding", "双金属片焊接"),
			run(p+"-riveting", "Riveting", "铆接"), run(p+"-calibration", "Thermal calibration", "热校准"),
			run(p+"-trip-test", "Trip test", "脱扣测试"), run(p+"-packing", "Packing", "包装"),
		}
	}
	a, b, c, d := stations("a"), stations("b"), stations("c"), stations("d")
	a[0] = with(a[0], plant.ClassBlocked, plant.StateSuspended, 9, "")
	a[1] = with(a[1], plant.ClassBlocked, plant.StateSuspended, 11, "")
	a[2] = with(a[2], plant.ClassStop, plant.StateHeld, 12.1, "feeder jam")
	a[3] = with(a[3], plant.ClassStarved, plant.StateSuspended, 11.4, "")
	a[4] = small(with(a[4], plant.ClassStarved, plant.StateSuspended, 1.2, ""))
	b[1] = small(with(b[1], plant.ClassStop, plant.StateHeld, 0.7, "E-0217 electrode wear limit"))
	b[5] = dark(b[5], "no data since 41 s: BadNodeIdUnknown", plant.LinkStale)
	c[0] = with(c[0], plant.ClassChangeover, plant.StateStopped, 23, "")
	c[1] = with(c[1], plant.ClassPlannedStop, plant.StateStopped, 64, "")
	c[3] = with(c[3], plant.ClassChangeover, plant.StateStopped, 22, "")
	for i := range d {
		d[i] = dark(d[i], "no data: gateway edge-2 is away", plant.LinkDown)
	}
	press := []machineSeed{
		with(run("press-1", "Moulding press 1", "注塑机 1"), plant.ClassNotScheduled, plant.StateIdle, 190, ""),
		with(run("press-2", "Moulding press 2", "注塑机 2"), plant.ClassNotScheduled, plant.StateIdle, 190, ""),
	}
	c16 := plant.Product{ID: "NB1-C16", Name: name("MCB C16", "小型断路器 C16")}
	c63 := plant.Product{ID: "NB1-C63", Name: name("MCB C63 1P", "小型断路器 C63 1P")}
	return []lineSeed{
		{"mcb-a", "a-calibration", "a-riveting", "feeder jam", name("Breaker line A", "断路器 A 线"), c16, 0.86, 700 * time.Millisecond, a},
		{"mcb-b", "b-calibration", "", "", name("Breaker line B", "断路器 B 线"), c63, 0.97, 400 * time.Millisecond, b},
		{"mcb-c", "c-calibration", "c-calibration", "", name("Breaker line C", "断路器 C 线"), c16, 0.71, 900 * time.Millisecond, c},
		{"mcb-d", "d-calibration", "d-calibration", "", name("Breaker line D", "断路器 D 线"), c63, 0.62, 17 * time.Minute, d},
		{"moulding", "press-1", "", "", name("Moulding shop", "注塑车间"), plant.Product{}, 0, 1200 * time.Millisecond, press},
	}
}

func (f *fixture) Snapshot() plant.Snapshot {
	now := f.clock()
	s := plant.Snapshot{Site: "songjiang", Zone: "Asia/Shanghai", Time: now, Version: "1.2.0", Gateways: f.gateways(now), Alerts: f.alerts(now)}
	for _, seed := range lineSeeds() {
		s.Lines = append(s.Lines, f.line(seed, now))
	}
	s.Plant = figures(plant.Span{From: shiftStart(now), To: now}, 0.79)
	if !f.quiet {
		s.Backlog = &plant.BacklogReport{Gateway: "edge-1", Waiting: 18412, Through: now.Add(-38 * time.Minute), Done: 0.63}
		s.Notices = []plant.Notice{
			{Kind: "history", Text: "write to history: database is locked", Count: 12, Last: now.Add(-time.Minute)},
			{Kind: "wire", Text: "message on spBv1.0/assembly/DDATA/edge-9/x is not Sparkplug", Count: 3, Last: now.Add(-4 * time.Minute)},
		}
	}
	return s
}

// shiftStart gives the start of the running shift, 5 to 6 hours ago.
func shiftStart(now plant.Time) plant.Time { return now.Floor(time.Hour).Add(-5 * time.Hour) }

func (f *fixture) line(seed lineSeed, now plant.Time) plant.LineSnapshot {
	start := shiftStart(now)
	shift := plant.ShiftInstance{Name: "day", Day: start.Std().Format("2006-01-02"), Span: plant.Span{From: start, To: start.Add(8 * time.Hour)},
		Breaks: []plant.Span{{From: start.Add(210 * time.Minute), To: start.Add(240 * time.Minute)}}}
	l := plant.LineSnapshot{ID: seed.id, Area: "assembly", Name: seed.name, Bottleneck: seed.bottleneck, Bottlenecks: []string{seed.bottleneck},
		Through: now.Add(-seed.age), DataAgeMs: ptr(seed.age.Milliseconds())}
	if seed.pace == 0 {
		l.State = plant.LineState{Class: plant.ClassNotScheduled, Since: start}
		l.Figures = plant.Figures{Span: plant.Span{From: start.Add(-8 * time.Hour), To: start}, Flags: []string{"no_ideal_cycle"},
			Why: map[string]string{"oee": "no ideal cycle for press-1", "performance": "no ideal cycle for press-1", "quality": "no pieces", "availability": "no planned time", "coverage": "no planned time"}}
		l.Through = now.Add(-seed.age)
	} else {
		pieces := now.Sub(start).Seconds() / 1.83
		l.Shift, l.Product = &shift, &seed.product
		l.Order = &plant.Order{ID: "4711", Line: seed.id, Product: seed.product.ID, Quantity: 12000, Span: plant.Span{From: start}}
		l.OrderSource = plant.OrderByPLC
		l.Good, l.Reject = int64(pieces*seed.pace*0.98), int64(pieces*seed.pace*0.02)
		l.Target, l.ShiftGoal = ptr(pieces), ptr(7.5*3600/1.83)
		l.Figures = figures(plant.Span{From: start, To: now}, seed.pace)
		l.OEE = l.Figures.OEE
		l.Hours = hours(start, now, seed.pace)
	}
	for _, m := range seed.machines {
		l.Machines = append(l.Machines, f.machine(m, seed, now))
		l.Flow = append(l.Flow, []string{m.id})
		if m.id == seed.bottleneck && seed.pace > 0 {
			b := l.Machines[len(l.Machines)-1]
			l.State = plant.LineState{Class: b.Class, Small: b.Small, Since: b.Since, Cause: seed.cause, Fault: seed.fault, Why: b.Why}
		}
	}
	if seed.id == "mcb-a" {
		l.Alerts = 3
	}
	return l
}

func hours(start, now plant.Time, pace float64) []plant.HourCount {
	var out []plant.HourCount
	for i := 0; i < 6; i++ {
		span := plant.Span{From: start.Add(time.Duration(i) * time.Hour), To: min(start.Add(time.Duration(i+1)*time.Hour), now)}
		share := span.Length().Hours() * (1 - 0.25*math.Abs(math.Sin(float64(i)*2.1)))
		if i == 3 {
			share *= 0.5
		}
		h := plant.HourCount{Span: span, Good: int64(1967 * share * pace), Reject: int64(22 * share), Target: ptr(1967 * span.Length().Hours())}
		h.OEE = ptr(share * pace)
		out = append(out, h)
	}
	return out
}

func figures(span plant.Span, pace float64) plant.Figures {
	planned := span.Length().Seconds() - 1800
	unknown := planned * 0.021
	known := planned - unknown
	a, q := 0.955-0.4*(1-pace), 0.981
	p := math.Min(pace+0.05, 0.99)
	oee := a * p * q
	run := known * a
	held := plant.SwitchesHeld{Span: span, Lines: []string{"mcb-a"}, SmallStop: plant.Length(2 * time.Minute)}
	return plant.Figures{Span: span, PlannedS: planned, KnownS: known, Coverage: ptr(known / planned), RunS: run,
		Good: int64(run * p * q / 1.83), Reject: int64(run * p * (1 - q) / 1.83), Total: int64(run * p / 1.83),
		Availability: &a, Performance: &p, Quality: &q, OEE: &oee, OEELow: ptr(oee * known / planned), OEEHigh: ptr((oee*known + unknown) / planned),
		TEEP: ptr(oee * 0.9), Provisional: true, Switches: []plant.SwitchesHeld{held}, Stops: 7, SmallStops: 19, Changeovers: 1, Flags: []string{"counter_reset", "order_not_entered"},
		Losses: plant.Losses{Schedule: 1800, Unknown: unknown, UnplannedStop: known * (1 - a) * 0.8, PlannedStop: known * (1 - a) * 0.2, SmallStop: run * (1 - p) * 0.4,
			ReducedSpeed: run * (1 - p) * 0.6, ProductionReject: run * p * (1 - q) * 0.8, StartupReject: run * p * (1 - q) * 0.2, Productive: run * p * q,
			Starved: known * (1 - a) * 0.3, Blocked: known * (1 - a) * 0.1, Changeover: known * (1 - a) * 0.2}}
}

func (f *fixture) machine(m machineSeed, l lineSeed, now plant.Time) plant.MachineSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := plant.MachineSnapshot{ID: m.id, Name: m.name, Class: m.class, Small: m.small, State: m.state, Since: f.base.Add(-time.Duration(m.minutes * float64(time.Minute))),
		Fault: m.fault, Why: m.why, Through: now.Add(-l.age), Gateway: "edge-1", Link: m.link}
	if l.pace > 0 {
		out.Good = int64(now.Sub(shiftStart(now)).Seconds() / 1.83 * l.pace)
		out.Reject = out.Good / 60
	}
	if m.class != plant.ClassUnknown && l.pace > 0 {
		out.OEE, out.Availability = ptr(l.pace*0.9), ptr(l.pace)
	}
	if c, ok := f.flips[m.id]; ok {
		out.Class, out.Since, out.Small, out.Fault, out.Why, out.State = c, f.since[m.id], false, "", "", plant.StateExecute
		if c == plant.ClassStop {
			out.Fault, out.State = "emergency stop", plant.StateAborted
		}
	}
	if m.id == "a-calibration" {
		out.Measurements = []plant.Measured{{Characteristic: plant.Characteristic{ID: "trip-time", Machine: m.id, Signal: "trip_time", Name: name("Trip time", "脱扣时间"), Unit: "s", LSL: ptr(1.0), USL: ptr(60.0)},
			Value: ptr(23.4), Time: now.Add(-2 * time.Second), Within: true}}
	}
	return out
}

// flip sets a machine to run or stop and tells the readers.
func (f *fixture) flip(machine string) (plant.Class, error) {
	for _, seed := range lineSeeds() {
		for _, m := range seed.machines {
			if m.id != machine {
				continue
			}
			f.mu.Lock()
			class := plant.ClassStop
			if f.flips[machine] == plant.ClassStop {
				class = plant.ClassRun
			}
			f.flips[machine], f.since[machine] = class, f.clock()
			f.mu.Unlock()
			l := f.line(seed, f.clock())
			f.send(plant.Change{Line: &l})
			return class, nil
		}
	}
	return 0, fmt.Errorf("machine %s: %w", machine, plant.ErrNotFound)
}

// send gives a change to every reader; one that is full is closed.
func (f *fixture) send(c plant.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.subs {
		select {
		case ch <- c:
		default:
			delete(f.subs, ch)
			close(ch)
		}
	}
}

func (f *fixture) Subscribe() (<-chan plant.Change, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan plant.Change, 16)
	f.subs[ch] = true
	return ch, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs, ch)
		f.closed++
	}
}

// live sends what changes once a second until ctx ends.
func (f *fixture) live(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := f.Snapshot()
		for i := range s.Lines {
			f.send(plant.Change{Line: &s.Lines[i]})
		}
		for i := range s.Gateways {
			f.send(plant.Change{Gateway: &s.Gateways[i]})
		}
		f.send(plant.Change{Plant: &s.Plant})
		f.send(plant.Change{Backlog: s.Backlog})
		for _, m := range []string{"a-riveting", "a-calibration", "b-calibration"} {
			signals, _ := f.Signals(m)
			f.send(plant.Change{Signals: signals[:5]})
		}
	}
}

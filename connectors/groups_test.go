package connectors

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
)

const grouped2 = `
- machine: press
  every: 200ms
  groups: [{name: slow, every: 5s}, {name: unused, every: 1m}]
  modbus: {url: "tcp://127.0.0.1:1502"}
  signals:
    - {name: a, address: "holding:0", type: uint16}
    - {name: b, address: "holding:1", type: uint16, group: slow}
- machine: oven
  every: 200ms
  groups: [{name: slow, every: 5s}, {name: events, mode: subscribe, publishing: 250ms}]
  opcua: {url: "opc.tcp://127.0.0.1:1", security: None, max_items: 3}
  signals:
    - {name: c, node: "i=1", type: float64, group: slow, deadband_percent: 2}
    - {name: d, node: "i=2", type: float64, group: events, deadband: 0.5}
`

func TestGroupsAreOpened(t *testing.T) {
	all, err := Open(load(t, grouped2), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all {
		for _, g := range s.groups {
			names = append(names, s.machine+" "+g.name+" "+g.every.String()+" "+g.limit.String())
		}
	}
	want := []string{"press  200ms 600ms", "press slow 5s 15s", "oven slow 5s 15s", "oven events 200ms 5.25s"}
	if !slices.Equal(names, want) {
		t.Errorf("groups %q, want %q", names, want)
	}
	if d := all[1].Deadbands(); len(d) != 1 || d["d"] != 0.5 {
		t.Errorf("the gateway applies the deadbands %v", d)
	}
}

func TestBadGroups(t *testing.T) {
	for _, c := range []struct{ name, was, is, want string }{
		{"too often", "every: 5s}, {name: unused", "every: 100ms}, {name: unused", "devices[0].groups[0].every: found 100ms, allowed: the device's every (200ms) to 1h0m0s"},
		{"never", "{name: slow, every: 5s}, {name: unused", "{name: slow}, {name: unused", "devices[0].groups[0].every: missing, allowed: how often the group is read"},
		{"twice", "{name: unused", "{name: slow", "devices[0].groups[1].name: found slow, allowed: a name of its own; groups[0]"},
		{"no name", "{name: unused", "{name: 'a b'", "devices[0].groups[1].name: found a b"},
		{"subscribed registers", "every: 1m}", "every: 1m, mode: subscribe, queue: 4}", "devices[0].groups[1].mode: found subscribe, allowed: only with opcua"},
		{"not there", "group: events", "group: event", "devices[1].signals[1].group: found event, allowed: one of the device's groups: slow, events"},
		{"a poll that publishes", "mode: subscribe, publishing", "publishing", "devices[1].groups[1].publishing: found 250ms, allowed: only with mode: subscribe"},
		{"sampling", "publishing: 250ms", "sampling: 2h", "devices[1].groups[1].sampling: found 2h0m0s, allowed: 1ms to 1h"},
		{"mode", "mode: subscribe", "mode: listen", `devices[1].groups[1].mode: found "listen", allowed: poll or subscribe`},
		{"percent of a register", "uint16, group", "uint16, deadband_percent: 1, group", "devices[0].signals[1].deadband_percent: found 1, allowed: only with opcua: a register"},
		{"percent", "deadband_percent: 2", "deadband_percent: 101", "devices[1].signals[0].deadband_percent: found 101, allowed: more than 0, to 100"},
		{"both deadbands", "deadband_percent: 2", "deadband_percent: 2, deadband: 1", "devices[1].signals[0].deadband_percent: found 2, allowed: deadband or deadband_percent"},
		{"percent of a text", "type: float64, group: slow", "type: string, group: slow", "devices[1].signals[0].deadband_percent: found 2, allowed: only with a number; this is string"},
		{"more than the server takes", "max_items: 3", "max_items: 1", "max_items: found 2 subscribed nodes of all machines of this server, heartbeats included, allowed: at most 1"},
		{"server's deadband", "max_items: 3", "server_deadband: maybe", `devices[1].opcua.server_deadband: found "maybe", allowed: auto or never`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(grouped2, c.was) {
				t.Fatalf("the settings have no %q", c.was)
			}
			_, err := Open(load(t, strings.Replace(grouped2, c.was, c.is, 1)), Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// paced is a scripted device that looks at its second signal more rarely, and
// may stop to.
type paced struct {
	*script
	at    map[string]time.Time
	notes []string
}

func (p *paced) Looked(group string) time.Time { return p.at[group] }
func (p *paced) Notes() []string               { return p.notes }

func TestAGroupIsStaleAfterItsOwnIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, _ := scripted()
		p := &paced{script: d, at: map[string]time.Time{}, notes: []string{"a note"}}
		s.device = p
		s.groups = []watched{{every: time.Second, limit: 3 * time.Second, signals: []int{0}}, {name: "slow", every: 10 * time.Second, limit: 30 * time.Second, signals: []int{1}}}
		for i := range 60 {
			p.at[""] = time.Now()
			if i == 0 || i == 10 || i == 20 {
				p.at["slow"] = time.Now()
			}
			next(t, s)
			state := s.Status()
			stale := i >= 50 // the last look was at 19 s
			if len(state.Groups) != 2 || state.Groups[0].Stale || state.Groups[1].Stale != stale || (state.Link == plant.LinkStale) != stale {
				t.Fatalf("after %d s: %+v", i, state)
			}
			if stale && state.Reason != `no data of group "slow" for more than 30s` {
				t.Errorf("reason %q", state.Reason)
			}
		}
		state := s.Status()
		if !slices.Equal(state.Notes, []string{"a note"}) || state.Groups[1].Name != "slow" || state.Groups[1].EveryMs != 10_000 || state.Groups[1].Signals != 1 {
			t.Errorf("status %+v", state)
		}
		d.poll = errors.New("no answer")
		next(t, s)
		if state := s.Status(); state.Link != plant.LinkDown || state.Groups[0].BadNow != 1 || state.Groups[1].BadNow != 1 {
			t.Errorf("while it is lost: %+v", state)
		}
	})
}

// Rounds may hold some of the signals, in any order.
func TestBadnessOfPartialRounds(t *testing.T) {
	b := newBadness([]plant.Signal{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	reading := func(signal string, q plant.Quality) plant.Reading {
		return plant.Reading{Signal: signal, Quality: q, Reason: q.String()}
	}
	for i, c := range []struct {
		round []plant.Reading
		count int
	}{
		{[]plant.Reading{reading("a", plant.Good), reading("b", plant.Bad), reading("c", plant.Bad)}, 2},
		{[]plant.Reading{reading("c", plant.Good)}, 1},
		{nil, 1},
		{[]plant.Reading{reading("b", plant.Good), reading("a", plant.Bad), reading("a", plant.Bad)}, 1},
		{[]plant.Reading{reading("c", plant.Bad), reading("a", plant.Good)}, 1},
		{[]plant.Reading{reading("c", plant.Uncertain), reading("x", plant.Bad)}, 0},
	} {
		if b.take(c.round); b.count != c.count {
			t.Errorf("round %d: %d bad, want %d", i, b.count, c.count)
		}
	}
	if b.all(); b.among([]int{0, 2}) != 2 {
		t.Error("all are bad")
	}
}

// A slow group costs its line little, and is no part of a usual look.
func TestLoadOfSlowGroups(t *testing.T) {
	cfgs := load(t, grouped2)[:1]
	for i := range cfgs {
		if f := cfgs[i].Check(); len(f) > 0 {
			t.Fatal(f)
		}
	}
	lines := predict(cfgs)
	if len(lines) != 1 || len(lines[0].load.Shares) != 2 || lines[0].load.Shares[1].Every != 5*time.Second {
		t.Fatalf("predicted %+v", lines)
	}
	if u := lines[0].load.Utilisation; u < 0.0259 || u > 0.0261 { // 5 ms each 200 ms, and each 5 s
		t.Errorf("the line is busy for %v of its time", u)
	}
	if p := plans(cfgs, slog.New(slog.DiscardHandler))["press"]; p.requests != 1 {
		t.Errorf("a usual look has %d requests, want 1", p.requests)
	}
}

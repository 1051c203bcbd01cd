package simulator

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// tree is a YAML value with its path, for messages.
type tree struct {
	t    *testing.T
	path string
	v    any
}

func (n tree) at(key string) tree {
	n.t.Helper()
	m, ok := n.v.(map[string]any)
	if !ok {
		n.t.Fatalf("%s: not a mapping but %T", n.path, n.v)
	}
	return tree{n.t, n.path + "." + key, m[key]}
}

func (n tree) list() []tree {
	n.t.Helper()
	l, ok := n.v.([]any)
	if !ok {
		n.t.Fatalf("%s: not a list but %T", n.path, n.v)
	}
	var all []tree
	for i, v := range l {
		all = append(all, tree{n.t, fmt.Sprintf("%s[%d]", n.path, i), v})
	}
	return all
}

func (n tree) text() string {
	if n.v == nil {
		return ""
	}
	return fmt.Sprint(n.v)
}

func (n tree) duration() time.Duration {
	n.t.Helper()
	d, err := time.ParseDuration(n.text())
	if err != nil {
		n.t.Fatalf("%s: %v", n.path, err)
	}
	return d
}

func (n tree) want(what any) {
	n.t.Helper()
	if n.text() != fmt.Sprint(what) {
		n.t.Errorf("%s: %s, want %v", n.path, n.text(), what)
	}
}

func demo(t *testing.T) tree {
	t.Helper()
	text, err := os.ReadFile("../configs/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return tree{t, "demo", v}
}

// described is the plant as the demo has it.
func described(t *testing.T) (Description, map[string]Machine) {
	d := offline(t, 1, monday()).Describe()
	machines := map[string]Machine{}
	for _, m := range d.Machines {
		machines[m.ID] = m
	}
	return d, machines
}

func TestDemoGateways(t *testing.T) {
	_, machines := described(t)
	seen := map[string]bool{}
	for i, g := range demo(t).at("gateways").list() {
		g.at("gateway").want(fmt.Sprintf("edge-%d", i+1))
		for _, d := range g.at("devices").list() {
			id := d.at("machine").text()
			m, ok := machines[id]
			if !ok || seen[id] || m.Line != []string{"mcb-a", "mcb-b"}[i] {
				t.Errorf("%s: %s", d.path, id)
				continue
			}
			seen[id] = true
			checkDevice(d, m)
		}
	}
	if len(seen) != len(machines) {
		t.Errorf("%d machines have a device, the plant has %d", len(seen), len(machines))
	}
}

func checkDevice(d tree, m Machine) {
	d.t.Helper()
	way := d.at(m.Protocol)
	way.at("url").want(m.URL)
	if m.Protocol == "modbus" {
		way.at("unit").want(m.Unit)
	}
	wanted := map[string]Signal{}
	for _, s := range m.Signals {
		wanted[s.Name] = s
	}
	for _, s := range d.at("signals").list() {
		w, ok := wanted[s.at("name").text()]
		if !ok {
			d.t.Errorf("%s: %s has no signal %q", s.path, m.ID, s.at("name").text())
			continue
		}
		delete(wanted, w.Name)
		s.at("node").want(w.Node)
		s.at("address").want(w.Address)
		s.at("type").want(w.Type)
		s.at("order").want(w.Order)
		s.at("unit").want(w.Unit)
		if w.Counter == 16 {
			s.at("counter").want(16)
		}
	}
	for name := range wanted {
		d.t.Errorf("%s: signal %s is not read", d.path, name)
	}
}

func TestDemoCalendarAndStates(t *testing.T) {
	d, _ := described(t)
	twin := demo(t).at("twin")
	calendar := twin.at("calendars").at("three-shift")
	calendar.at("zone").want(Zone().String())
	if n := len(calendar.at("days").list()); n != 7 {
		t.Errorf("%d days", n)
	}
	clock := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", d/time.Hour, d%time.Hour/time.Minute) }
	shifts := calendar.at("shifts").list()
	if len(shifts) != len(d.Shifts) {
		t.Fatalf("%d shifts, want %d", len(shifts), len(d.Shifts))
	}
	for i, s := range d.Shifts {
		shifts[i].at("name").want(s.Name)
		shifts[i].at("start").want(clock(s.Start))
		pause := shifts[i].at("breaks").list()[0]
		pause.at("start").want(clock(s.Break))
		if shifts[i].at("length").duration() != s.Length || pause.at("length").duration() != s.Pause {
			t.Errorf("%s: lengths differ from the plan's", shifts[i].path)
		}
	}
	states := twin.at("state_maps").at("breaker")
	for _, s := range d.States {
		m := states.at(fmt.Sprint(s.Value))
		m.at("state").want(s.PackML)
		m.at("class").want(s.Class)
	}
	if got := len(states.v.(map[string]any)); got != len(d.States) {
		t.Errorf("%d states in the map, the plant has %d", got, len(d.States))
	}
}

func TestDemoLines(t *testing.T) {
	d, machines := described(t)
	for i, l := range demo(t).at("twin").at("areas").list()[0].at("lines").list() {
		line := d.Lines[i]
		l.at("id").want(line.ID)
		l.at("bottleneck").want(line.Bottleneck)
		l.at("flow").want(line.Machines)
		for k, n := range l.at("machines").list() {
			m := machines[line.Machines[k]]
			n.at("id").want(m.ID)
			n.at("name").at("zh").want(m.Zh)
			known := map[string]bool{}
			for _, s := range m.Signals {
				known[s.Name] = true
				if s.Counter != 0 {
					n.at("counters").at(s.Name).want(s.Counter)
				}
			}
			for role, signal := range n.at("roles").v.(map[string]any) {
				if !known[fmt.Sprint(signal)] {
					t.Errorf("%s: role %s is played by %v, which the machine has not", n.path, role, signal)
				}
			}
			c := n.at("characteristics").list()[0]
			c.at("signal").want(m.Measure.Signal)
			for key, want := range map[string]*float64{"lsl": m.Measure.LSL, "usl": m.Measure.USL} {
				if want == nil {
					c.at(key).want("")
				} else {
					c.at(key).want(*want)
				}
			}
		}
	}
}

func TestDemoIdealCycles(t *testing.T) {
	d, machines := described(t)
	for i, p := range demo(t).at("twin").at("products").list() {
		p.at("id").want(d.Products[i].ID)
		for id, m := range machines {
			best, ok := m.Cycles[d.Products[i].ID]
			cycle := p.at("ideal_cycle").at(id)
			switch {
			case !ok:
				cycle.want("")
			case id == "a-marking":
				if cycle.duration() <= best {
					t.Errorf("%s: %s is not set too slow, the machine can %s", cycle.path, cycle.text(), best)
				}
			case cycle.duration() != best:
				t.Errorf("%s: %s, want %s", cycle.path, cycle.text(), best)
			}
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"linetwin/plant"
)

// truth is what the simulated plant knows of itself.
type truth struct {
	Now      int64             `json:"now"`
	States   map[string]string `json:"states"` // number -> time class
	Machines []machineTruth    `json:"machines"`
}

type machineTruth struct {
	Machine  string     `json:"machine"`
	Line     string     `json:"line"`
	Good     int64      `json:"good"`
	Reject   int64      `json:"reject"`
	Segments [][2]int64 `json:"segments"` // ms, state
}

// account is one machine's time by class and its transitions.
type classSpan struct {
	plant.Span
	class string
}

// segments gives the truth as spans of equal class, up to an instant.
func (m *machineTruth) segments(states map[string]string, to plant.Time) []classSpan {
	var all []classSpan
	for i, s := range m.Segments {
		span := plant.Span{From: plant.FromMilli(s[0]), To: to}
		if i+1 < len(m.Segments) {
			span.To = plant.FromMilli(m.Segments[i+1][0])
		}
		class := states[fmt.Sprint(s[1])]
		if n := len(all); n > 0 && all[n-1].class == class {
			all[n-1].To = span.To
			continue
		}
		all = append(all, classSpan{span, class})
	}
	return all
}

// stand stops every machine of the plant, so that the final figures can be
// compared to the piece.
func (f *factory) stand() {
	f.t.Helper()
	now := mustGet[truth](f.t, f.control+"/ledger")
	for _, m := range now.Machines {
		// One that is jammed already stands, though it may go on by itself.
		err := tryPost(f.t, f.control+"/jam", map[string]any{"machine": m.Machine, "fault": 7, "seconds": 3600 * f.speed})
		if err != nil && !strings.Contains(err.Error(), "jammed already") {
			f.t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second) // longer than the slowest poll and its heartbeat
}

// drained tells whether history has acknowledged all that was read.
func (f *factory) drained() bool {
	var gs []plant.GatewayLive
	if get(f.api+"/api/v1/gateways", &gs) != nil || len(gs) != 2 {
		return false
	}
	for _, g := range gs {
		if g.Waiting > 1 { // a heartbeat on its way
			return false
		}
	}
	return true
}

// settled waits until the twin shows the pieces of the truth; it gives what
// differs when it does not get there.
func (f *factory) settled() []string {
	f.t.Helper()
	var differ []string
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		differ = f.pieces(mustGet[truth](f.t, f.control+"/ledger"))
		if len(differ) == 0 {
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return differ
}

func (f *factory) pieces(want truth) []string {
	got := map[string]plant.MachineSnapshot{}
	for _, id := range []string{"mcb-a", "mcb-b"} {
		l, err := f.line(id)
		if err != nil {
			return []string{err.Error()}
		}
		for _, m := range l.Machines {
			got[m.ID] = m
		}
	}
	var differ []string
	for _, m := range want.Machines {
		m.Good, m.Reject = f.counted(m.Machine, "good", m.Good), f.counted(m.Machine, "reject", m.Reject)
		if g, ok := got[m.Machine]; ok && (g.Good != m.Good || g.Reject != m.Reject) {
			differ = append(differ, fmt.Sprintf("%s: twin %d good %d reject, plant %d and %d", m.Machine, g.Good, g.Reject, m.Good, m.Reject))
		}
	}
	return differ
}

// times holds the twin's time in each class against the truth's, over the time
// that the twin says it knows. Each change may be off by one poll interval.
func (f *factory) times(want truth, unknownMost func(machine string) time.Duration) {
	f.t.Helper()
	const poll = 200 * time.Millisecond
	for _, line := range []string{"mcb-a", "mcb-b"} {
		eventually(f.t, line+" is known up to the ledger's time", func() bool {
			l := mustGet[plant.LineSnapshot](f.t, f.api+"/api/v1/lines/"+line)
			return !slices.ContainsFunc(l.Machines, func(m plant.MachineSnapshot) bool { return m.Through < plant.FromMilli(want.Now) })
		})
		q := url.Values{"from": {plant.FromMilli(want.Now).Add(-time.Hour).String()}, "to": {plant.FromMilli(want.Now).String()}}
		tl := mustGet[plant.Timeline](f.t, f.api+"/api/v1/lines/"+line+"/timeline?"+q.Encode())
		for _, row := range tl.Machines {
			var m *machineTruth
			for i := range want.Machines {
				if want.Machines[i].Machine == row.Machine {
					m = &want.Machines[i]
				}
			}
			if m == nil || len(row.Segments) == 0 {
				f.t.Errorf("%s: no segments", row.Machine)
				continue
			}
			truth := m.segments(want.States, plant.FromMilli(want.Now))
			got, true_ := map[string]time.Duration{}, map[string]time.Duration{}
			changes := 0
			var unknown time.Duration
			for i, s := range row.Segments {
				changes++
				s.To = min(s.To, plant.FromMilli(want.Now))
				if s.Class == plant.ClassUnknown {
					// The first look over OPC UA may tell a counter of a time before
					// that of the state: the machine is unknown in between, as before.
					if i > 0 || s.Length() > poll {
						unknown += s.Length()
					}
					continue
				}
				got[s.Class.String()] += s.Length()
				for _, w := range truth {
					if o := w.Overlap(s.Span); !o.Empty() {
						true_[w.class] += o.Length()
					}
				}
			}
			for class := range merge(got, true_) {
				if diff := (got[class] - true_[class]).Abs(); diff > time.Duration(changes)*poll {
					f.t.Errorf("%s: %s for %s, plant says %s (%d changes)", row.Machine, class, got[class], true_[class], changes)
				}
			}
			if most := unknownMost(row.Machine); unknown > most {
				f.t.Errorf("%s: unknown for %s, nobody could know for at most %s: %+v", row.Machine, unknown, most, unknowns(row.Segments))
			}
		}
	}
}

func unknowns(ss []plant.Segment) []plant.Span {
	var all []plant.Span
	for _, s := range ss {
		if s.Class == plant.ClassUnknown {
			all = append(all, s.Span)
		}
	}
	return all
}

func merge(a, b map[string]time.Duration) map[string]bool {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}

// stored gives a signal's points in InfluxDB, by time.
func (f *factory) stored(machine, field string) (points [][2]any) {
	f.t.Helper()
	answer := f.influx.Query(f.t, database, fmt.Sprintf(`SELECT %q FROM "reading" WHERE "machine" = '%s'`, field, machine))
	var doc struct {
		Results []struct {
			Series []struct {
				Values [][2]any `json:"values"`
			} `json:"series"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(answer), &doc); err != nil {
		f.t.Fatal(err)
	}
	for _, r := range doc.Results {
		for _, s := range r.Series {
			points = append(points, s.Values...)
		}
	}
	return points
}

// counted gives how far a counter went over all that is stored, which the plant
// says was made in all. The pieces from before the first look are nobody's.
func (f *factory) counted(machine, counter string, made int64) int64 {
	f.t.Helper()
	var values []int64
	var first time.Time
	for _, p := range f.stored(machine, counter) {
		n, ok := p[1].(float64)
		if !ok {
			continue
		}
		if values = append(values, int64(n)); first.IsZero() {
			first, _ = time.Parse(time.RFC3339Nano, fmt.Sprint(p[0]))
		}
	}
	if len(values) == 0 {
		f.t.Errorf("%s: no %s is stored", machine, counter)
		return 0
	}
	went := values[len(values)-1] - values[0]
	if went < 0 {
		went += 1 << 16 // the counters of 16 bits roll over
	}
	// No machine makes a piece in less than 1.4 s of its time.
	most := 2 + int64(f.speed*first.Sub(f.began).Seconds()/1.4)
	if before := made - went; before < -3 || before > most { // it may go on while we ask
		f.t.Errorf("%s: the stored counter %s went on by %d, the plant made %d", machine, counter, went, made)
	}
	return went
}

// states holds the stored state changes of a machine against the truth: each
// once, with the source's time. Exact tells that the source gives the very
// time of the change (OPC UA); else it is that of the look that found it.
func (f *factory) states(m machineTruth, exact bool, from plant.Time) {
	f.t.Helper()
	at := map[int64]int{}
	for _, p := range f.stored(m.Machine, "state") {
		t, err := time.Parse(time.RFC3339Nano, p[0].(string))
		if err != nil {
			f.t.Fatal(err)
		}
		at[t.UnixMilli()]++
	}
	for t, n := range at {
		if n != 1 {
			f.t.Errorf("%s: %d points of state at %s", m.Machine, n, plant.FromMilli(t))
		}
	}
	if !exact {
		return
	}
	missing := 0
	for i, s := range m.Segments {
		long := i+1 == len(m.Segments) || m.Segments[i+1][0]-s[0] > 400 // shorter ones fall between two looks
		if plant.FromMilli(s[0]) > from && long && at[s[0]] == 0 {
			missing++
			f.t.Logf("%s: state %d of %s is not stored with its time", m.Machine, s[1], plant.FromMilli(s[0]))
		}
	}
	if missing > 0 {
		f.t.Errorf("%s: %d of %d state changes are not stored with the source's time", m.Machine, missing, len(m.Segments))
	}
}

// TestChain runs the whole chain as separate processes, takes away one part
// after the other, and holds the twin's figures against the plant's own ledger.
func TestChain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute and a half")
	}
	f := newFactory(t, 4)
	eventually(t, "both lines flow", f.flowing)
	began := plant.At(time.Now())
	time.Sleep(5 * time.Second)

	step := func(name string, fault func()) {
		t.Helper()
		at := time.Now()
		fault()
		eventually(t, "data flows again after: "+name, f.flowing)
		t.Logf("%s: flowing again after %.1f s", name, time.Since(at).Seconds())
		time.Sleep(2 * time.Second)
	}
	step("broker away for 4 s", func() {
		f.broker.end(syscall.SIGTERM)
		time.Sleep(4 * time.Second)
		f.broker.start()
	})
	step("twin away for 4 s", func() {
		if err := f.twin.end(syscall.SIGTERM); err != nil {
			t.Errorf("twin: %v", err)
		}
		time.Sleep(4 * time.Second)
		f.twin.start()
	})
	step("InfluxDB away for 5 s", func() {
		f.influx.Stop(t)
		time.Sleep(5 * time.Second)
		if !f.flowing() {
			t.Error("the live picture waits for InfluxDB")
		}
		f.influx.Start(t)
	})
	stalled := time.Now()
	step("PLC refuses for 4 s", func() {
		post(t, f.control+"/stall", map[string]any{"machine": "a-riveting", "mode": "refuse"})
		time.Sleep(4 * time.Second)
		post(t, f.control+"/resume", map[string]any{"machine": "a-riveting"})
	})
	plcAway := time.Since(stalled)
	killed := time.Now()
	step("gateway killed", func() {
		f.edges["edge-1"].end(syscall.SIGKILL)
		f.edges["edge-1"].start()
		f.edges["edge-1"].says("device is read")
	})
	gatewayAway := time.Since(killed)

	lied := f.lie("b-welding")
	f.intrude()
	f.askWrongly()

	f.stand()
	eventually(t, "the gateways hold nothing back", f.drained)
	if differ := f.settled(); len(differ) > 0 {
		t.Errorf("pieces differ:\n%s", strings.Join(differ, "\n"))
	}
	want := mustGet[truth](t, f.control+"/ledger")
	var made int64
	for _, m := range want.Machines {
		made += m.Good + m.Reject
	}
	t.Logf("%d pieces of %d machines compared", made, len(want.Machines))
	f.audited(began)
	f.times(want, func(machine string) time.Duration {
		switch {
		case machine == "b-welding":
			return lied
		case machine == "a-riveting" || machine == "a-assembly": // units behind one address
			return plcAway + gatewayAway
		case strings.HasPrefix(machine, "a-"):
			return gatewayAway
		}
		return 0
	})
	opc := map[string]bool{}
	for _, s := range mustGet[plantDescription](t, f.control+"/describe").Machines {
		opc[s.ID] = s.Protocol == "opcua"
	}
	for _, m := range want.Machines {
		f.states(m, opc[m.Machine] && strings.HasPrefix(m.Machine, "b-") && m.Machine != "b-welding", began)
	}
	f.dropsNothing()
}

// lie lets a PLC tell a state that no map has: the machine's state is unknown,
// with what it said, and everything else goes on. It gives how long it lasted.
func (f *factory) lie(machine string) time.Duration {
	f.t.Helper()
	began := time.Now()
	class := func(ok func(plant.MachineSnapshot) bool) func() bool {
		return func() bool {
			l, err := f.line("mcb-b")
			for _, m := range l.Machines {
				if m.ID == machine {
					return err == nil && ok(m)
				}
			}
			return false
		}
	}
	post(f.t, f.control+"/set", map[string]any{"machine": machine, "signal": "state", "value": 77})
	eventually(f.t, machine+" is unknown because of state 77", class(func(m plant.MachineSnapshot) bool {
		return m.Class == plant.ClassUnknown && strings.Contains(m.Why, "77")
	}))
	if !f.flowing() {
		f.t.Error("the lines do not go on while a PLC lies")
	}
	post(f.t, f.control+"/set", map[string]any{"machine": machine, "signal": "state", "value": nil})
	eventually(f.t, machine+" is known again", class(func(m plant.MachineSnapshot) bool { return m.Class != plant.ClassUnknown }))
	return time.Since(began) + time.Second
}

// intrude publishes what is no Sparkplug on the gateways' topics: it is counted
// where IT looks, and everything else goes on.
func (f *factory) intrude() {
	f.t.Helper()
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + f.brokerAt).SetClientID("intruder").SetConnectRetry(true).SetConnectRetryInterval(100 * time.Millisecond))
	if token := client.Connect(); !token.WaitTimeout(30*time.Second) || token.Error() != nil {
		f.t.Fatalf("intruder: %v", token.Error())
	}
	defer client.Disconnect(100)
	for _, topic := range []string{"spBv1.0/assembly/DDATA/edge-2/b-welding", "spBv1.0/assembly/NBIRTH/edge-9", "spBv1.0/assembly/DDATA/edge-9/x"} {
		if token := client.Publish(topic, 1, false, "{\"temperature\": 21.5}"); !token.WaitTimeout(30*time.Second) || token.Error() != nil {
			f.t.Fatalf("intruder: %v", token.Error())
		}
	}
	eventually(f.t, "foreign messages are counted", func() bool {
		res, err := http.Get(f.api + "/metrics")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return err == nil && strings.Contains(string(body), `linetwin_wire_refused_total{reason="foreign_DDATA"} 2`)
	})
	if !f.flowing() {
		f.t.Error("the lines do not go on while somebody else speaks on our topics")
	}
}

// askWrongly asks the API what it cannot answer: it says what it can.
func (f *factory) askWrongly() {
	f.t.Helper()
	for path, want := range map[string]string{
		"/api/v1/lines/nope":                     "mcb-a",
		"/api/v1/lines/mcb-a/oee?by=moon":        "shift",
		"/api/v1/lines/mcb-a/oee?from=yesterday": "RFC 3339",
	} {
		err := get(f.api+path, &struct{}{})
		if err == nil || !strings.Contains(err.Error(), want) {
			f.t.Errorf("%s: %v; want an answer that names %s", path, err, want)
		}
	}
}

type plantDescription struct {
	Machines []struct {
		ID       string `json:"id"`
		Protocol string `json:"protocol"`
	} `json:"machines"`
}

// dropsNothing holds the gateways to their own account.
func (f *factory) dropsNothing() {
	f.t.Helper()
	gs := mustGet[[]plant.GatewayLive](f.t, f.api+"/api/v1/gateways")
	sort.Slice(gs, func(i, j int) bool { return gs[i].Gateway < gs[j].Gateway })
	for _, g := range gs {
		f.t.Logf("%s: made %d, stored %d, waiting %d, dropped %d", g.Gateway, g.Made, g.Stored, g.Waiting, g.Dropped)
		if g.Dropped != 0 {
			f.t.Errorf("%s dropped %d readings", g.Gateway, g.Dropped)
		}
	}
}

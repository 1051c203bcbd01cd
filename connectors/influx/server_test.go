package influx

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

// TestOnARealServer has one server for all, because it takes seconds to start.
func TestOnARealServer(t *testing.T) {
	d := historytest.StartInfluxdWithUsers(t)
	t.Run("contract", func(t *testing.T) {
		n := 0
		historytest.Run(t, func(t testing.TB) func() historytest.Store {
			n++
			database := fmt.Sprintf("contract%d", n)
			d.CreateDatabase(t, database)
			return func() historytest.Store {
				cfg := Config{URL: d.URL, Database: database, User: "root", Password: "root", Timeout: time.Minute}
				if n%2 == 0 {
					cfg.HoursMaxAge = 1_000_000 * time.Hour // minutes and hours lie elsewhere
				}
				h, err := Open(cfg, quiet())
				if err != nil {
					t.Fatal(err)
				}
				return h
			}
		})
	})
	for _, c := range []struct {
		name string
		test func(t *testing.T, d *historytest.Influxd)
	}{{"aggregates", aggregates}, {"retention", retention}, {"lifetimes", lifetimesSet}, {"rights", rights}, {"removed", removed}, {"ping", ping}, {"injection", injection}, {"by hand", byHand}, {"figures", figures}, {"dashboard", dashboard}, {"outage", outage}} {
		t.Run(c.name, func(t *testing.T) { c.test(t, d) })
	}
}

func open(t testing.TB, d *historytest.Influxd, database string) *History {
	t.Helper()
	h, err := Open(Config{URL: d.URL, Database: database, User: "root", Password: "root", Timeout: time.Minute}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// retention: what is older than the bucket keeps is set aside, the rest is
// stored.
func retention(t *testing.T, d *historytest.Influxd) {
	d.Query(t, "", `CREATE DATABASE "short" WITH DURATION 24h NAME "day"`)
	h := open(t, d, "short")
	defer h.Close()
	now := plant.Stamp(time.Now())
	b := &plant.Batch{Machine: "m"}
	for i := range 10 {
		b.Readings = append(b.Readings, plant.Reading{Signal: "a", Time: now.Add(-time.Duration(i) * 10 * time.Hour), Value: plant.Integer(int64(i))},
			plant.Reading{Signal: "b", Time: now.Add(-time.Duration(i) * 10 * time.Hour), Quality: plant.Bad, Reason: "x"})
	}
	if err := h.Write(t.Context(), []*plant.Batch{b}); err != nil {
		t.Fatal(err)
	}
	r, err := h.Record(t.Context(), "m", nil, plant.Span{From: now.Add(-1000 * time.Hour), To: now + 1})
	if err != nil || len(r.Readings) != 6 || h.Quarantined() != 14 {
		t.Errorf("%d readings stored, %d set aside, %v; want 6 and 14", len(r.Readings), h.Quarantined(), err)
	}
	from, err := h.CountedFrom(t.Context(), "m")
	if begin := now.Add(-24 * time.Hour); err != nil || from < begin || from > begin.Add(time.Hour) {
		t.Errorf("counted from %s, %v; it keeps 24 h at %s", from, err, now)
	}
	d.Query(t, "", `CREATE RETENTION POLICY "long" ON "short" DURATION INF REPLICATION 1`)
	d.Query(t, "", "CREATE USER stranger WITH PASSWORD 'x'")
	for _, cfg := range []Config{
		{Database: "short", RetentionPolicy: "long", User: "root", Password: "root"},
		{Database: "short", RetentionPolicy: "absent", User: "root", Password: "root"},
		{Database: "short", User: "stranger", Password: "x"},
	} {
		cfg.URL = d.URL
		other, err := Open(cfg, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if from, err := other.CountedFrom(t.Context(), "m"); err != nil || from != 0 {
			t.Errorf("%+v: counted from %s, %v; want all", cfg, from, err)
		}
		other.Close()
	}
}

func ping(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "plant")
	d.Query(t, "", "CREATE USER reader WITH PASSWORD 'x'")
	d.Query(t, "", `CREATE RETENTION POLICY "long" ON "plant" DURATION INF REPLICATION 1`)
	for _, c := range []struct {
		name string
		cfg  Config
		ping string // in the error; "" for none
		put  string
	}{
		{"well", Config{Database: "plant", User: "root", Password: "root"}, "", ""},
		{"another retention policy", Config{Database: "plant", RetentionPolicy: "long", User: "root", Password: "root"}, "", ""},
		{"wrong password", Config{Database: "plant", User: "root", Password: "wrong"}, "unauthorised", "unauthorised"},
		{"no user", Config{Database: "plant"}, "unauthorised", "unauthorised"},
		{"no rights", Config{Database: "plant", User: "reader", Password: "x"}, "forbidden", "forbidden"},
		{"no database", Config{Database: "absent", User: "root", Password: "root"}, "is not there", "is not there"},
		{"no retention policy", Config{Database: "plant", RetentionPolicy: "absent", User: "root", Password: "root"}, "is not there", "is not there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.URL = d.URL
			h, err := Open(c.cfg, quiet())
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			for _, got := range []struct {
				what string
				err  error
				want string
			}{{"ping", h.Ping(t.Context()), c.ping}, {"write", h.Write(t.Context(), readings(1)), c.put}} {
				switch {
				case got.want == "" && got.err != nil:
					t.Errorf("%s: %v", got.what, got.err)
				case got.want != "" && (got.err == nil || !strings.Contains(got.err.Error(), got.want)):
					t.Errorf("%s: %v, want %q", got.what, got.err, got.want)
				}
			}
			if h.Quarantined() != 0 {
				t.Errorf("%d readings set aside", h.Quarantined())
			}
		})
	}
}

// outage: the server goes away and comes back; what failed is written
// again.
func outage(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "outage")
	h := open(t, d, "outage")
	defer h.Close()
	batches := readings(10)
	if err := h.Write(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	d.Stop(t)
	if err := h.Write(t.Context(), batches); !errors.Is(err, plant.ErrOffline) {
		t.Errorf("write while it is away: %v", err)
	}
	if _, err := h.Record(t.Context(), "m", nil, plant.Span{From: 1, To: 2 * plant.Millisecond}); !errors.Is(err, plant.ErrOffline) {
		t.Errorf("read while it is away: %v", err)
	}
	d.Start(t)
	if err := h.Write(t.Context(), batches); err != nil {
		t.Fatal(err)
	}
	r, err := h.Record(t.Context(), "m", nil, plant.Span{From: batches[0].Readings[0].Time, To: batches[0].Readings[9].Time})
	if err != nil || len(r.Readings) != 9 {
		t.Errorf("%d readings, %v", len(r.Readings), err)
	}
}

// injection: names in a question do not become part of it.
func injection(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "injection")
	h := open(t, d, "injection")
	defer h.Close()
	if err := h.Write(t.Context(), readings(5)); err != nil {
		t.Fatal(err)
	}
	all := plant.Span{From: 1, To: never}
	for _, name := range []string{
		`x" or true or "`, `x" or r.machine == "m`, `${"m"}`, `m\`, `") |> yield() //`, "m\n", `x\x22 or true`, "m\x00", "\xff",
	} {
		if r, err := h.Record(t.Context(), name, nil, all); err != nil || len(r.Readings)+len(r.Complete) != 0 {
			t.Errorf("machine %q: %d readings, %v", name, len(r.Readings), err)
		}
		if r, err := h.Record(t.Context(), "m", []string{name}, all); err != nil || len(r.Readings) != 0 {
			t.Errorf("signal %q: %d readings, %v", name, len(r.Readings), err)
		}
		if b, err := h.Chart(t.Context(), "m", name, all, 2); err != nil || b[0].Count+b[1].Count != 0 {
			t.Errorf("chart of signal %q: %v, %v", name, b, err)
		}
	}
}

// byHand runs the examples of docs/stores.md.
func byHand(t *testing.T, d *historytest.Influxd) {
	text, err := os.ReadFile("../../docs/stores.md")
	if err != nil {
		t.Fatal(err)
	}
	d.CreateDatabase(t, "linetwin")
	h := open(t, d, "linetwin")
	defer h.Close()
	now := plant.Stamp(time.Now())
	b := &plant.Batch{Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: "a-calibration", Complete: plant.Span{From: now.Add(-time.Minute), To: now}}
	for i := range 60 {
		at := now.Add(-time.Duration(i) * time.Second)
		b.Readings = append(b.Readings,
			plant.Reading{Signal: "temperature", Time: at, Value: plant.Float(20 + float64(i))},
			plant.Reading{Signal: "state", Time: at, Value: plant.Integer(6)},
			plant.Reading{Signal: "good", Time: at, Quality: plant.Bad, Reason: "timeout"})
	}
	if err := h.Write(t.Context(), []*plant.Batch{b}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Aggregate(t.Context(), now.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for language, run := range map[string]func(query string) (rows int){
		"influxql": func(query string) int {
			return strings.Count(d.Query(t, "linetwin", query), `"values":[[`)
		},
		"flux": func(query string) int {
			rows := 0
			if err := h.query(t.Context(), "run", query, func(row) error { rows++; return nil }); err != nil {
				t.Errorf("%v\n%s", err, query)
			}
			return rows
		},
	} {
		for _, part := range strings.Split(string(text), "```"+language+"\n")[1:] {
			query, _, _ := strings.Cut(part, "```")
			if n++; run(query) == 0 {
				t.Errorf("%s finds nothing:\n%s", language, query)
			}
		}
	}
	if n < 6 {
		t.Errorf("%d examples", n)
	}
}

package influx

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

const shippedDashboard = "../../deploy/grafana/dashboards/linetwin.json"

// dashboardQueries gives all queries of the shipped dashboard by panel and letter,
// or by variable.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(shippedDashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Query string }
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title+" "+target.RefID] = target.Query
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			all["variable "+v.Name] = v.Query
		}
	}
	return all
}

// asGrafana puts in what Grafana does.
func asGrafana(query, bucket string, span plant.Span, variables map[string]string) string {
	pairs := []string{"v.timeRangeStart", literal(span.From), "v.timeRangeStop", literal(span.To), "v.windowPeriod", "2m0s", "v.defaultBucket", strconv.Quote(bucket)}
	for name, value := range variables {
		pairs = append(pairs, "${"+name+"}", value, "${"+name+":doublequote}", strconv.Quote(value))
	}
	return strings.NewReplacer(pairs...).Replace(query)
}

// everyFigure makes a window of which each figure is another one.
func everyFigure(line, by string, at plant.Time) plant.LineWindow {
	w := plant.LineWindow{Place: plant.Place{Site: "site", Area: "area", Line: line}, By: by}
	w.Span = plant.Span{From: at, To: at.Add(time.Hour)}
	figure := func(x float64) *float64 { return &x }
	w.Availability, w.Performance, w.Quality = figure(0.91), figure(0.92), figure(0.93)
	w.OEE, w.OEELow, w.OEEHigh, w.Coverage = figure(0.78), figure(0.77), figure(0.79), figure(0.99)
	w.Good, w.Reject, w.Stops, w.Revision, w.Provisional = 100, 7, 3, 2, true
	w.Losses = plant.Losses{Schedule: 1, Unknown: 2, UnplannedStop: 3, PlannedStop: 4, SmallStop: 5, ReducedSpeed: 6, ProductionReject: 7, StartupReject: 8,
		Productive: 9, Starved: 10, Blocked: 11, Changeover: 12}
	return w
}

// dashboard: every query of the shipped Grafana dashboard finds what LineTwin
// wrote, with all in one place and with lifetimes.
func dashboard(t *testing.T, d *historytest.Influxd) {
	start := plant.At(time.Now()).Floor(time.Hour).Add(-12 * time.Hour)
	for _, c := range []struct {
		database       string
		cfg            Config
		minutes, hours string
	}{
		{"grafana", Config{}, "", ""},
		{"grafana_apart", Config{HoursMaxAge: 9600 * time.Hour}, "/minutes", "/hours"},
	} {
		d.CreateDatabase(t, c.database)
		c.cfg.URL, c.cfg.Database, c.cfg.User, c.cfg.Password = d.URL, c.database, "root", "root"
		h, _ := opened(t, c.cfg)
		gone, void := everyFigure("line a", "shift", start.Add(time.Hour)), everyFigure("line a", "hour", start.Add(time.Hour))
		gone.Withdrawn, void.OEE, void.Good = true, nil, 50
		windows := []plant.LineWindow{everyFigure("line a", "minute", start), everyFigure("line a", "hour", start), everyFigure("line a", "shift", start),
			everyFigure("line b", "minute", start), everyFigure("line b", "hour", start), everyFigure("line b", "shift", start), everyFigure("line a", "hour", start.Add(time.Hour)), gone}
		for _, all := range [][]plant.LineWindow{windows, {void}} {
			if err := h.WriteFigures(t.Context(), all); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Write(t.Context(), []*plant.Batch{shift("m", start, 4*time.Minute), shift("other", start, time.Minute)}); err != nil {
			t.Fatal(err)
		}
		allRounds(t, h)
		variables := map[string]string{"minutes": c.minutes, "hours": c.hours, "line": "line a", "machine": "m", "signal": "temperature"}
		queries := dashboardQueries(t)
		for _, name := range slices.Sorted(maps.Keys(queries)) {
			flux := asGrafana(queries[name], c.database, plant.Span{From: start, To: start.Add(12 * time.Hour)}, variables)
			var rows []string
			err := h.query(t.Context(), "run", flux, func(r row) error {
				rows = append(rows, rowText(r.all, start))
				return nil
			})
			got, want := strings.Join(rows, "\n"), dashboardRows[name]
			if same, both := strings.CutPrefix(want, twoHours); both {
				want = "_time=+0s " + same + "\n_time=+1h0m0s " + same
			}
			if err != nil || got != want || want == "" {
				t.Errorf("%s: %s: %v\n%s\nwant\n%s\n%s", c.database, name, err, got, want, flux)
			}
		}
		if len(queries) != len(dashboardRows) {
			t.Errorf("%d queries, expected are %d", len(queries), len(dashboardRows))
		}
	}
}

// rowText gives the columns that Grafana shows, times since start.
func rowText(all map[string]any, start plant.Time) string {
	var text []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		switch v := all[k].(type) {
		case time.Time:
			text = append(text, fmt.Sprint(k, "=+", plant.At(v).Sub(start)))
		default:
			if k != "result" && k != "table" {
				text = append(text, fmt.Sprintf("%s=%v", k, v))
			}
		}
	}
	return strings.Join(text, " ")
}

// dashboardRows is what each query finds of what the test wrote.
var dashboardRows = map[string]string{
	"variable line":    "_value=line a\n_value=line b",
	"variable machine": "_value=m\n_value=other",
	"variable signal":  "_value=line.value.sum\n_value=open.sum\n_value=temperature.sum",

	"OEE 设备综合效率 (OEE) A":           "_time=+0s oee=0.78",
	"时间开动率 availability A":         twoHours + "availability=0.91",
	"性能开动率 performance A":          twoHours + "performance=0.92",
	"合格品率 quality A":               twoHours + "quality=0.93",
	"OEE 与上下限 / with its bounds A": "_time=+0s oee=0.78 oee_high=0.79 oee_low=0.77",
	"时间开动率、性能开动率、合格品率 / availability, performance, quality A": twoHours + "availability=0.91",
	"时间开动率、性能开动率、合格品率 / availability, performance, quality B": twoHours + "performance=0.92",
	"时间开动率、性能开动率、合格品率 / availability, performance, quality C": twoHours + "quality=0.93",
	"损失 / losses A": twoHours + "planned_stop_s=4 production_reject_s=7 productive_s=9 reduced_speed_s=6 schedule_s=1 small_stop_s=5 startup_reject_s=8 unknown_s=2 unplanned_stop_s=3",
	"件 / pieces A":  "_time=+0s good=100 reject=7\n_time=+1h0m0s good=50 reject=7",
	"等待与换型 / waiting and changeover A": twoHours + "blocked_s=11 changeover_s=12 starved_s=10",
	"数据覆盖率 / coverage A":               "_time=+0s coverage=0.99",
	"班次 / shifts A": "_time=+0s availability=0.91 coverage=0.99 good=100 missing=<nil> oee=0.78 oee_high=0.79 oee_low=0.77 performance=0.92 " +
		"provisional=true quality=0.93 reject=7 revision=2 stops=3",
	"读数 / readings: ${machine} ${signal} A": "_time=+2m0s _value=0\n_time=+4m0s _value=3",
	"读数 / readings: ${machine} ${signal} B": "_time=+2m0s _value=2.75\n_time=+4m0s _value=5.75",
	"读数 / readings: ${machine} ${signal} C": "_time=+2m0s _value=2.75\n_time=+4m0s _value=5.75",
}

// twoHours begins a row that both hours have.
const twoHours = "both: "

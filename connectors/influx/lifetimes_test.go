package influx

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

// opened gives a history with lifetimes, and what it logs.
func opened(t *testing.T, cfg Config) (*History, *bytes.Buffer) {
	t.Helper()
	cfg.Timeout = time.Minute
	log := &bytes.Buffer{}
	h, err := Open(cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, log
}

// rounds does all that there is to do, or is until an error.
func rounds(t *testing.T, h *History) error {
	now := plant.At(time.Now())
	for i := 0; ; i++ {
		h.lifetimes.next = 0
		more, err := h.round(t.Context(), now.Add(2*settled)) // what was just written has settled
		if err != nil || !more && i > 1 {
			return err
		}
	}
}

func allRounds(t *testing.T, h *History) {
	t.Helper()
	if err := rounds(t, h); err != nil {
		t.Fatal(err)
	}
}

// policiesOf gives the retention policies of a database as name:duration.
func policiesOf(t *testing.T, d *historytest.Influxd, database string) string {
	t.Helper()
	all, err := readPolicies([]byte(d.Query(t, "", `SHOW RETENTION POLICIES ON "`+database+`"`)))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range all {
		said = append(said, p.name+" "+p.keeping.String())
	}
	return strings.Join(said, ", ")
}

// seen is what a history says of a machine.
type seen struct {
	charts map[string][]plant.Bucket
	counts []plant.MinuteCount
}

func see(t *testing.T, h *History, span plant.Span) seen {
	t.Helper()
	s := seen{charts: map[string][]plant.Bucket{}}
	for _, signal := range []string{"line", "state", "good"} {
		for _, points := range []int{int(span.Length() / time.Minute), 3, int(span.Length() / (30 * time.Second))} {
			b, err := h.Chart(t.Context(), "m", signal, span, points)
			if err != nil {
				t.Fatal(err)
			}
			s.charts[signal] = append(s.charts[signal], b...)
		}
	}
	counts, err := h.Counts(t.Context(), "m", span)
	if err != nil {
		t.Fatal(err)
	}
	s.counts = counts
	return s
}

// same compares what was said; of parts shorter than a minute only the sums, for
// a minute counts where it begins.
func (s seen) same(t *testing.T, what string, now seen, coarse int) {
	t.Helper()
	for signal, before := range s.charts {
		after, was, is := now.charts[signal], int64(0), int64(0)
		for i := range before {
			if i < coarse && !alike(&before[i], &after[i]) {
				t.Errorf("%s: %s: %s, before %s", what, signal, describe(&after[i]), describe(&before[i]))
			}
			if i >= coarse {
				was, is = was+before[i].Count+before[i].Bad, is+after[i].Count+after[i].Bad
			}
		}
		if was != is || was == 0 {
			t.Errorf("%s: %s: %d readings in short parts, before %d", what, signal, is, was)
		}
	}
	if len(now.counts) != len(s.counts) || len(s.counts) == 0 {
		t.Fatalf("%s: %d minutes counted, before %d", what, len(now.counts), len(s.counts))
	}
	for i := range s.counts {
		if s.counts[i] != now.counts[i] {
			t.Errorf("%s: counted %v, before %v", what, now.counts[i], s.counts[i])
		}
	}
}

// lifetimesSet: a database with all in one policy is given lifetimes. Minutes and
// hours are in policies of their own before readings are dropped, and say the same
// afterwards.
func lifetimesSet(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "lifetimes")
	one := open(t, d, "lifetimes")
	start := plant.At(time.Now()).Floor(time.Hour).Add(-72 * time.Hour)
	span := plant.Span{From: start, To: start.Add(2 * time.Hour)}
	if err := one.Write(t.Context(), []*plant.Batch{shift("m", start, 2*time.Hour)}); err != nil {
		t.Fatal(err)
	}
	x, day := 0.5, start.Add(24*time.Hour)
	figure := func(by string, at plant.Time, good int64) plant.LineWindow {
		w := lineWindow(by, at, &x)
		w.Good = good
		return w
	}
	if err := one.WriteFigures(t.Context(), []plant.LineWindow{figure("minute", day, 1), figure("hour", day, 2), figure("shift", day, 3)}); err != nil {
		t.Fatal(err)
	}
	allRounds(t, one)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if got := policiesOf(t, d, "lifetimes"); got != "autogen for ever" {
		t.Errorf("without lifetimes: %s", got)
	}

	cfg := Config{URL: d.URL, Database: "lifetimes", User: "root", Password: "root", MaxAge: 24 * time.Hour, MinutesMaxAge: 9600 * time.Hour}
	h, log := opened(t, cfg)
	if err := h.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := see(t, h, span)                                                                        // from the readings
	if err := h.WriteFigures(t.Context(), []plant.LineWindow{figure("shift", day, 4)}); err != nil { // restated
		t.Fatal(err)
	}
	allRounds(t, h)
	if got := policiesOf(t, d, "lifetimes"); got != "autogen for ever, minutes 9600h, hours for ever" {
		t.Errorf("nothing may be shortened: %s", got)
	}
	if !strings.Contains(log.String(), "shorten: true") {
		t.Errorf("nothing said of what stays longer:\n%s", log)
	}
	h.Close()

	cfg.Shorten = true
	h, log = opened(t, cfg)
	allRounds(t, h)
	if got := policiesOf(t, d, "lifetimes"); got != "autogen 24h, minutes 9600h, hours for ever" {
		t.Errorf("%s", got)
	}
	if !strings.Contains(log.String(), "from=\"for ever\" to=24h") {
		t.Errorf("nothing said of the change:\n%s", log)
	}
	// What the server does within the hour.
	d.Query(t, "lifetimes", `DELETE FROM "reading"`)
	coarse := 120 + 3
	before.same(t, "dropped", see(t, h, span), coarse)
	if last, err := h.Before(t.Context(), "m", []string{"line", "good"}, span.To.Add(time.Hour)); err != nil || len(last) != 2 ||
		last[1].Value != plant.Integer(719) || last[1].Time != span.To.Add(-10*time.Second) || last[0].Reason != "timeout" {
		t.Errorf("last of all %v, %v", last, err)
	}
	for _, c := range [][2]string{{"minutes", `,"minute",1,0.5,"line a,b"`}, {"hours", `,"hour",2,0.5,"line a,b"`}, {"hours", `,"shift",4,0.5,"line a,b"`}} {
		if got := d.Query(t, "lifetimes", `SELECT "by", good, oee, "line" FROM "`+c[0]+`".oee`); !strings.Contains(got, c[1]) {
			t.Errorf("figures in %s: %s, want %s", c[0], got, c[1])
		}
	}
	from, err := h.CountedFrom(t.Context(), "m")
	if want := plant.At(time.Now()).Add(-9600 * time.Hour); err != nil || from > want || from < want.Add(-time.Minute) {
		t.Errorf("counted from %s, %v; want %s", from, err, want)
	}
	late := map[hourOf]struct{}{{"m", start}: {}} // as if a reading had come late
	if err := h.begin(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	h.end(late)
	allRounds(t, h)
	before.same(t, "late", see(t, h, span), coarse)

	// Minutes are dropped too.
	d.Query(t, "lifetimes", `ALTER RETENTION POLICY "minutes" ON "lifetimes" DURATION 24h SHARD DURATION 1h`)
	d.Query(t, "lifetimes", `DELETE FROM "reading_1m"`)
	allRounds(t, h)
	if got := policiesOf(t, d, "lifetimes"); got != "autogen 24h, minutes 24h, hours for ever" {
		t.Errorf("what somebody changed is changed back: %s", got)
	}
	if !strings.Contains(log.String(), "this was not LineTwin") {
		t.Errorf("nothing said of what somebody changed:\n%s", log)
	}
	hours, err := h.Chart(t.Context(), "m", "line", span, 12)
	if err != nil || hours[0].Count != 360 || hours[6].Count != 360 || *hours[6].Min != 360 || hours[1].Count != 0 {
		t.Errorf("hours in place of minutes: %v, %v", hours, err)
	}
}

// removed: buckets of minutes and hours that somebody removed are made again.
func removed(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "removed")
	h, _ := opened(t, Config{URL: d.URL, Database: "removed", User: "root", Password: "root", HoursMaxAge: 9600 * time.Hour})
	if err := h.Write(t.Context(), readings(1)); err != nil {
		t.Fatal(err)
	}
	d.Query(t, "", `DROP RETENTION POLICY "hours" ON "removed"`)
	later := shift("m", plant.At(time.Now()).Floor(time.Hour), time.Minute) // of another hour, which is to be noted
	if err := h.Write(t.Context(), []*plant.Batch{later}); err == nil {
		t.Error("written without a note of it")
	}
	if err := h.Write(t.Context(), []*plant.Batch{later}); err != nil {
		t.Error(err)
	}
	if got := policiesOf(t, d, "removed"); got != "autogen for ever, minutes for ever, hours 9600h" {
		t.Error(got)
	}
}

// rights: what a user may not do is said, with what to do, and nothing is written
// before it is done.
func rights(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "rights")
	d.Query(t, "", "CREATE USER twin WITH PASSWORD 'x'")
	d.Query(t, "", `GRANT ALL ON "rights" TO twin`)
	cfg := Config{URL: d.URL, Database: "rights", User: "twin", Password: "x", MaxAge: 48 * time.Hour, HoursMaxAge: 9600 * time.Hour, Shorten: true}
	h, _ := opened(t, cfg)
	for _, want := range []string{
		`CREATE RETENTION POLICY "minutes" ON "rights" DURATION INF REPLICATION 1`,
		`CREATE RETENTION POLICY "hours" ON "rights" DURATION 9600h REPLICATION 1`,
	} {
		err := h.Write(t.Context(), readings(3))
		if err == nil || !strings.HasSuffix(err.Error(), "have one run: "+want) || strings.Contains(err.Error(), "no answer") {
			t.Fatalf("%v, want %s", err, want)
		}
		d.Query(t, "", want)
	}
	if err := h.Write(t.Context(), readings(3)); err != nil {
		t.Fatal(err)
	}
	err, want := rounds(t, h), `have one run: ALTER RETENTION POLICY "autogen" ON "rights" DURATION 48h SHARD DURATION 24h`
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

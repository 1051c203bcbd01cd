package influx

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

func lineWindow(by string, at plant.Time, oee *float64) plant.LineWindow {
	w := plant.LineWindow{Place: plant.Place{Site: "site", Area: "area", Line: "line a,b"}, By: by}
	w.Span, w.OEE, w.Good, w.RunS = plant.Span{From: at, To: at.Add(time.Minute)}, oee, 7, 60
	w.Losses.Unknown = 0.25
	return w
}

func TestAppendWindow(t *testing.T) {
	x := 0.5
	w := lineWindow("minute", 1000*plant.Millisecond, &x)
	w.Revision, w.Provisional = 3, true
	want := `oee,area=area,by=minute,line=line\ a\,b,site=site oee=0.5,run_s=60,planned_s=0,known_s=0,schedule_s=0,unknown_s=0.25,` +
		`unplanned_stop_s=0,planned_stop_s=0,small_stop_s=0,reduced_speed_s=0,production_reject_s=0,startup_reject_s=0,productive_s=0,` +
		`starved_s=0,blocked_s=0,changeover_s=0,good=7i,reject=0i,stops=0i,revision=3i,` +
		`missing="availability performance quality oee_low oee_high coverage",provisional=true,withdrawn=false 1000` + "\n"
	if got := string(appendWindow(nil, &w)); got != want {
		t.Errorf("got  %s want %s", got, want)
	}
}

// figures: a window is one point, whatever is written again; more than fit into
// one request are all there; what is older than the database keeps is no error.
func figures(t *testing.T, d *historytest.Influxd) {
	d.CreateDatabase(t, "figures")
	h := open(t, d, "figures")
	defer h.Close()
	const many = pointsPerRequest/4 + 10
	at := plant.At(time.Now()).Floor(time.Minute).Add(-many * time.Minute)
	x := 0.5
	var all []plant.LineWindow
	for i := range many {
		all = append(all, lineWindow("minute", at.Add(time.Duration(i)*time.Minute), &x))
	}
	for range 2 {
		if err := h.WriteFigures(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	all[0].Good, all[0].OEE, all[0].Revision = 100, nil, 1
	if err := h.WriteFigures(t.Context(), all[:1]); err != nil {
		t.Fatal(err)
	}
	if got, want := d.Query(t, "figures", `SELECT count(good), sum(good), max(revision) FROM oee WHERE "by" = 'minute'`), fmt.Sprintf(`,%d,%d,1]`, many, 100+7*(many-1)); !strings.Contains(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := d.Query(t, "figures", `SELECT count(good) FROM oee WHERE missing =~ / oee /`), `,1]`; strings.Contains(got, want) == (all[0].OEE != nil) {
		t.Errorf("%s, want %s", got, want)
	}
	d.Query(t, "", `CREATE RETENTION POLICY "day" ON "figures" DURATION 1d REPLICATION 1 DEFAULT`)
	if err := h.WriteFigures(t.Context(), []plant.LineWindow{lineWindow("hour", at.Add(-100*24*time.Hour), &x), lineWindow("hour", plant.At(time.Now()).Floor(time.Hour), &x)}); err != nil {
		t.Fatal(err)
	}
	if got := d.Query(t, "figures", `SELECT count(good) FROM oee WHERE "by" = 'hour'`); !strings.Contains(got, `,1]`) {
		t.Errorf("%s, want the newer one", got)
	}
}

package influx

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	wire "github.com/influxdata/influxdb-client-go/v2/api/http"

	"linetwin/plant"
)

const measurementOEE = "oee"

// WriteFigures stores windows of lines, each a point of the measurement "oee" at
// its start. nil means that the database has all of them, but those that are
// older than it keeps. Every write may be repeated.
func (h *History) WriteFigures(ctx context.Context, windows []plant.LineWindow) error {
	if err := h.ready(ctx); err != nil {
		return err
	}
	h.figuring.Lock()
	defer h.figuring.Unlock()
	for chunk := range slices.Chunk(windows, pointsPerRequest/4) { // some 500 bytes each
		bodies := map[string][]byte{}
		for i := range chunk {
			bucket := h.bucketOfFigures(chunk[i].By)
			bodies[bucket] = appendWindow(bodies[bucket], &chunk[i])
		}
		for bucket, body := range bodies {
			if err := h.putFigures(ctx, bucket, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucketOfFigures gives where figures lie: those of minutes with the minutes.
func (h *History) bucketOfFigures(by string) string {
	if by == "minute" {
		return h.minutes
	}
	return h.hours
}

func (h *History) putFigures(ctx context.Context, bucket string, body []byte) error {
	err := h.post(ctx, bucket, string(body))
	var answer *wire.Error
	if errors.As(err, &answer) && refuses(answer) {
		if dropped, partial := droppedPoints(said(answer)); partial && strings.Contains(said(answer), "beyond retention policy") {
			h.log.Warn("figures are older than the database keeps them", "points", dropped, "bucket", bucket)
			return nil
		}
	}
	return h.wrap("write figures to", err)
}

// appendWindow appends a window's point. A figure that cannot be told has no
// field, for there is no null; "missing" names it, so that a value that was
// there before is known to be void.
func appendWindow(dst []byte, w *plant.LineWindow) []byte {
	dst = append(dst, measurementOEE...)
	dst = appendTag(dst, ",area=", w.Area)
	dst = appendTag(dst, ",by=", w.By)
	dst = appendTag(dst, ",line=", w.Line)
	dst = appendTag(dst, ",site=", w.Site)
	dst = append(dst, ' ')
	var missing []string
	for _, f := range []struct {
		name  string
		value *float64
	}{
		{"availability", w.Availability}, {"performance", w.Performance}, {"quality", w.Quality},
		{"oee", w.OEE}, {"oee_low", w.OEELow}, {"oee_high", w.OEEHigh}, {"coverage", w.Coverage},
	} {
		if f.value == nil {
			missing = append(missing, f.name)
			continue
		}
		dst = appendFigure(dst, f.name, *f.value)
	}
	l := &w.Losses
	for _, f := range []struct {
		name  string
		value float64
	}{
		{"run_s", w.RunS}, {"planned_s", w.PlannedS}, {"known_s", w.KnownS},
		{"schedule_s", l.Schedule}, {"unknown_s", l.Unknown}, {"unplanned_stop_s", l.UnplannedStop}, {"planned_stop_s", l.PlannedStop},
		{"small_stop_s", l.SmallStop}, {"reduced_speed_s", l.ReducedSpeed}, {"production_reject_s", l.ProductionReject},
		{"startup_reject_s", l.StartupReject}, {"productive_s", l.Productive},
		{"starved_s", l.Starved}, {"blocked_s", l.Blocked}, {"changeover_s", l.Changeover},
	} {
		dst = appendFigure(dst, f.name, f.value)
	}
	for _, f := range []struct {
		name  string
		value int64
	}{{"good", w.Good}, {"reject", w.Reject}, {"stops", w.Stops}, {"revision", int64(w.Revision)}} {
		dst = append(append(dst, f.name...), '=')
		dst = append(strconv.AppendInt(dst, f.value, 10), "i,"...)
	}
	dst = append(dst, `missing="`...)
	dst = append(dst, strings.Join(missing, " ")...)
	dst = strconv.AppendBool(append(dst, `",provisional=`...), w.Provisional)
	dst = strconv.AppendBool(append(dst, ",withdrawn="...), w.Withdrawn)
	dst = strconv.AppendInt(append(dst, ' '), w.From.Milli(), 10)
	return append(dst, '\n')
}

func appendFigure(dst []byte, name string, value float64) []byte {
	dst = append(append(dst, name...), '=')
	return append(strconv.AppendFloat(dst, value, 'g', -1, 64), ',')
}

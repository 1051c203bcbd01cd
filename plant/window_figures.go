package plant

import "time"

// Add adds o to w. Every sum is an integer, so that the order of adding
// changes nothing; the span becomes the hull of both.
func (w *Window) Add(o Window) {
	switch {
	case o.Span == (Span{}):
	case w.Span == (Span{}):
		w.Span = o.Span
	default:
		w.Span = Span{From: min(w.From, o.From), To: max(w.To, o.To)}
	}
	w.ScheduleLoss += o.ScheduleLoss
	w.Unknown += o.Unknown
	w.UnplannedStop += o.UnplannedStop
	w.PlannedStop += o.PlannedStop
	w.Run += o.Run
	w.SmallStop += o.SmallStop
	w.Inferred += o.Inferred
	w.Starved += o.Starved
	w.Blocked += o.Blocked
	w.Changeover += o.Changeover
	w.Good += o.Good
	w.Reject += o.Reject
	w.Startup += o.Startup
	w.IdealGood += o.IdealGood
	w.IdealReject += o.IdealReject
	w.IdealStartup += o.IdealStartup
	w.Stops += o.Stops
	w.SmallStops += o.SmallStops
	w.Changes += o.Changes
	w.Flags |= o.Flags
}

// All is all time that the window accounts for: the length of its span, or,
// where windows of several lines were added, the sum of theirs.
func (w Window) All() time.Duration { return w.ScheduleLoss + w.Planned() }

// Planned is PPT: all time less schedule loss.
func (w Window) Planned() time.Duration { return w.Unknown + w.Known() }

// Known is PPTk: planned time less unknown time, the denominator of OEE.
func (w Window) Known() time.Duration { return w.UnplannedStop + w.PlannedStop + w.Run }

// ReducedSpeed is the run time that neither pieces nor small stops explain. It
// is negative where pieces were made faster than their ideal cycle.
func (w Window) ReducedSpeed() time.Duration {
	return w.Run - w.SmallStop - w.IdealGood - w.IdealReject
}

// Figures gives the window's ratios and losses by the definitions of oee.md 2.
// Availability x performance x quality is OEE for every mix of products,
// because quality is weighted with the ideal cycles. What cannot be computed
// is nil, with the reason in Why. Nothing is clipped.
func (w Window) Figures() Figures {
	f := Figures{
		Span:        w.Span,
		PlannedS:    w.Planned().Seconds(),
		KnownS:      w.Known().Seconds(),
		RunS:        w.Run.Seconds(),
		Good:        w.Good,
		Reject:      w.Reject,
		Total:       w.Good + w.Reject,
		Losses:      w.losses(),
		Stops:       w.Stops,
		SmallStops:  w.SmallStops,
		Changeovers: w.Changes,
		Flags:       w.figureFlags().Names(),
	}
	w.factors(&f)
	w.bounds(&f)
	return f
}

func (w Window) losses() Losses {
	return Losses{
		Schedule:         w.ScheduleLoss.Seconds(),
		Unknown:          w.Unknown.Seconds(),
		UnplannedStop:    w.UnplannedStop.Seconds(),
		PlannedStop:      w.PlannedStop.Seconds(),
		SmallStop:        w.SmallStop.Seconds(),
		ReducedSpeed:     w.ReducedSpeed().Seconds(),
		ProductionReject: (w.IdealReject - w.IdealStartup).Seconds(),
		StartupReject:    w.IdealStartup.Seconds(),
		Productive:       w.IdealGood.Seconds(),
		Starved:          w.Starved.Seconds(),
		Blocked:          w.Blocked.Seconds(),
		Changeover:       w.Changeover.Seconds(),
	}
}

// figureFlags adds to the window's own flags those that only the finished sums
// can tell.
func (w Window) figureFlags() Flag {
	flags := w.Flags &^ (FlagBeatsIdeal | FlagInconsistent)
	if w.Run > 0 && w.ReducedSpeed() < 0 {
		flags |= FlagBeatsIdeal
	}
	if w.Run == 0 && w.Good+w.Reject != 0 {
		flags |= FlagInconsistent
	}
	return flags
}

// factors sets A, P, Q, OEE and TEEP.
func (w Window) factors(f *Figures) {
	known, ideal, total := w.Known(), w.IdealGood+w.IdealReject, w.Good+w.Reject
	if known == 0 {
		why := "no planned time in this window"
		if w.Planned() > 0 {
			why = "none of the planned time is known"
		}
		for _, field := range [...]string{"availability", "performance", "quality", "oee", "teep"} {
			f.lacks(field, why)
		}
		return
	}
	noIdeal := w.Flags&FlagNoIdeal != 0
	const noCycle = "a product that was made has no ideal cycle"

	f.Availability = ratio(w.Run, known)
	switch {
	case noIdeal:
		f.lacks("performance", noCycle)
	case w.Run == 0 && total != 0:
		f.lacks("performance", "pieces were counted but no run time")
	case w.Run == 0:
		f.lacks("performance", "the machine did not run")
	default:
		f.Performance = ratio(ideal, w.Run)
	}
	switch {
	case total <= 0:
		f.lacks("quality", "no pieces were made")
	case noIdeal || ideal <= 0:
		q := float64(w.Good) / float64(total)
		f.Quality = &q
	default:
		f.Quality = ratio(w.IdealGood, ideal)
	}
	if noIdeal {
		f.lacks("oee", noCycle)
		f.lacks("teep", noCycle)
		return
	}
	f.OEE = ratio(w.IdealGood, known)
	teep := *f.OEE * (float64(w.Planned()) / float64(w.All()))
	f.TEEP = &teep
}

// bounds sets coverage and the OEE that the window would have, had all of its
// unknown time been lost or fully productive.
func (w Window) bounds(f *Figures) {
	planned := w.Planned()
	if planned == 0 {
		for _, field := range [...]string{"coverage", "oee_low", "oee_high"} {
			f.lacks(field, "no planned time in this window")
		}
		return
	}
	f.Coverage = ratio(w.Known(), planned)
	if w.Flags&FlagNoIdeal != 0 {
		f.lacks("oee_low", "a product that was made has no ideal cycle")
		f.lacks("oee_high", "a product that was made has no ideal cycle")
		return
	}
	low := *ratio(w.IdealGood, planned)
	// An OEE above 1 is shown as it is: then the upper bound follows the lower.
	high := max(low, min(1, *ratio(w.IdealGood+w.Unknown, planned)))
	f.OEELow, f.OEEHigh = &low, &high
}

func (f *Figures) lacks(field, why string) {
	if f.Why == nil {
		f.Why = make(map[string]string, 4)
	}
	f.Why[field] = why
}

func ratio(part, whole time.Duration) *float64 {
	r := float64(part) / float64(whole)
	return &r
}

// ISO22400 holds the indicators of ISO 22400-2 that differ from the OEE of
// this project in name or denominator. Each is nil where its denominator is 0.
type ISO22400 struct {
	Availability  *float64 `json:"availability"`  // APT / PBT; small stops are delays here, no production time
	Effectiveness *float64 `json:"effectiveness"` // PRI x PQ / APT
	QualityRatio  *float64 `json:"quality_ratio"` // GQ / PQ, by count
	OEE           *float64 `json:"oee_index"`     // availability x effectiveness x quality ratio
	NEE           *float64 `json:"nee_index"`     // AUPT / PBT x effectiveness x quality ratio: set-up time counts as used
}

// ISO22400 gives the indicators of ISO 22400-2. Planned busy time (PBT) is
// known planned time, actual production time (APT) is run time less small
// stops, unit processing time (AUPT) adds changeovers to it.
func (w Window) ISO22400() ISO22400 {
	var i ISO22400
	known, apt, total := w.Known(), w.Run-w.SmallStop, w.Good+w.Reject
	if known > 0 {
		i.Availability = ratio(apt, known)
	}
	if apt > 0 && w.Flags&FlagNoIdeal == 0 {
		i.Effectiveness = ratio(w.IdealGood+w.IdealReject, apt)
	}
	if total > 0 {
		q := float64(w.Good) / float64(total)
		i.QualityRatio = &q
	}
	if i.Availability != nil && i.Effectiveness != nil && i.QualityRatio != nil {
		rest := *i.Effectiveness * *i.QualityRatio
		oee, nee := *i.Availability*rest, *ratio(apt+w.Changeover, known)*rest
		i.OEE, i.NEE = &oee, &nee
	}
	return i
}

// Reliability sums the failures of a machine: unplanned stops over the
// threshold that it caused itself, each counted where it starts. oee.md 2.
type Reliability struct {
	Operating time.Duration // run time
	Failures  int64
	Restored  int64         // failures that ended
	Restoring time.Duration // from start to end of those
	Open      time.Duration // how long a failure that has not ended lasts already; not part of Restoring
}

// Add adds o to r.
func (r *Reliability) Add(o Reliability) {
	r.Operating += o.Operating
	r.Failures += o.Failures
	r.Restored += o.Restored
	r.Restoring += o.Restoring
	r.Open += o.Open
}

// MTBF is the mean operating time between failures; false: no failure in
// Operating, which is not infinity.
func (r Reliability) MTBF() (time.Duration, bool) {
	if r.Failures == 0 {
		return 0, false
	}
	return r.Operating / time.Duration(r.Failures), true
}

// MTTR is the mean time to restore; false: no failure ended.
func (r Reliability) MTTR() (time.Duration, bool) {
	if r.Restored == 0 {
		return 0, false
	}
	return r.Restoring / time.Duration(r.Restored), true
}

// Availability is MTBF / (MTBF + MTTR), the inherent availability; nil while
// one of them is not known.
func (r Reliability) Availability() *float64 {
	mtbf, ok := r.MTBF()
	mttr, restored := r.MTTR()
	if !ok || !restored || mtbf+mttr == 0 {
		return nil
	}
	return ratio(mtbf, mtbf+mttr)
}

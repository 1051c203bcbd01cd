package opcua

import (
	"errors"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

var errOrder = errors.New("the server's history is not in the order of time")

// recall makes readings of what a server's history holds of one signal, from
// the end of the looks before an outage to the first one after it. Each goes
// out as a live reading would have, but for the deadband only changes do. Where
// a bad reading told in the meantime that nobody could look, the value that
// held there takes its place: a store gives a value the place of a bad reading
// of the same time, and so does the twin.
//
// What held at the beginning is known only where the history goes on from
// where the looks ended: see hold. Until the first value after that the signal
// stays as unknown as it was told to be.
type recall struct {
	machine  string
	name     string
	decoder  decoder
	deadband float64

	from plant.Time   // what came at this time or before it was seen live
	end  plant.Time   // from here on the signal was seen live again
	told []plant.Time // when bad readings told of the outage, those to come

	next   plant.Reading // read last; another one of its millisecond takes its place
	held   bool          // there is one
	now    plant.Reading // what holds before it
	known  bool
	sent   plant.Reading // what went out last
	news   bool          // the next one goes out, whatever it says
	source time.Time     // the server's time of the value that was read last
	merged int           // values that shared a millisecond with a later one
}

// doubt forgets what holds: the history may lack what came after it.
func (r *recall) doubt(into []plant.Reading) []plant.Reading {
	into = r.flush(into)
	r.known, r.news = false, true
	return into
}

// hold compares what the history had when reading begins, or goes on, with
// what was seen then. Only if it is the same, what was seen still holds; it may
// differ by the deadband, which can have held back what was seen.
func (r *recall) hold(into []plant.Reading, dv *ua.DataValue) []plant.Reading {
	seen := r.now
	if r.held {
		seen = r.next
	} else if !r.known {
		return into
	}
	was := plant.Reading{}
	was.Value, was.Quality, was.Reason = r.decoder.data(dv)
	if was.Quality == plant.Bad || !r.near(&was, &seen) {
		return r.doubt(into)
	}
	if !r.held {
		r.now.Value = was.Value
	}
	return into
}

// take appends what is known with a further value of the history to into.
// ahead is how far the server's clock is before ours.
func (r *recall) take(into []plant.Reading, dv *ua.DataValue, ahead time.Duration) ([]plant.Reading, error) {
	if dv == nil || dv.SourceTimestamp.IsZero() || dv.Status&0xFFFF0000 == ua.StatusBadBoundNotFound {
		return into, nil
	}
	if dv.SourceTimestamp.Before(r.source) {
		return into, errOrder
	}
	at := plant.At(dv.SourceTimestamp).Add(-ahead)
	if at <= r.from || dv.SourceTimestamp.Equal(r.source) {
		return into, nil
	}
	r.source = dv.SourceTimestamp
	// The millisecond of the claim itself belongs to the looks before.
	if at = max(at.Floor(time.Millisecond), r.from.Floor(time.Millisecond)+plant.Millisecond); at >= r.end {
		return into, nil
	}
	if r.held && at == r.next.Time {
		r.merged++
	} else {
		into = r.flush(into)
	}
	r.next, r.held = plant.Reading{Machine: r.machine, Signal: r.name, Time: at}, true
	r.next.Value, r.next.Quality, r.next.Reason = r.decoder.data(dv)
	return into, nil
}

// flush appends the value that was read last.
func (r *recall) flush(into []plant.Reading) []plant.Reading {
	if !r.held {
		return into
	}
	at := r.next.Time
	into = r.carry(into, at)
	if len(r.told) > 0 && r.told[0] == at {
		r.told, r.news = r.told[1:], true
	}
	r.now, r.known, r.held = r.next, true, false
	return r.send(into, at)
}

// finish appends what holds until the end.
func (r *recall) finish(into []plant.Reading) []plant.Reading { return r.carry(r.flush(into), r.end) }

// carry puts what holds in the place of the bad readings before until.
func (r *recall) carry(into []plant.Reading, until plant.Time) []plant.Reading {
	for len(r.told) > 0 && r.told[0] < until {
		at := r.told[0]
		r.told, r.news = r.told[1:], true
		if r.known {
			into = r.send(into, at)
		}
	}
	return into
}

// send appends what holds, as of at, unless that says nothing new.
func (r *recall) send(into []plant.Reading, at plant.Time) []plant.Reading {
	if !r.news && r.near(&r.now, &r.sent) {
		return into
	}
	out := r.now
	out.Time = at
	r.sent, r.news = out, false
	return append(into, out)
}

// near tells whether two readings say the same, but for the deadband.
func (r *recall) near(x, y *plant.Reading) bool {
	if x.Same(y) {
		return true
	}
	if r.deadband <= 0 || x.Quality != y.Quality || x.Reason != y.Reason {
		return false
	}
	a, ok := x.Value.Number()
	b, was := y.Value.Number()
	return ok && was && x.Value.Kind() != plant.KindBoolean && max(a-b, b-a) <= r.deadband
}

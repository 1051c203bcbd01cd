package opcua

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"

	"linetwin/plant"
)

// historyRead is the history service that a test gives.
func (t *testServer) historyRead(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	t.mu.Lock()
	history := t.history
	t.mu.Unlock()
	if history == nil {
		return nil, ua.StatusBadServiceUnsupported
	}
	return history(r.(*ua.HistoryReadRequest))
}

// historized answers for the attributes of a node with history.
func historized(a ua.AttributeID) *ua.DataValue {
	v := ua.MustVariant(true)
	if a == ua.AttributeIDUserAccessLevel {
		v = ua.MustVariant(uint8(5))
	}
	return &ua.DataValue{EncodingMask: ua.DataValueValue, Value: v}
}

// archive is a history of one node, as servers give it.
type archive struct {
	values []*ua.DataValue
	// points: the server gives continuation points. Those that are lost are
	// refused once.
	points, loses bool
	endless       bool // every answer says that there is more
	answer        func(*ua.HistoryReadResult)
	refuse        error
	pages         int
	held          int // continuation points that were given and not used or freed
}

func (a *archive) read(req *ua.HistoryReadRequest) (ua.Response, error) {
	res := &ua.HistoryReadResponse{ResponseHeader: header(req, 0)}
	if a.refuse != nil {
		return nil, a.refuse
	}
	for _, n := range req.NodesToRead {
		r := &ua.HistoryReadResult{}
		if len(n.ContinuationPoint) > 0 {
			a.held--
		}
		if !req.ReleaseContinuationPoints {
			a.page(r, n.ContinuationPoint, req.HistoryReadDetails.Value.(*ua.ReadRawModifiedDetails))
		}
		res.Results = append(res.Results, r)
	}
	return res, nil
}

func (a *archive) page(r *ua.HistoryReadResult, point []byte, what *ua.ReadRawModifiedDetails) {
	a.pages++
	var found []*ua.DataValue
	if what.StartTime.Year() < 1990 { // the last one up to a time
		for _, v := range a.values {
			if !v.SourceTimestamp.After(what.EndTime) {
				found = []*ua.DataValue{v}
			}
		}
		r.HistoryData = ua.NewExtensionObject(&ua.HistoryData{DataValues: found})
		return
	}
	if len(point) > 0 && a.loses {
		a.loses = false
		r.StatusCode = ua.StatusBadContinuationPointInvalid
		return
	}
	for _, v := range a.values {
		if !v.SourceTimestamp.Before(what.StartTime) && v.SourceTimestamp.Before(what.EndTime) {
			found = append(found, v)
		}
	}
	skip := 0
	if len(point) > 0 {
		skip = int(binary.LittleEndian.Uint32(point))
	}
	found = found[min(skip, len(found)):]
	if n := int(what.NumValuesPerNode); len(found) > n {
		found = found[:n]
		if a.points {
			r.ContinuationPoint = binary.LittleEndian.AppendUint32(nil, uint32(skip+n))
		}
	}
	if a.endless {
		r.ContinuationPoint = binary.LittleEndian.AppendUint32(nil, 1<<20)
	}
	if len(r.ContinuationPoint) > 0 {
		a.held++
	}
	r.HistoryData = ua.NewExtensionObject(&ua.HistoryData{DataValues: found})
	if a.answer != nil {
		a.answer(r)
	}
}

func (a *archive) add(at plant.Time, v int32) {
	dv := &ua.DataValue{Value: ua.MustVariant(v), SourceTimestamp: at.Std()}
	dv.UpdateMask()
	a.values = append(a.values, dv)
}

// TestBackfill: what servers do with a request for history, and what is known
// after it of an outage in which a node changed more often than fits one page.
func TestBackfill(t *testing.T) {
	cases := map[string]struct {
		archive archive
		before  int32 // what the archive has before the outage
		change  func(*archive)
		behind  time.Duration // the server's clock, after the outage
		all     bool          // all that it had is known afterwards
		some    bool          // or a part of it
		start   bool          // and so is what held at the beginning
	}{
		"continuation points":      {archive: archive{points: true}, all: true, start: true},
		"no continuation points":   {all: true, start: true},
		"lost continuation point":  {archive: archive{points: true, loses: true}, all: true, start: true},
		"does not go on from live": {before: 9, archive: archive{points: true}, all: true},
		"endless":                  {archive: archive{endless: true}, some: true, start: true},
		"refused":                  {archive: archive{answer: func(r *ua.HistoryReadResult) { r.StatusCode = ua.StatusBadHistoryOperationUnsupported }}},
		"no such service":          {archive: archive{refuse: ua.StatusBadServiceUnsupported}},
		"too much at once":         {archive: archive{refuse: ua.StatusBadTooManyOperations}},
		"another structure": {archive: archive{answer: func(r *ua.HistoryReadResult) {
			r.HistoryData = ua.NewExtensionObject(&ua.ReadRawModifiedDetails{})
		}}},
		"out of order":     {change: func(a *archive) { slices.Reverse(a.values[1:]) }, some: true, start: true},
		"its clock is off": {behind: time.Hour},
		"its clock is set": {behind: 5 * time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			changes := 50
			if c.all || c.some {
				changes = historyValues + 20
			}
			s := useServer(t)
			s.space.set("s=n", int32(0))
			d := connected(t, s, Config{Timeout: 10 * time.Second}, Signal{Name: "n", Node: nsu("s=n"), Type: "int32"})
			from := poll(t, d).Through
			a := &c.archive
			a.add(from.Add(-time.Second), c.before)
			d.Close()
			told := from.Add(5 * time.Millisecond)
			for i := range changes {
				a.add(from.Add(time.Duration(10+i)*time.Millisecond), int32(i+1))
			}
			time.Sleep(time.Until(from.Add(time.Duration(20+changes) * time.Millisecond).Std()))
			if c.change != nil {
				c.change(a)
			}
			s.with(func() { s.behaviour = behaviour{history: a.read, behind: c.behind} })
			reconnect(t, d)
			first := poll(t, d).Readings[0].Time
			d.Backfill(Hole{From: from, Told: []plant.Time{told}})
			var got []plant.Reading
			waitFor(t, func() bool {
				poll(t, d)
				got = d.Past(got)
				d.backlog.mu.Lock()
				defer d.backlog.mu.Unlock()
				return len(d.backlog.holes) == 0 && len(d.backlog.ready) == 0
			})
			if a.held > 1 { // the one that the server still counts for a page that never ends
				t.Errorf("%d continuation points are left", a.held)
			}
			checkPast(t, got, from, first)
			if c.start != (len(got) > 0 && got[0].Time == told && got[0].Value == plant.Integer(0)) {
				t.Errorf("what held at the beginning: %+v", got[:min(1, len(got))])
			}
			values := got
			if c.start {
				values = got[1:]
			}
			if c.all && len(values) != changes || !c.all && !c.some && len(values) > 0 {
				t.Errorf("%d values of %d", len(values), changes)
			}
			for i, x := range values {
				if c.all && x.Value.Integer() != int64(i+1) {
					t.Fatalf("value %d is %+v", i, x)
				}
			}
		})
	}
}

// checkPast checks that readings are good, in order and within the outage.
func checkPast(t *testing.T, got []plant.Reading, from, first plant.Time) {
	t.Helper()
	last := from
	for _, x := range got {
		if x.Time <= last || x.Time >= first || x.Time%plant.Millisecond != 0 || x.Quality != plant.Good || x.Machine != "m" || x.Signal != "n" {
			t.Fatalf("reading %+v after %s, first live one at %s", x, last, first)
		}
		last = x.Time
	}
}

func TestBackfillNever(t *testing.T) {
	s := useServer(t)
	s.space.set("s=n", int32(0))
	a := &archive{}
	s.with(func() { s.history = a.read })
	d := connected(t, s, Config{Backfill: BackfillNever}, Signal{Name: "n", Node: nsu("s=n"), Type: "int32"})
	from := poll(t, d).Through
	d.Close()
	reconnect(t, d)
	poll(t, d)
	d.Backfill(Hole{From: from})
	poll(t, d)
	if len(d.backlog.holes) > 0 || a.pages > 0 {
		t.Error("history is asked for, though the settings say never")
	}
}

// TestRecall holds the readings that are made of a history against what a
// store then knows.
func TestRecall(t *testing.T) {
	const ms = plant.Millisecond
	base := plant.Time(1_790_000_000) * plant.Time(time.Second)
	at := func(n int64) plant.Time { return base + plant.Time(n)*ms }
	reading := func(n int64, v float64) plant.Reading {
		return plant.Reading{Machine: "m", Signal: "n", Time: at(n), Value: plant.Float(v)}
	}
	type value struct {
		us int64 // after base
		v  float64
	}
	cases := map[string]struct {
		deadband float64
		told     []int64
		bound    []float64
		values   []value
		want     []plant.Reading
	}{
		"nothing happened":                    {told: []int64{10, 20}, bound: []float64{1}, want: []plant.Reading{reading(10, 1), reading(20, 1)}},
		"no history":                          {told: []int64{10, 20}},
		"known from the first value":          {told: []int64{10, 20}, bound: []float64{2}, values: []value{{15_000, 3}}, want: []plant.Reading{reading(15, 3), reading(20, 3)}},
		"in place of the bad reading":         {told: []int64{10}, bound: []float64{1}, values: []value{{10_400, 3}}, want: []plant.Reading{reading(10, 3)}},
		"before the first bad reading":        {told: []int64{10}, bound: []float64{1}, values: []value{{5_000, 3}}, want: []plant.Reading{reading(5, 3), reading(10, 3)}},
		"seen live already":                   {told: []int64{10}, bound: []float64{1}, values: []value{{-3_000, 7}, {0, 1}, {100_000, 8}, {200_000, 9}}, want: []plant.Reading{reading(10, 1)}},
		"within the millisecond of the claim": {told: []int64{10}, bound: []float64{1}, values: []value{{200, 3}}, want: []plant.Reading{reading(1, 3), reading(10, 3)}},
		"several in a millisecond":            {bound: []float64{1}, values: []value{{5_000, 2}, {5_100, 3}, {5_200, 4}}, want: []plant.Reading{reading(5, 4)}},
		"unchanged":                           {bound: []float64{1}, values: []value{{5_000, 1}, {6_000, 2}, {7_000, 2}}, want: []plant.Reading{reading(6, 2)}},
		"held back by the deadband":           {deadband: 1, told: []int64{10}, bound: []float64{1.5}, want: []plant.Reading{reading(10, 1.5)}},
		"deadband":                            {deadband: 1, told: []int64{50}, bound: []float64{1}, values: []value{{5_000, 1.5}, {6_000, 2.5}, {7_000, 3}}, want: []plant.Reading{reading(6, 2.5), reading(50, 3)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dv := func(us int64, v float64) *ua.DataValue {
				return &ua.DataValue{Value: ua.MustVariant(v), SourceTimestamp: base.Add(time.Duration(us) * time.Microsecond).Std()}
			}
			r := recall{machine: "m", name: "n", decoder: newDecoder(Signal{Type: "float64"}), deadband: c.deadband, from: at(0), end: at(100),
				now: reading(0, 1), sent: reading(0, 1), known: true}
			for _, n := range c.told {
				r.told = append(r.told, at(n))
			}
			bound := &ua.DataValue{Status: ua.StatusBadBoundNotFound}
			for _, v := range c.bound {
				bound = dv(-1000, v)
			}
			got := r.hold(nil, bound)
			for _, v := range c.values {
				var err error
				if got, err = r.take(got, dv(v.us, v.v), 0); err != nil {
					t.Fatal(err)
				}
			}
			got = r.finish(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// FuzzHistory: whatever bytes come as an answer, what is made of them keeps its
// promises.
func FuzzHistory(f *testing.F) {
	base := plant.Time(1_790_000_000) * plant.Time(time.Second)
	for _, status := range []ua.StatusCode{ua.StatusOK, ua.StatusGoodNoData, ua.StatusBadContinuationPointInvalid} {
		dv := &ua.DataValue{Value: ua.MustVariant(2.5), SourceTimestamp: base.Add(5 * time.Millisecond).Std()}
		dv.UpdateMask()
		res := &ua.HistoryReadResponse{ResponseHeader: header(&ua.HistoryReadRequest{RequestHeader: &ua.RequestHeader{}}, 0), Results: []*ua.HistoryReadResult{
			{StatusCode: status, HistoryData: ua.NewExtensionObject(&ua.HistoryData{DataValues: []*ua.DataValue{dv}})}, {StatusCode: status}}}
		body, err := ua.Encode(res)
		if err != nil {
			f.Fatal(err)
		}
		head, _ := ua.NewFourByteExpandedNodeID(0, id.HistoryReadResponse_Encoding_DefaultBinary).Encode()
		f.Add(append(head, body...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		res, err := decodeMessage(b)
		h, ok := res.(*ua.HistoryReadResponse)
		if err != nil || !ok {
			return
		}
		r := recall{machine: "m", name: "n", decoder: newDecoder(Signal{Type: "float64"}), from: base, end: base.Add(time.Second), told: []plant.Time{base.Add(7 * time.Millisecond)}}
		var got []plant.Reading
		for _, one := range h.Results {
			all, err := values(one)
			for _, dv := range all {
				if err == nil {
					got, err = r.take(got, dv, 0)
				}
			}
		}
		last := base
		for _, x := range r.finish(got) {
			if x.Time <= last || x.Time >= base.Add(time.Second) || x.Time%plant.Millisecond != 0 || (x.Quality == plant.Bad) != x.Value.IsNone() {
				t.Fatalf("reading %+v after %s", x, last)
			}
			last = x.Time
		}
	})
}

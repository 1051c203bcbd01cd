package opcua

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

const (
	mostRetries = 3 // attempts in a row to read on that give nothing new
	slowPage    = 100 * time.Millisecond
	longestRest = time.Second // between two requests
)

// learner works on a backlog over one session.
type learner struct {
	*backlog
	session *session
	log     *slog.Logger
	timeout time.Duration
	batch   int
	nodes   []*ua.NodeID // by target; nil where there is none
	asked   *historian
	has     []bool
}

// next fills the oldest hole, and tells whether there may be another one to be
// filled. What fails otherwise than by ctx or the session costs the hole.
func (w *learner) next(ctx context.Context) bool {
	w.mu.Lock()
	w.working = len(w.holes) > 0
	if !w.working {
		w.mu.Unlock()
		return false
	}
	h := w.holes[0]
	w.mu.Unlock()
	before := h.readings
	err := w.guarded(ctx, h)
	cut := ctx.Err() != nil || w.session.broken() != nil
	lost := cut || errors.Is(err, errTimeout) // to be gone on with after a later look
	if h.readings > before {
		h.tries = 0
	}
	if lost {
		h.tries++
	}
	if cut {
		err = errors.New("the connection was lost again and again meanwhile") // the server may not bear to be asked
	}
	over := !lost || h.tries > mostRetries
	if over {
		w.give(ctx, h, h.rest()) // if ctx ends meanwhile, they are there all the same
		w.tell(h, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.holes, h); over && i >= 0 { // it may have had to make room
		w.holes = slices.Delete(w.holes, i, i+1)
	}
	w.working = !lost
	return !lost
}

func (w *learner) guarded(ctx context.Context, h *hole) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return w.fill(ctx, h)
}

// tell says what became of a hole.
func (w *learner) tell(h *hole, err error) {
	filled, without, merged, why := 0, 0, 0, ""
	if err != nil {
		why = err.Error()
	}
	for i := range h.nodes {
		for _, r := range h.nodes[i].signals {
			merged += r.merged
		}
		switch n := &h.nodes[i]; {
		case n.over && n.why == "":
			filled++
		case n.why == noHistory:
			without++
		default:
			why = cmp.Or(why, n.why)
		}
	}
	args := []any{"from", h.From, "to", h.To, "readings", h.readings, "in_one_millisecond", merged, "nodes", filled, "without_history", without,
		"failed", len(h.nodes) - filled - without}
	switch {
	case why != "":
		w.log.Warn("history did not fill all of an outage; the rest stays unknown", append(args, "reason", why)...)
	case filled == 0 && w.silent:
	default:
		w.silent = filled == 0
		w.log.Info("outage filled from the server's history, as far as it has one", args...)
	}
}

const noHistory = "the server keeps no history of it"

// fill reads what the server's history has of a hole.
func (w *learner) fill(ctx context.Context, h *hole) error {
	if err := w.ask(ctx, h); err != nil {
		return err
	}
	if s := w.asked.started; s > h.From {
		w.log.Warn("the server was started anew in the outage: what was before that stays unknown", "started", s)
	}
	var open []*holeNode
	for i := range h.nodes {
		n := &h.nodes[i]
		n.more = nil
		switch {
		case n.over:
		case !w.has[n.target]:
			n.over, n.why = true, noHistory
		default:
			if err := w.give(ctx, h, n.restarted(w.asked.started)); err != nil {
				return err
			}
			open = append(open, n)
		}
	}
	for len(open) > 0 {
		// Nodes that are at the same point can be asked for together.
		n := 1
		for n < min(len(open), w.asked.nodes) && open[n].at == open[0].at {
			n++
		}
		if err := w.group(ctx, h, open[:n]); err != nil {
			return err
		}
		open = slices.DeleteFunc(open, func(n *holeNode) bool { return n.over })
	}
	return nil
}

// ask finds out, once for each connection, what the server's history can be
// asked for, and whether times of that server can be used at all.
func (w *learner) ask(ctx context.Context, h *hole) error {
	if w.asked == nil {
		asked, err := askHistorian(ctx, w.session, w.timeout, w.batch)
		if err != nil {
			return err
		}
		if w.has, err = asked.historized(ctx, w.nodes); err != nil {
			return err
		}
		w.asked = asked
	}
	offset, _ := w.session.clock.now()
	switch {
	case offset.Abs() > clockFails:
		return errors.New(reasonClock)
	case (offset - h.offset).Abs() > clockWarns:
		return fmt.Errorf("the server's clock was set in the outage, by about %v", (offset - h.offset).Round(time.Second))
	}
	return nil
}

// rest gives the values that were read last where reading ended too soon.
func (h *hole) rest() (found []plant.Reading) {
	for i := range h.nodes {
		for j := range h.nodes[i].signals {
			found = h.nodes[i].signals[j].flush(found)
		}
	}
	return found
}

// restarted leaves out what the server had before it was started: nobody
// knows how long it was down, and whether it kept all.
func (n *holeNode) restarted(at plant.Time) (found []plant.Reading) {
	if at <= n.at {
		return nil
	}
	n.at = at
	for i := range n.signals {
		n.signals[i].from = max(n.signals[i].from, at)
		found = n.signals[i].doubt(found)
	}
	return found
}

// group reads the nodes of one request to their ends, or until one of them has
// to go on alone.
func (w *learner) group(ctx context.Context, h *hole, nodes []*holeNode) (err error) {
	defer func() {
		w.asked.free(points(w.nodes, nodes, true))
		for _, n := range nodes {
			n.more = nil
		}
	}()
	res, err := w.turn(ctx, nodes, func() ([]*ua.HistoryReadResult, error) {
		return w.asked.before(ctx, points(w.nodes, nodes, false), nodes[0].at)
	})
	if res == nil {
		return err
	}
	var found []plant.Reading
	for i, n := range nodes {
		found = n.begin(found, res[i])
	}
	if err := w.give(ctx, h, found); err != nil {
		return err
	}
	w.asked.free(points(w.nodes, nodes, true)) // that of one value may be the first of many
	for _, n := range nodes {
		n.more = nil
	}
	span := plant.Span{From: nodes[0].at, To: h.To} // the same for all pages of one reading
	for first := true; ; first = false {
		var open []*holeNode
		for _, n := range nodes {
			if !n.over && (first || len(n.more) > 0) {
				open = append(open, n)
			}
		}
		if len(open) == 0 {
			return nil
		}
		asked := w.asked.values
		res, err := w.turn(ctx, open, func() ([]*ua.HistoryReadResult, error) {
			return w.asked.page(ctx, points(w.nodes, open, false), span)
		})
		if res == nil {
			return err
		}
		for i, n := range open {
			if err := w.take(ctx, h, n, res[i], asked); err != nil {
				return err
			}
		}
	}
}

// points makes the nodes of a request; with held only those with a
// continuation point.
func points(ids []*ua.NodeID, nodes []*holeNode, held bool) []*ua.HistoryReadValueID {
	var all []*ua.HistoryReadValueID
	for _, n := range nodes {
		if !held || len(n.more) > 0 {
			all = append(all, &ua.HistoryReadValueID{NodeID: ids[n.target], DataEncoding: &ua.QualifiedName{}, ContinuationPoint: n.more})
		}
	}
	return all
}

// turn makes one request, when no other device of the session makes one, and
// leaves the server as much time for others as it took. A request that was too
// much is made smaller; the group then begins again where it is. Without
// results and error that is so too.
func (w *learner) turn(ctx context.Context, nodes []*holeNode, request func() ([]*ua.HistoryReadResult, error)) ([]*ua.HistoryReadResult, error) {
	res, took, err := w.alone(ctx, request)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		w.pace(took)
		return res, nil
	}
	var fault faultError
	var garbled undecodableError
	switch {
	case errors.Is(err, errTimeout), tooLarge(err):
		w.asked.values = max(w.asked.values/2, leastValues)
		w.asked.nodes = max(len(nodes)/2, 1)
	case errors.As(err, &garbled) && len(nodes) > 1:
		w.asked.nodes = max(len(nodes)/2, 1)
	case errors.As(err, &fault) && len(nodes) > 1 && fault.status&0xFFFF0000 != ua.StatusBadServiceUnsupported:
		w.asked.nodes = 1 // one of them may be to blame
	case errors.As(err, &fault), errors.As(err, &garbled):
		if fault.status&0xFFFF0000 == ua.StatusBadServiceUnsupported {
			return nil, err
		}
		nodes[0].over, nodes[0].why = true, err.Error()
		return nil, nil
	default:
		return nil, err
	}
	for _, n := range nodes {
		n.nothing(err.Error())
	}
	return nil, nil
}

// alone makes a request, and rests, while no other device of the session makes
// one. A panic lets the others go on too.
func (w *learner) alone(ctx context.Context, request func() ([]*ua.HistoryReadResult, error)) ([]*ua.HistoryReadResult, time.Duration, error) {
	if err := w.session.history.acquire(ctx); err != nil {
		return nil, 0, err
	}
	defer w.session.history.release()
	began := time.Now()
	res, err := request()
	took := time.Since(began)
	rest(ctx, min(took, longestRest))
	return res, took, err
}

// pace keeps requests short.
func (w *learner) pace(took time.Duration) {
	switch {
	case took > slowPage:
		w.asked.values = max(w.asked.values/2, leastValues)
	case took < slowPage/4:
		w.asked.values = min(w.asked.values*2, w.asked.most)
	}
}

// nothing counts an answer that brought nothing, and gives up after some.
func (n *holeNode) nothing(why string) {
	if n.empty++; n.empty > mostRetries {
		n.over, n.why = true, why
	}
}

// begin compares what the history had where reading begins with what is known
// to have been.
func (n *holeNode) begin(found []plant.Reading, r *ua.HistoryReadResult) []plant.Reading {
	n.more = nil
	if r != nil {
		n.more = r.ContinuationPoint
	}
	all, err := values(r)
	if err != nil || len(all) == 0 || all[0] == nil {
		all = []*ua.DataValue{{Status: ua.StatusBadBoundNotFound}}
	}
	for i := range n.signals {
		found = n.signals[i].hold(found, all[0])
	}
	return found
}

// take takes one node's part of a page.
func (w *learner) take(ctx context.Context, h *hole, n *holeNode, r *ua.HistoryReadResult, asked int) error {
	all, err := values(r)
	n.more = nil
	var fault faultError
	if errors.As(err, &fault) && lostPoint(fault.status) {
		n.nothing(err.Error()) // it goes on alone, from where it is
		return nil
	}
	if err != nil {
		n.over, n.why = true, err.Error()
		return nil
	}
	var found []plant.Reading
	before := n.at
	for i := range n.signals {
		sg := &n.signals[i]
		for _, dv := range all {
			if found, err = sg.take(found, dv, w.asked.ahead); err != nil {
				n.over, n.why = true, err.Error()
				return w.give(ctx, h, found)
			}
		}
	}
	if len(all) > 0 && all[len(all)-1] != nil {
		n.at = max(n.at, plant.At(all[len(all)-1].SourceTimestamp).Add(-w.asked.ahead))
	}
	n.more = r.ContinuationPoint
	// A server without continuation points may have more all the same.
	more := len(n.more) > 0 || len(all) >= asked && n.at > before || r.StatusCode&0xFFFF0000 == ua.StatusGoodMoreData
	switch {
	case more && n.at > before && n.at < h.To:
		n.empty = 0
	case more && n.at == before:
		n.nothing("the server gives no more of its history, though it says that there is more")
	default:
		n.over = true
		for i := range n.signals {
			found = n.signals[i].finish(found)
		}
	}
	return w.give(ctx, h, found)
}

// lostPoint tells whether the server has no continuation point, or no longer.
func lostPoint(s ua.StatusCode) bool {
	s &= 0xFFFF0000
	return s == ua.StatusBadContinuationPointInvalid || s == ua.StatusBadNoContinuationPoints
}

// give hands readings to the gateway, and waits while too many are not taken.
func (w *learner) give(ctx context.Context, h *hole, readings []plant.Reading) error {
	h.readings += len(readings)
	w.mu.Lock()
	w.ready = append(w.ready, readings...)
	full := len(w.ready) > mostPast
	w.mu.Unlock()
	for full {
		select {
		case <-w.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
		w.mu.Lock()
		full = len(w.ready) > mostPast
		w.mu.Unlock()
	}
	return nil
}

// baton is held by the one device of a session that reads history.
type baton chan struct{}

func (b baton) acquire(ctx context.Context) error {
	select {
	case b <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b baton) release() { <-b }

// rest waits for d or the end of ctx.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

package twin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"linetwin/plant"
)

// Counter is a History that counts what it holds and what it refused.
type Counter interface {
	// Counts gives how many readings there are of a machine in each minute of
	// span: each signal and time once.
	Counts(ctx context.Context, machine string, span plant.Span) ([]plant.MinuteCount, error)
	// Quarantine gives the readings that were set aside last.
	Quarantine(ctx context.Context, limit int) ([]plant.Refused, error)
}

// Forgetter is a Counter that drops what is too old.
type Forgetter interface {
	// CountedFrom gives the time before which Counts of a machine lack what was
	// dropped; 0: nothing was.
	CountedFrom(ctx context.Context, machine string) (plant.Time, error)
}

// Books keeps what gateways counted.
type Books interface {
	// SaveCounts keeps a report, once however often it comes.
	SaveCounts(ctx context.Context, r plant.CountReport) error
	Counts(ctx context.Context, span plant.Span) ([]plant.GatewayCount, error)
	Counted(ctx context.Context) ([]plant.Counted, error)
	Gaps(ctx context.Context, span plant.Span) ([]plant.GatewayGap, error)
}

// Confirmer tells gateways that their counts are kept.
type Confirmer interface {
	Confirm(c plant.CountConfirmation) error
}

const (
	reportsQueued = 256     // reports that wait for the ledger; of more the gateways keep the rest
	refusedMost   = 100_000 // readings in quarantine that an audit looks at
	gapsShown     = 20      // of a gateway
)

// Counts takes a gateway's report of counts. It is confirmed once the ledger
// has it; one that does not fit comes again.
func (t *Twin) Counts(r plant.CountReport) {
	select {
	case t.reports <- r:
	default:
		t.notice("counts", "reports of counts come faster than the ledger takes them; gateways send them again")
	}
}

// countsLoop brings reports to the ledger and confirms them, until ctx ends.
func (t *Twin) countsLoop(ctx context.Context, acks Acknowledger) error {
	if t.opts.Books == nil {
		<-ctx.Done()
		return nil
	}
	t.showGaps(ctx)
	confirmer, _ := acks.(Confirmer)
	for failing := false; ; {
		var r plant.CountReport
		select {
		case <-ctx.Done():
			return nil
		case r = <-t.reports:
		}
		if err := t.opts.Books.SaveCounts(ctx, r); err != nil {
			if ctx.Err() == nil && !failing {
				failing = true
				t.log.Warn("counts are not kept; gateways send them again", "gateway", r.Gateway, "error", err)
			}
			continue
		}
		failing = false
		if confirmer != nil {
			// A confirmation that gets lost is made good when the report comes again.
			_ = confirmer.Confirm(plant.CountConfirmation{Area: r.Area, Gateway: r.Gateway, Book: r.Book, Number: r.Number})
		}
		if len(r.Gaps) > 0 {
			t.log.Warn("gateway dropped readings", "area", r.Area, "gateway", r.Gateway, "gaps", len(r.Gaps), "from", r.Gaps[0].From, "to", r.Gaps[0].To)
			t.showGaps(ctx)
		}
	}
}

// showGaps brings the latest known gaps to the gateways that are shown.
func (t *Twin) showGaps(ctx context.Context) {
	gaps, err := t.opts.Books.Gaps(ctx, plant.Span{})
	if err != nil {
		t.log.Warn("gaps cannot be read", "error", err)
		return
	}
	by := map[gatewayKey][]plant.Gap{}
	for _, g := range slices.Backward(gaps) {
		key := gatewayKey{g.Area, g.Gateway}
		if len(by[key]) < gapsShown {
			by[key] = append(by[key], g.Gap)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, list := range by {
		g := t.gatewayLocked(key.area, key.name)
		g.live.Dropouts, g.changed = list, true
	}
}

// Audit holds what gateways made with a time in span, which is of whole minutes,
// against what history has. With a gateway, area/name or a name alone, it looks
// only at the machines that this one counted.
func (t *Twin) Audit(ctx context.Context, span plant.Span, gateway string) (plant.Audit, error) {
	if t.opts.Books == nil || t.opts.Counter == nil {
		return plant.Audit{}, fmt.Errorf("audit: this twin keeps no counts")
	}
	in := &accounts{span: span, expired: map[string]plant.Time{}, stored: map[machineMinute]uint64{}, quarantined: map[machineMinute]uint64{}}
	var err error
	// Counts first: what they count was made before what is then looked for.
	if in.counts, err = t.opts.Books.Counts(ctx, span); err != nil {
		return plant.Audit{}, err
	}
	if in.gaps, err = t.opts.Books.Gaps(ctx, span); err != nil {
		return plant.Audit{}, err
	}
	if err := t.auditedGateways(ctx, in, gateway); err != nil {
		return plant.Audit{}, err
	}
	for _, machine := range t.auditedMachines(in, gateway != "") {
		minutes, err := t.opts.Counter.Counts(ctx, machine, span)
		if err != nil {
			return plant.Audit{}, err
		}
		for _, m := range minutes {
			in.stored[machineMinute{machine, m.Minute}] += m.Readings
		}
		if f, ok := t.opts.Counter.(Forgetter); ok {
			if in.expired[machine], err = f.CountedFrom(ctx, machine); err != nil {
				return plant.Audit{}, err
			}
		}
	}
	if err := t.refused(ctx, in); err != nil {
		return plant.Audit{}, err
	}
	audit, sums := reconcile(in)
	t.audited(&audit, sums)
	return audit, nil
}

// auditedGateways fills in the gateways, and leaves counts and gaps of one alone
// where one is named.
func (t *Twin) auditedGateways(ctx context.Context, in *accounts, only string) error {
	counted, err := t.opts.Books.Counted(ctx)
	if err != nil {
		return err
	}
	all := map[gatewayKey]*auditedGateway{}
	at := func(key gatewayKey) *auditedGateway {
		if all[key] == nil {
			all[key] = &auditedGateway{AuditGateway: plant.AuditGateway{Area: key.area, Gateway: key.name}}
		}
		return all[key]
	}
	for _, c := range counted {
		at(gatewayKey{c.Area, c.Gateway}).Counted = c.Span
	}
	t.mu.RLock()
	foreign := map[gatewayKey]bool{}
	for key, g := range t.gateways {
		a := at(key)
		a.Online, a.Waiting, a.oldest = g.live.Online, g.live.Waiting, g.live.OldestWaits
		foreign[key] = g.live.Foreign
	}
	t.mu.RUnlock()
	known := false
	for key, g := range all {
		g.Problem = g.problem(in.span, foreign[key])
		if only == "" || only == key.name || only == key.area+"/"+key.name {
			known = true
			in.gateways = append(in.gateways, *g)
		}
	}
	if !known && only != "" {
		return fmt.Errorf("gateway %s: %w", only, plant.ErrNotFound)
	}
	slices.SortFunc(in.gateways, func(a, b auditedGateway) int {
		return cmp.Or(cmp.Compare(a.Area, b.Area), cmp.Compare(a.Gateway, b.Gateway))
	})
	if only != "" {
		in.keep()
	}
	return nil
}

// keep leaves counts of machines that one of the gateways counted, and its gaps.
func (a *accounts) keep() {
	ours := func(area, name string) bool {
		return slices.ContainsFunc(a.gateways, func(g auditedGateway) bool { return g.Area == area && g.Gateway == name })
	}
	machines := map[string]bool{}
	for i := range a.counts {
		if c := &a.counts[i]; ours(c.Area, c.Gateway) {
			machines[c.Machine] = true
		}
	}
	a.counts = slices.DeleteFunc(a.counts, func(c plant.GatewayCount) bool { return !machines[c.Machine] })
	a.gaps = slices.DeleteFunc(a.gaps, func(g plant.GatewayGap) bool { return !ours(g.Area, g.Gateway) })
}

// problem tells why a span cannot be proven as far as a gateway goes.
func (g *auditedGateway) problem(span plant.Span, foreign bool) string {
	switch {
	case foreign && g.Counted.Empty():
		return "is a foreign edge node, which counts nothing"
	case g.Counted.Empty():
		return "has never told its counts: it is older than this twin, or its first minute is not over"
	case g.Counted.To <= span.From || g.Counted.From >= span.To:
		return "has told its counts from " + g.Counted.From.String() + " to " + g.Counted.To.String() + " only, which is none of this span"
	case g.Counted.To < span.To:
		return "has told its counts up to " + g.Counted.To.String()
	case g.Counted.From > span.From:
		return "has told its counts from " + g.Counted.From.String() + " on"
	}
	return ""
}

// auditedMachines gives the machines to look for: those that were counted, and
// where no gateway is named all that the twin has heard of.
func (t *Twin) auditedMachines(in *accounts, only bool) []string {
	var machines []string
	for i := range in.counts {
		machines = append(machines, in.counts[i].Machine)
	}
	if !only {
		t.mu.RLock()
		for machine := range t.signals {
			machines = append(machines, machine)
		}
		for machine := range t.machines {
			machines = append(machines, machine)
		}
		t.mu.RUnlock()
	}
	slices.Sort(machines)
	return slices.Compact(machines)
}

// refused counts what is in quarantine, each signal and time once.
func (t *Twin) refused(ctx context.Context, in *accounts) error {
	refused, err := t.opts.Counter.Quarantine(ctx, refusedMost)
	if err != nil {
		return err
	}
	type key struct {
		machine, signal string
		time            plant.Time
	}
	seen := map[key]bool{}
	for i := range refused {
		r := &refused[i]
		k := key{r.Machine, r.Signal, r.Time}
		if !seen[k] && r.Time >= in.span.From && r.Time < in.span.To {
			seen[k] = true
			in.quarantined[machineMinute{r.Machine, r.Time.Floor(time.Minute)}]++
		}
	}
	return nil
}

// audited shows an audit with its gateways. Parts that follow each other are one.
func (t *Twin) audited(a *plant.Audit, sums map[gatewayKey]*plant.AuditSums) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, s := range sums {
		g := t.gatewayLocked(key.area, key.name)
		fresh := &plant.GatewayAudit{At: now, Span: a.Span, AuditSums: *s}
		if last := g.live.Audit; last != nil && last.To == a.From && now.Sub(last.At) < time.Minute {
			fresh.From = last.From
			fresh.Add(&last.AuditSums)
		}
		g.live.Audit, g.changed = fresh, true
	}
}

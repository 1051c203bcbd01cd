package twin

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"linetwin/plant"
)

// machineMinute is a machine in one minute of readings' time.
type machineMinute struct {
	machine string
	minute  plant.Time
}

// accounts is all that an audit looks at.
type accounts struct {
	span        plant.Span // of whole minutes
	counts      []plant.GatewayCount
	stored      map[machineMinute]uint64
	quarantined map[machineMinute]uint64
	expired     map[string]plant.Time // by machine: history counts nothing before it any more
	gaps        []plant.GatewayGap
	gateways    []auditedGateway
}

// auditedGateway is a gateway with the time of the oldest reading that waits.
type auditedGateway struct {
	plant.AuditGateway
	oldest plant.Time
}

func (g *auditedGateway) key() gatewayKey { return gatewayKey{g.Area, g.Gateway} }

// reconciler goes through machines and minutes, and uses up what explains that
// something is missing.
type reconciler struct {
	*accounts
	waiting  map[gatewayKey]*auditedGateway // Waiting: what is left
	unknown  []plant.GatewayGap             // of no machine; Readings: what is left
	gateways map[string][]gatewayKey        // that counted a machine in the span
	counted  map[gatewayKey]plant.Span
	audit    plant.Audit
	sums     map[gatewayKey]*plant.AuditSums
}

// reconcile holds what gateways counted against what is stored, minute by
// minute, and names why they differ. It gives the sums by gateway too, of
// machines that one gateway alone counted.
func reconcile(in *accounts) (plant.Audit, map[gatewayKey]*plant.AuditSums) {
	r := &reconciler{
		accounts: in, waiting: map[gatewayKey]*auditedGateway{}, gateways: map[string][]gatewayKey{},
		counted: map[gatewayKey]plant.Span{}, sums: map[gatewayKey]*plant.AuditSums{},
		audit: plant.Audit{Span: in.span, Proven: true, Gateways: []plant.AuditGateway{}, Differences: []plant.AuditDifference{}, Gaps: []plant.GatewayGap{}},
	}
	r.audit.Gaps = append(r.audit.Gaps, in.gaps...)
	for _, g := range in.gaps {
		if g.Machine == "" {
			r.unknown = append(r.unknown, g)
		}
	}
	for _, g := range in.gateways {
		r.audit.Gateways = append(r.audit.Gateways, g.AuditGateway)
		r.audit.Proven = r.audit.Proven && g.Problem == ""
		r.waiting[g.key()], r.counted[g.key()] = &g, g.Counted
	}
	r.minutes()
	r.audit.Proven = r.audit.Proven && len(r.audit.Differences) == 0
	return r.audit, r.sums
}

func (r *reconciler) minutes() {
	told := map[machineMinute]plant.Count{}
	all := map[machineMinute]bool{}
	for i := range r.counts {
		c := &r.counts[i]
		key, g := machineMinute{c.Machine, c.Minute}, gatewayKey{c.Area, c.Gateway}
		sum := told[key]
		sum.Add(&c.Count)
		told[key], all[key] = sum, true
		if !slices.Contains(r.gateways[c.Machine], g) {
			r.gateways[c.Machine] = append(r.gateways[c.Machine], g)
		}
	}
	for key := range r.stored {
		all[key] = true
	}
	keys := slices.SortedFunc(maps.Keys(all), func(a, b machineMinute) int {
		return cmp.Or(cmp.Compare(a.machine, b.machine), cmp.Compare(a.minute, b.minute))
	})
	for _, key := range keys {
		c := told[key]
		sums := r.minute(key, &c)
		r.audit.Sums.Add(&sums)
		if by := r.gateways[key.machine]; len(by) == 1 {
			if r.sums[by[0]] == nil {
				r.sums[by[0]] = &plant.AuditSums{}
			}
			r.sums[by[0]].Add(&sums)
		}
		r.differ(key, &sums)
	}
}

// minute accounts for one machine and minute.
func (r *reconciler) minute(key machineMinute, c *plant.Count) plant.AuditSums {
	s := plant.AuditSums{Made: c.Made, Repeated: min(c.Repeated, c.Made), Stored: r.stored[key]}
	own := s.Made - s.Repeated
	if s.Stored >= own {
		if r.told(key) {
			s.Surplus = s.Stored - own
		} else {
			s.Uncounted = s.Stored - own
		}
		return s
	}
	missing := own - s.Stored
	if key.minute < r.expired[key.machine] {
		s.Expired = missing
		return s
	}
	use := func(explained uint64) uint64 {
		n := min(missing, explained)
		missing -= n
		return n
	}
	s.Dropped = use(c.Dropped)
	s.Quarantined = use(r.quarantined[key])
	for _, g := range r.gateways[key.machine] {
		if w := r.waiting[g]; w != nil && w.Waiting > 0 && key.minute.Add(time.Minute) > w.oldest {
			n := use(w.Waiting)
			s.Waiting, w.Waiting = s.Waiting+n, w.Waiting-n
		}
	}
	for i := range r.unknown {
		u := &r.unknown[i]
		if slices.Contains(r.gateways[key.machine], gatewayKey{u.Area, u.Gateway}) && !u.Overlap(plant.Span{From: key.minute, To: key.minute.Add(time.Minute)}).Empty() {
			n := use(u.Readings)
			s.Dropped, u.Readings = s.Dropped+n, u.Readings-n
		}
	}
	s.Repeated += use(c.Late)
	s.Unexplained = missing
	return s
}

// told tells whether all gateways of a machine have told their counts of a
// minute.
func (r *reconciler) told(key machineMinute) bool {
	by := r.gateways[key.machine]
	for _, g := range by {
		if c := r.counted[g]; key.minute < c.From || key.minute.Add(time.Minute) > c.To {
			return false
		}
	}
	return len(by) > 0
}

// differ puts a minute to the differences, where it is one.
func (r *reconciler) differ(key machineMinute, s *plant.AuditSums) {
	if s.Missing()+s.Surplus+s.Uncounted == 0 {
		return
	}
	end := key.minute.Add(time.Minute)
	if n := len(r.audit.Differences); n > 0 {
		last := &r.audit.Differences[n-1]
		if last.Machine == key.machine && last.To == key.minute && reasons(&last.AuditSums) == reasons(s) {
			last.To = end
			last.Add(s)
			return
		}
	}
	d := plant.AuditDifference{Machine: key.machine, Gateways: []string{}, Span: plant.Span{From: key.minute, To: end}, AuditSums: *s}
	for _, g := range r.gateways[key.machine] {
		d.Gateways = append(d.Gateways, g.area+"/"+g.name)
	}
	r.audit.Differences = append(r.audit.Differences, d)
}

// reasons tells which reasons there are.
func reasons(s *plant.AuditSums) (set [7]bool) {
	return [...]bool{s.Waiting > 0, s.Quarantined > 0, s.Dropped > 0, s.Expired > 0, s.Unexplained > 0, s.Surplus > 0, s.Uncounted > 0}
}

package plant

import "slices"

// Audit holds what gateways made in a span of readings' time against what
// history has of it.
type Audit struct {
	Span
	// Proven: every gateway has told its counts of the whole span, and all that
	// was made is in history, to the reading.
	Proven      bool              `json:"proven"`
	Sums        AuditSums         `json:"sums"`
	Gateways    []AuditGateway    `json:"gateways"`
	Differences []AuditDifference `json:"differences"` // in order of machine and time
	Gaps        []GatewayGap      `json:"gaps"`        // dropped times that overlap the span
}

// AuditSums are numbers of readings. Made = Repeated + Stored - Uncounted -
// Surplus + Waiting + Quarantined + Dropped + Expired + Unexplained.
type AuditSums struct {
	Made     uint64 `json:"made"`     // put into batches by gateways
	Repeated uint64 `json:"repeated"` // of made: of a time that was there already, so that history has one row for both
	Stored   uint64 `json:"stored"`   // rows that history has

	Waiting     uint64 `json:"waiting"`     // not stored: still with its gateway
	Quarantined uint64 `json:"quarantined"` // not stored: history refused it
	Dropped     uint64 `json:"dropped"`     // not stored: dropped by its gateway, a known gap
	Expired     uint64 `json:"expired"`     // not stored any more: history's retention dropped its time, and even its minutes
	Unexplained uint64 `json:"unexplained"` // not stored, and nobody knows why
	Surplus     uint64 `json:"surplus"`     // stored, though its gateway, which has told its counts, made fewer
	Uncounted   uint64 `json:"uncounted"`   // stored of times of which no gateway has told its counts
}

// Add adds o.
func (s *AuditSums) Add(o *AuditSums) {
	s.Made += o.Made
	s.Repeated += o.Repeated
	s.Stored += o.Stored
	s.Waiting += o.Waiting
	s.Quarantined += o.Quarantined
	s.Dropped += o.Dropped
	s.Expired += o.Expired
	s.Unexplained += o.Unexplained
	s.Surplus += o.Surplus
	s.Uncounted += o.Uncounted
}

// Missing gives how many readings were made and are not in history.
func (s *AuditSums) Missing() uint64 {
	return s.Waiting + s.Quarantined + s.Dropped + s.Expired + s.Unexplained
}

// AuditDifference is a run of minutes of a machine in which something is
// missing, or too much, for the same reasons.
type AuditDifference struct {
	Machine  string   `json:"machine"`
	Gateways []string `json:"gateways"` // area/name of those that counted it
	Span
	AuditSums
}

// AuditGateway is what an audit knows of a gateway.
type AuditGateway struct {
	Area    string `json:"area"`
	Gateway string `json:"gateway"`
	Online  bool   `json:"online"`
	Counted Span   `json:"counted"` // told its counts of this time
	Waiting uint64 `json:"waiting"` // readings in its buffer, last known
	// Problem is why the span cannot be proven as far as this gateway goes.
	Problem string `json:"problem,omitempty"`
}

// Join puts an audit of the span that follows behind a. What waits at a gateway
// is counted in each part; what is more than waits in all is unexplained.
func (a *Audit) Join(o *Audit) {
	a.To, a.Proven = o.To, a.Proven && o.Proven
	a.Sums.Add(&o.Sums)
	a.Gateways = o.Gateways
	for i := range o.Gaps {
		if !slices.Contains(a.Gaps, o.Gaps[i]) {
			a.Gaps = append(a.Gaps, o.Gaps[i])
		}
	}
	a.Differences = append(a.Differences, o.Differences...)
	var left uint64
	for i := range a.Gateways {
		left += a.Gateways[i].Waiting
	}
	a.Sums.Waiting = 0
	for i := range a.Differences {
		d := &a.Differences[i]
		over := d.Waiting - min(d.Waiting, left)
		left -= d.Waiting - over
		d.Waiting, d.Unexplained = d.Waiting-over, d.Unexplained+over
		a.Sums.Waiting, a.Sums.Unexplained = a.Sums.Waiting+d.Waiting, a.Sums.Unexplained+over
	}
}

// GatewayAudit is the latest audit of a gateway's machines that somebody asked
// for.
type GatewayAudit struct {
	At Time `json:"at"` // when
	Span
	AuditSums
}

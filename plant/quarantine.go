package plant

// Refused is a reading that a history store set aside because it cannot be
// stored: another kind than its signal's, no name, no time. It holds up
// nothing; somebody should look at it.
type Refused struct {
	Reading
	Area    string `json:"area,omitempty"`
	Line    string `json:"line,omitempty"`
	Gateway string `json:"gateway,omitempty"`
	Kind    Kind   `json:"kind"`
	Why     string `json:"why"`   // what is wrong with it, or what the server said
	Seen    Time   `json:"seen"`  // when it was set aside
	Tries   int64  `json:"tries"` // how often it was refused again
}

// Refuse gives a reading of a batch as one that is set aside.
func Refuse(b *Batch, r Reading, why string, seen Time) Refused {
	if r.Machine == "" {
		r.Machine = b.Machine
	}
	return Refused{Reading: r, Area: b.Area, Line: b.Line, Gateway: b.Gateway, Kind: r.Value.Kind(), Why: why, Seen: seen}
}

// Quarantine is what a history store has set aside, in short.
type Quarantine struct {
	Waiting int64             `json:"waiting"` // readings that are kept
	Dropped int64             `json:"dropped"` // readings that were not kept for ever, because there are too many
	Groups  []QuarantineGroup `json:"groups"`  // most readings first
}

// QuarantineGroup is what was refused of one signal for one reason.
type QuarantineGroup struct {
	Machine string `json:"machine"`
	Signal  string `json:"signal"`
	Kind    Kind   `json:"kind"`
	Why     string `json:"why"`
	Count   int64  `json:"count"`
	Span    Span   `json:"span"` // of the readings' times
	Seen    Time   `json:"seen"` // when the last one was set aside
}

// QuarantineFilter chooses readings that were set aside; what is empty chooses
// all.
type QuarantineFilter struct {
	Machine string
	Signal  string
}

// Retried is what came of trying to store again.
type Retried struct {
	Tried   int64 `json:"tried"`
	Stored  int64 `json:"stored"`  // not in quarantine any more
	Refused int64 `json:"refused"` // set aside again
}

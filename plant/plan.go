package plant

// CalendarPlan is a calendar with the lines that work by it and all that it was
// and will be.
type CalendarPlan struct {
	ID       string            `json:"id"`
	Lines    []string          `json:"lines"`
	Versions []CalendarVersion `json:"versions"` // by From; the settings' is the first
}

// CalendarVersion is what a calendar is from a time until the next version.
type CalendarVersion struct {
	From     Time    `json:"from"`            // 0: always
	Entry    uint64  `json:"entry,omitempty"` // that says so; 0: the settings
	Calendar RawJSON `json:"calendar"`        // as an entry takes it
}

// ProductPlan is a product with its ideal cycles.
type ProductPlan struct {
	Product
	Cycles []CycleVersion `json:"cycles"` // by machine and From; the settings' are the first
}

// CycleVersion is a product's ideal cycle on a machine from a time until the
// next version.
type CycleVersion struct {
	Machine string  `json:"machine"`
	From    Time    `json:"from"`            // 0: always
	Entry   uint64  `json:"entry,omitempty"` // that says so; 0: the settings
	Cycle   *Length `json:"cycle"`           // nil: none any more
}

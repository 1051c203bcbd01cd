package plant

// SerialYield is the yield of a line by serial number: what became of each
// piece when a machine measured it for the first time. A piece that comes again
// after it was repaired is not counted again.
type SerialYield struct {
	Span
	Method  string   `json:"method"`  // serial
	Serials int64    `json:"serials"` // first measured in the span, at whichever machine came first
	Passed  int64    `json:"passed"`  // of them: no first measurement in the span was out of specification
	FPY     *float64 `json:"fpy"`     // passed / serials
	RTY     *float64 `json:"rty"`     // product of the machines' FPY
	// Machines are those with a characteristic that has limits and a trigger, in
	// the order of flow.
	Machines []MachineYield    `json:"machines"`
	Why      map[string]string `json:"why,omitempty"`
}

// MachineYield is the yield of one machine by serial number.
type MachineYield struct {
	Machine  string   `json:"machine"`
	Serials  int64    `json:"serials"`  // measured here for the first time
	Passed   int64    `json:"passed"`   // within specification then
	Repeated int64    `json:"repeated"` // measurements of serials that were here before
	FPY      *float64 `json:"fpy"`
}

// Rate sets the ratios from the counts, and says what is missing.
func (y *SerialYield) Rate() {
	y.Method, y.Why = "serial", map[string]string{}
	rolled := 1.0
	for i := range y.Machines {
		if m := &y.Machines[i]; m.Serials > 0 {
			m.FPY = share(m.Passed, m.Serials)
			rolled *= *m.FPY
		}
	}
	switch {
	case len(y.Machines) == 0:
		y.Why["fpy"] = "no characteristic of the line has limits and a trigger"
	case y.Serials == 0:
		y.Why["fpy"] = "no serial was measured"
	default:
		y.FPY, y.RTY = share(y.Passed, y.Serials), &rolled
		return
	}
	y.Why["rty"] = y.Why["fpy"]
}

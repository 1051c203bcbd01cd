package plant

import "fmt"

// SignOff is what somebody signs: a shift of a line as it was published.
type SignOff struct {
	Revision *int `json:"revision,omitempty"` // nil: the current one
	// Figures are those of the revision; the twin puts them in, so that they stay
	// readable whatever changes later.
	Figures RawJSON `json:"figures,omitempty"`
}

// SignedOff tells of a shift's figures that somebody has signed them, and as
// what. Restated is the revision that holds now, nil while it is the signed one.
type SignedOff struct {
	Entry    uint64    `json:"entry"`
	By       string    `json:"by"`
	At       Time      `json:"at"`
	Why      string    `json:"why,omitempty"`
	Revision int       `json:"revision"`
	Figures  RawJSON   `json:"figures"` // as they were signed
	Restated *Revision `json:"restated,omitempty"`
}

func (s *SignOff) check() []Fault {
	var faults []Fault
	if s.Revision != nil && *s.Revision < 0 {
		faults = append(faults, Fault{Key: "revision", Found: fmt.Sprint(*s.Revision), Allowed: "0 or more"})
	}
	if len(s.Figures) > 0 {
		faults = append(faults, Fault{Key: "figures", Found: shorten(string(s.Figures)), Allowed: "none: those of the revision are signed"})
	}
	return faults
}

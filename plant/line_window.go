package plant

// LineWindow is a window of a line for a store that other tools read.
type LineWindow struct {
	Place
	By string // minute, hour or shift
	Figures
	// Withdrawn: another calendar has no such shift any more.
	Withdrawn bool
}

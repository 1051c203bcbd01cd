package plant

// Recompute asks for past shifts to be made anew from history.
type Recompute struct {
	Span           // the shifts that start in it
	Lines []string // of these lines; none: of all
	By    string   // who wants it
	Why   string   // and why; may be empty
	Dry   bool     // nothing is kept
}

// Why a shift's published account is another one once it is made anew.
const (
	EffectOther     = "other figures"
	EffectNew       = "was not published yet"
	EffectWithdrawn = "the calendar has no such shift any more"
	EffectKept      = "stays as it is: history no longer has what it was made of"
)

// Rewrite is what a machine did in a past stretch, in place of what was known
// of it. What comes after the stretch stays.
type Rewrite struct {
	Machine  string
	Span     Span // segments that start in it are replaced
	Segments []Segment
	Minutes  Span // pieces of the minutes that start in it are replaced
	Pieces   []Pieces
	Orders   []OrderTold // those told in Minutes are replaced
}

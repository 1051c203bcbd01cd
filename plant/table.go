package plant

// Table asks to say what the lines of a CSV file hold: all of it or nothing.
type Table struct {
	Kind    EntryKind
	By, Why string
	Text    []byte // CSV with a header line, of commas or semicolons
	Dry     bool   // nothing is kept
}

// TableTaken is what became of a Table.
type TableTaken struct {
	Taken     []Entry  `json:"taken"`     // the lines that say something new
	Unchanged int      `json:"unchanged"` // lines that say what holds already
	Effects   []Effect `json:"effects,omitempty"`
}

// MostTableLines bounds a Table.
const MostTableLines = 2000

// TableKinds gives the kinds that a Table may be of.
func TableKinds() []string {
	return []string{string(EntryOrder), string(EntryIdealCycle), string(EntryProduct)}
}

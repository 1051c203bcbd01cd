package plant

import (
	"fmt"
	"strings"
)

// Name is what people call a thing, in English and Chinese. An empty
// translation falls back to the other one.
type Name struct {
	En string `json:"en" yaml:"en"`
	Zh string `json:"zh" yaml:"zh"`
}

// In gives the name in a language ("en", "zh"), or in the other one.
func (n Name) In(lang string) string {
	if lang == "zh" && n.Zh != "" || n.En == "" {
		return n.Zh
	}
	return n.En
}

// Or gives n, with id for a name that is empty.
func (n Name) Or(id string) Name {
	if n.En == "" && n.Zh == "" {
		return Name{En: id, Zh: id}
	}
	return n
}

// Area holds lines.
type Area struct {
	ID    string   `json:"id"`
	Name  Name     `json:"name"`
	Lines []string `json:"lines"` // ids
}

// Signal is what a gateway knows of one signal: its name (one type and one
// unit in a whole site), kind, unit (UCUM or plain), description and, for a
// counter, its width.
type Signal struct {
	Name        string `json:"name"`
	Kind        Kind   `json:"kind"`
	Unit        string `json:"unit,omitempty"`
	Description string `json:"description,omitempty"`
	Counter     int    `json:"counter,omitempty"` // bits of a counter that rolls over, 8 to 53; 0 is no counter
}

// Widths that a counter may have, in bits. Counts above 2^53 are not believed.
const (
	LeastCounter  = 8
	MostCounter   = 53
	CounterWidths = "8 to 53 bits"
)

// Role is what a signal means for its machine. The twin's settings give
// roles; gateways know none.
type Role string

// The roles.
const (
	RoleState   Role = "state"   // the machine's state, mapped to a State and a Class
	RoleGood    Role = "good"    // counter of good pieces
	RoleReject  Role = "reject"  // counter of rejected pieces
	RoleTotal   Role = "total"   // counter of all pieces, where there is no good or no reject
	RoleProduct Role = "product" // product that is made now
	RoleOrder   Role = "order"   // order that is worked on now
	RoleFault   Role = "fault"   // fault code or text; 0 or "" is none
	RoleSpeed   Role = "speed"   // machine speed, pieces per minute
	RoleEnergy  Role = "energy"  // energy counter, kWh
)

// Roles lists every role.
var Roles = [...]Role{RoleState, RoleGood, RoleReject, RoleTotal, RoleProduct, RoleOrder, RoleFault, RoleSpeed, RoleEnergy}

// CheckID tells what is wrong with an identifier of a site, area, line,
// gateway or machine: 1 to 64 of a-z A-Z 0-9 _ -, which every broker and store
// carries unchanged.
func CheckID(id string) error {
	const allowed = "1 to 64 of a-z A-Z 0-9 _ -"
	if id == "" {
		return fmt.Errorf("empty, want %s", allowed)
	}
	if len(id) > 64 {
		return fmt.Errorf("%d characters long, want %s", len(id), allowed)
	}
	if i := strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}); i >= 0 {
		return fmt.Errorf("has %q, want %s", []rune(id[i:])[0], allowed)
	}
	return nil
}

// Fault is one thing wrong in a settings file. Key is the path of the setting
// in the file, as in "devices[2].signals[0].type".
type Fault struct {
	Key     string
	Found   string // what is there; empty when the key is missing
	Allowed string // what may be there
}

// String gives "key: found X, allowed Y".
func (f Fault) String() string {
	if f.Found == "" {
		return f.Key + ": missing, allowed: " + f.Allowed
	}
	return f.Key + ": found " + f.Found + ", allowed: " + f.Allowed
}

// Under gives the faults with prefix put before their keys.
func Under(prefix string, faults []Fault) []Fault {
	for i := range faults {
		switch {
		case faults[i].Key == "":
			faults[i].Key = prefix
		case faults[i].Key[0] == '[':
			faults[i].Key = prefix + faults[i].Key
		default:
			faults[i].Key = prefix + "." + faults[i].Key
		}
	}
	return faults
}

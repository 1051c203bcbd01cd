package plant

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Product is something that lines make.
type Product struct {
	ID   string `json:"id"`
	Name Name   `json:"name"`
}

// ProductSaid is what somebody says of a product; its ideal cycles are entries of
// their own.
type ProductSaid struct {
	Name Name `json:"name"`
}

func (p *ProductSaid) check() []Fault {
	var faults []Fault
	for _, n := range []struct{ key, name string }{{"name.en", p.Name.En}, {"name.zh", p.Name.Zh}} {
		if len(n.name) > MostEntryText || strings.ContainsFunc(n.name, unicode.IsControl) {
			faults = append(faults, Fault{Key: n.key, Found: shorten(n.name), Allowed: fmt.Sprintf("at most %d characters, none of them a control character", MostEntryText)})
		}
	}
	return faults
}

// checkProduct tells what is wrong with what an entry of a product is about.
func (e *Entry) checkProduct() []Fault {
	var faults []Fault
	if err := CheckID(e.Key); err != nil {
		faults = append(faults, Fault{Key: "key", Found: shorten(e.Key), Allowed: "an id, 1 to 64 of a-z A-Z 0-9 _ -"})
	}
	if e.From != 0 {
		faults = append(faults, Fault{Key: "from", Found: e.From.String(), Allowed: "null: a product has its name always"})
	}
	return faults
}

// IdealCycle is the shortest time per piece of a product on a machine, valid
// from a time until the next one of the same product and machine.
type IdealCycle struct {
	Product string        `json:"product"`
	Machine string        `json:"machine"`
	Cycle   time.Duration `json:"cycle"`
	From    Time          `json:"from,omitempty"`
}

// Order is a quantity of a product to be made on a line.
type Order struct {
	ID       string `json:"id"`
	Line     string `json:"line"`
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"` // pieces
	Due      Time   `json:"due,omitempty"`
	Span            // planned, or actual once it ran; To is 0 while it runs
}

// Characteristic is a quality property of a product with its specification.
// A nil limit is absent.
type Characteristic struct {
	ID      string   `json:"id"`
	Machine string   `json:"machine"`
	Signal  string   `json:"signal"`
	Name    Name     `json:"name"`
	Unit    string   `json:"unit,omitempty"`
	LSL     *float64 `json:"lsl,omitempty"`
	USL     *float64 `json:"usl,omitempty"`
	Target  *float64 `json:"target,omitempty"`
}

// Within tells whether x meets the specification; a limit itself meets it.
func (c *Characteristic) Within(x float64) bool {
	return (c.LSL == nil || x >= *c.LSL) && (c.USL == nil || x <= *c.USL)
}

// Pieces counts what a machine made in one minute of one product. The minute
// is the one that holds the time of the reading that showed the count.
type Pieces struct {
	Machine string `json:"machine"`
	Minute  Time   `json:"minute"` // start of the minute
	Product string `json:"product,omitempty"`
	Order   string `json:"order,omitempty"`
	Good    int64  `json:"good"`
	Reject  int64  `json:"reject"`
	Startup int64  `json:"startup_reject,omitempty"` // of Reject: made just after a changeover or a long stop
	Resets  int64  `json:"resets,omitempty"`         // counter resets seen
	Flags   Flag   `json:"flags,omitempty"`
}

// Flag marks figures that deserve a second look. Flags add up by "or".
type Flag uint32

// The flags.
const (
	FlagReset          Flag = 1 << iota // a counter was reset
	FlagNoOrder                         // pieces without an order
	FlagNoIdeal                         // pieces of a product without an ideal cycle
	FlagBeatsIdeal                      // performance above 1: an ideal cycle is set too slow
	FlagInconsistent                    // pieces without run time
	FlagOvertime                        // production in time that was not planned
	FlagInferred                        // unknown time counted as run by its pieces
	FlagIndeterminate                   // a stop is still open and shorter than the threshold
	FlagProductAssumed                  // the line's product was assumed, none was told
	FlagClock                           // gateway time used in place of a source's wrong clock
	FlagCorrected                       // somebody corrected states or counts
	FlagNegative                        // a correction takes away more pieces than were counted
	FlagNotEntered                      // a machine told an order that nobody entered
)

var flagNames = map[Flag]string{
	FlagReset: "counter_reset", FlagNoOrder: "no_order", FlagNoIdeal: "no_ideal_cycle", FlagBeatsIdeal: "beats_ideal_cycle",
	FlagInconsistent: "pieces_without_run_time", FlagOvertime: "overtime", FlagInferred: "inferred_run_time",
	FlagIndeterminate: "open_stop_below_threshold", FlagProductAssumed: "product_assumed", FlagClock: "clock",
	FlagCorrected: "corrected", FlagNegative: "negative_count",
	FlagNotEntered: "order_not_entered",
}

// Names gives the names of the flags that are set, in a fixed order.
func (f Flag) Names() []string {
	var names []string
	for b := FlagReset; b <= FlagNotEntered; b <<= 1 {
		if f&b != 0 {
			names = append(names, flagNames[b])
		}
	}
	return names
}

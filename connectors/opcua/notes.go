package opcua

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// Notes tells what is allowed in a device's settings and likely to be a
// mistake; keys are relative to the device, which must have been checked.
func (c Config) Notes(every time.Duration, signals []Signal) []plant.Fault {
	notes := nodeNotes(signals)
	if c.Mode != ModeSubscribe {
		return notes
	}
	add := func(key, found, allowed string) {
		notes = append(notes, plant.Fault{Key: "opcua." + key, Found: found, Allowed: allowed})
	}
	full := c.filled(every)
	if c.Publishing > every {
		add("publishing", fmt.Sprintf("%v with every: %v", c.Publishing, every), fmt.Sprintf("at most every: the server reports each %v only, whatever every says", c.Publishing))
	}
	if c.Sampling > every {
		add("sampling", fmt.Sprintf("%v with every: %v", c.Sampling, every), fmt.Sprintf("at most every: the server looks each %v only, whatever every says", c.Sampling))
	}
	if changes := int64(full.Publishing / full.Sampling); c.Queue > 0 && int64(c.Queue) < changes {
		add("queue", strconv.Itoa(c.Queue), fmt.Sprintf("at least %d, the changes that sampling: %v finds in publishing: %v; what does not fit is lost", changes, full.Sampling, full.Publishing))
	}
	return notes
}

// nodeNotes tells of values that are read twice.
func nodeNotes(signals []Signal) []plant.Fault {
	var notes []plant.Fault
	first := map[string]int{}
	for i, s := range signals {
		if j, twice := first[s.Place()]; twice {
			notes = append(notes, plant.Fault{Key: fmt.Sprintf("signals[%d].node", i), Found: s.Node + ", as " + signals[j].Name + " has it",
				Allowed: "each value once; take one out, or correct its node"})
			continue
		}
		first[s.Place()] = i
	}
	return notes
}

// Place tells which value of a server the signal is.
func (s Signal) Place() string {
	if s.Index == nil {
		return s.Node
	}
	return fmt.Sprintf("%s[%d]", s.Node, *s.Index)
}

// Bits tells how many bits a number of the signal's type has; 0 where it is no
// whole number.
func (s Signal) Bits() int {
	t, _ := typeOf(s.Type)
	switch t.id {
	case ua.TypeIDSByte, ua.TypeIDByte:
		return 8
	case ua.TypeIDInt16, ua.TypeIDUint16:
		return 16
	case ua.TypeIDInt32, ua.TypeIDUint32:
		return 32
	case ua.TypeIDInt64, ua.TypeIDUint64:
		return 64
	}
	return 0
}

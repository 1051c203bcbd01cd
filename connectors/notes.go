package connectors

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// Notes tells what is allowed in devices and likely to be a mistake. Keys are
// relative to the list ("[0].signals[2].address"). The devices must have been
// checked.
func Notes(devices []Config) []plant.Fault {
	var notes []plant.Fault
	for i := range devices {
		for _, f := range devices[i].notes() {
			f.Key = fmt.Sprintf("[%d].%s", i, f.Key)
			notes = append(notes, f)
		}
	}
	notes = append(notes, between(devices)...)
	notes = append(notes, caseNotes(devices)...)
	return append(notes, loadNotes(devices)...)
}

func (c *Config) notes() []plant.Fault {
	notes := c.paceNotes()
	if c.Modbus != nil {
		notes = append(notes, plant.Under("signals", c.Modbus.Notes(c.modbusSignals()))...)
	} else {
		notes = append(notes, c.OPCUA.Notes(c.Every, c.opcuaSignals())...)
	}
	return append(notes, c.counterNotes()...)
}

func (c *Config) modbusSignals() []modbus.Signal {
	all := make([]modbus.Signal, len(c.Signals))
	for i := range c.Signals {
		all[i] = c.Signals[i].modbus()
	}
	return all
}

func (c *Config) opcuaSignals() []opcua.Signal {
	all := make([]opcua.Signal, len(c.Signals))
	for i := range c.Signals {
		all[i] = c.Signals[i].opcua()
	}
	return all
}

// looksLost is how many looks one lost answer may cost.
const looksLost = 20

// paceNotes tells of a time-out that lets many looks pass.
func (c *Config) paceNotes() []plant.Fault {
	timeout := time.Duration(0)
	switch {
	case c.Modbus != nil:
		timeout = c.Modbus.Timeout
	case c.OPCUA.Mode != opcua.ModeSubscribe:
		timeout = cmp.Or(c.OPCUA.Timeout, opcuaTimeout)
	}
	if timeout <= looksLost*c.Every {
		return nil
	}
	return []plant.Fault{{Key: "every", Found: fmt.Sprintf("%v with a timeout of %v", c.Every, timeout),
		Allowed: fmt.Sprintf("a timeout of up to %v, or a longer interval: one lost answer costs %d looks", looksLost*c.Every, timeout/c.Every)}}
}

var wordsOfNames = regexp.MustCompile(`[._-]`)

// counterNotes tells of a counter of 16 bits that is not said to roll over.
func (c *Config) counterNotes() []plant.Fault {
	var first *plant.Fault
	more := 0
	for i := range c.Signals {
		s := &c.Signals[i]
		words := wordsOfNames.Split(strings.ToLower(s.Name), -1)
		counts := slices.ContainsFunc(words, func(w string) bool {
			return slices.Contains([]string{"good", "reject", "rejects", "total", "scrap", "pieces", "count", "counter"}, w)
		})
		if !counts || s.Type != "uint16" && s.Type != "int16" || s.Counter != 0 || s.Scale != nil || s.Offset != nil || s.Unit != "" {
			continue
		}
		if first != nil {
			more++
			continue
		}
		first = &plant.Fault{Key: "signals[" + strconv.Itoa(i) + "].counter", Found: s.Name + " in " + s.Type + " without a counter",
			Allowed: "counter: 16, if it goes on from 0 after 65535; else a roll-over looks like a reset"}
	}
	if first == nil {
		return nil
	}
	if more > 0 {
		first.Allowed += fmt.Sprintf(" (and %d more in this device)", more)
	}
	return []plant.Fault{*first}
}

// between tells of two devices that read the same values.
func between(devices []Config) []plant.Fault {
	var notes []plant.Fault
	seen := map[string]int{}
	for i := range devices {
		b := &devices[i]
		j, ok := seen[b.address()]
		if !ok {
			seen[b.address()] = i
			continue
		}
		a := &devices[j]
		if b.Modbus != nil {
			if p, q := a.Modbus.Shared(a.modbusSignals(), b.Modbus, b.modbusSignals()); p >= 0 {
				notes = append(notes, plant.Fault{Key: fmt.Sprintf("[%d].modbus.unit", i),
					Found:   fmt.Sprintf("unit %d of %s, as %s has it, with the same registers (%s is %s there)", b.Modbus.Unit, b.Modbus.Endpoint(), a.Machine, b.Signals[q].Name, a.Signals[p].Name),
					Allowed: "a unit of its own, or registers of its own, if these are two machines"})
			}
		} else if n, name := sameNodes(a, b); 2*n >= len(b.Signals) {
			notes = append(notes, plant.Fault{Key: fmt.Sprintf("[%d].signals", i),
				Found:   fmt.Sprintf("%d of %d nodes that %s reads too, such as that of %s", n, len(b.Signals), a.Machine, name),
				Allowed: "nodes of its own, if these are two machines"})
		}
	}
	return notes
}

// address tells devices apart that cannot have values in common.
func (c *Config) address() string {
	if c.Modbus != nil {
		return fmt.Sprintf("modbus %s unit %d", c.Modbus.Endpoint(), c.Modbus.Unit)
	}
	return "opcua " + c.OPCUA.URL
}

func sameNodes(a, b *Config) (n int, name string) {
	of := map[string]bool{}
	for _, s := range a.opcuaSignals() {
		of[s.Place()] = true
	}
	for _, s := range b.opcuaSignals() {
		if of[s.Place()] {
			n++
			name = cmp.Or(name, s.Name)
		}
	}
	return n, name
}

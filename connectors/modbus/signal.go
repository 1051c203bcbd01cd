package modbus

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"linetwin/plant"
)

// Signal tells where one signal lies in a device and what its bits mean. Its
// kind follows from these settings alone: whole-number types are integers, or
// floats once they have a scale or an offset; float types are floats; bool is
// boolean; string is text.
type Signal struct {
	Name    string `yaml:"name"`
	Address string `yaml:"address"` // "holding:0", "40001" and others, see docs/connectors.md
	Type    string `yaml:"type"`    // one of the types; bool may be left out for coils and discrete inputs
	Order   string `yaml:"order,omitempty"`
	// Bit picks one bit of a register for a bool, 0 (least significant) to 15.
	Bit *int `yaml:"bit,omitempty"`
	// Length is that of a string, in bytes, two to a register.
	Length int `yaml:"length,omitempty"`
	// Scale and Offset: value = raw x scale + offset, which makes a float of any
	// number, also with a scale of 1.
	Scale       *float64 `yaml:"scale,omitempty"`
	Offset      *float64 `yaml:"offset,omitempty"`
	Counter     int      `yaml:"counter,omitempty"` // bits after which a counter rolls over, 8 to 53; 0 is no counter
	Unit        string   `yaml:"unit,omitempty"`
	Description string   `yaml:"description,omitempty"`
	// Group and Every: the signal is read at an interval of its own. 0 means in
	// each look.
	Group string        `yaml:"-"`
	Every time.Duration `yaml:"-"`
}

// form is how the bits of a type are read.
type form byte

const (
	formBool form = iota + 1
	formInt
	formUint
	formFloat
	formBCD
	formString
)

// shape is one entry of the list of types.
type shape struct {
	name      string
	form      form
	registers uint16 // 0: as many as the length says
}

var shapes = [...]shape{
	{"bool", formBool, 1},
	{"int16", formInt, 1}, {"uint16", formUint, 1},
	{"int32", formInt, 2}, {"uint32", formUint, 2},
	{"int64", formInt, 4}, {"uint64", formUint, 4},
	{"float32", formFloat, 2}, {"float64", formFloat, 4},
	{"bcd16", formBCD, 1}, {"bcd32", formBCD, 2},
	{"string", formString, 0},
}

const typeNames = "bool, int16, uint16, int32, uint32, int64, uint64, float32, float64, bcd16, bcd32, string"

// maxLength is the most bytes of a string that one request can read.
const maxLength = 2 * maxRegisters

// point is a signal ready to be read: everything looked up, nothing to parse.
type point struct {
	name          string
	table         table
	start, count  uint16 // registers or bits
	shape         shape
	swapW, swapB  bool // words, and bytes within each word, are in reverse order
	bit           uint8
	length        int
	scaled        bool
	scale, offset float64
}

// Check tells what is wrong with s, keys relative to it, where named addresses
// count from 0.
func (s *Signal) Check() []plant.Fault { return s.check(0) }

func (s *Signal) check(countFrom int) []plant.Fault {
	var faults []plant.Fault
	fault := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if len(s.Name) > 64 || plant.CheckID(strings.ReplaceAll(s.Name, ".", "_")) != nil {
		fault("name", s.Name, "1 to 64 of a-z A-Z 0-9 . _ -")
	}
	t, start, want := readAddress(s.Address, countFrom)
	if want != "" {
		fault("address", s.Address, want)
	}
	sh, ok := s.shape(t)
	if !ok {
		fault("type", s.Type, typeNames)
		return faults
	}
	if want == "" {
		s.checkPlace(t, uint16(start), sh, fault)
	}
	if s.Order != "" {
		if _, _, ok := swaps(s.Order, sh); !ok || t.bits() {
			fault("order", s.Order, orderNames(sh, t))
		}
	}
	if sh.form == formString {
		if s.Length < 1 || s.Length > maxLength {
			fault("length", count(s.Length), fmt.Sprintf("1 to %d bytes", maxLength))
		}
	} else if s.Length != 0 {
		fault("length", strconv.Itoa(s.Length), "only with type string")
	}
	s.checkNumber(sh, fault)
	return faults
}

// checkPlace tells what is wrong with where s lies.
func (s *Signal) checkPlace(t table, start uint16, sh shape, fault func(key, found, allowed string)) {
	switch {
	case t.bits() && sh.form != formBool:
		fault("type", s.Type, "bool, because "+t.String()+" holds single bits")
	case t.bits() && s.Bit != nil:
		fault("bit", strconv.Itoa(*s.Bit), "only with a register (holding or input)")
	case !t.bits() && sh.form == formBool && (s.Bit == nil || *s.Bit < 0 || *s.Bit > 15):
		found := ""
		if s.Bit != nil {
			found = strconv.Itoa(*s.Bit)
		}
		fault("bit", found, "0 (least significant) to 15 for a bool in a register")
	case sh.form != formBool && s.Bit != nil:
		fault("bit", strconv.Itoa(*s.Bit), "only with type bool")
	}
	n := int(sh.registers)
	if sh.form == formString {
		n = (min(max(s.Length, 1), maxLength) + 1) / 2
	}
	if int(start)+n > 1<<16 {
		fault("address", s.Address, fmt.Sprintf("a place where %d registers end at 65535", n))
	}
}

// checkNumber tells what is wrong with scale, offset and counter.
func (s *Signal) checkNumber(sh shape, fault func(key, found, allowed string)) {
	text := sh.form == formString || sh.form == formBool
	for _, n := range [...]struct {
		key string
		f   *float64
	}{{"scale", s.Scale}, {"offset", s.Offset}} {
		if n.f == nil {
			continue
		}
		found := strconv.FormatFloat(*n.f, 'g', -1, 64)
		switch {
		case math.IsNaN(*n.f) || math.IsInf(*n.f, 0):
			fault(n.key, found, "a finite number")
		case n.key == "scale" && *n.f == 0:
			fault(n.key, found, "a finite number other than 0")
		case text:
			fault(n.key, found, "only with a number type")
		case s.Counter != 0:
			fault(n.key, found, "none, because a counter stays a whole number")
		}
	}
	if s.Counter == 0 {
		return
	}
	found := strconv.Itoa(s.Counter)
	switch {
	case sh.form != formInt && sh.form != formUint:
		fault("counter", found, "only with int16, uint16, int32, uint32, int64 or uint64")
	case s.Counter < plant.LeastCounter || s.Counter > plant.MostCounter:
		fault("counter", found, plant.CounterWidths)
	case s.Counter > 16*int(sh.registers):
		fault("counter", found, fmt.Sprintf("at most the %d bits of %s", 16*sh.registers, s.Type))
	}
}

// shape looks up the type; coils and discrete inputs need none.
func (s *Signal) shape(t table) (shape, bool) {
	name := s.Type
	if name == "" && t.bits() {
		name = "bool"
	}
	for _, sh := range shapes {
		if sh.name == name {
			return sh, true
		}
	}
	return shape{}, false
}

// Kind gives the kind of the signal's values; it follows from the settings
// alone. It is KindNone where the type is unknown.
func (s *Signal) Kind() plant.Kind {
	sh, ok := s.shape(tableOf(s.Address))
	switch {
	case !ok:
		return plant.KindNone
	case sh.form == formBool:
		return plant.KindBoolean
	case sh.form == formString:
		return plant.KindText
	case sh.form == formFloat || s.scaled():
		return plant.KindFloat
	}
	return plant.KindInteger
}

func (s *Signal) scaled() bool { return s.Scale != nil || s.Offset != nil }

// compile gives the point of a signal that has been checked.
func (s *Signal) compile(countFrom int) (point, error) {
	t, start, err := parseAddress(s.Address, countFrom)
	if err != nil {
		return point{}, err
	}
	sh, ok := s.shape(t)
	if !ok {
		return point{}, fmt.Errorf("type %q: want %s", s.Type, typeNames)
	}
	p := point{name: s.Name, table: t, start: start, count: sh.registers, shape: sh, length: s.Length,
		scaled: s.scaled(), scale: 1}
	if s.Scale != nil {
		p.scale = *s.Scale
	}
	if s.Offset != nil {
		p.offset = *s.Offset
	}
	if sh.form == formString {
		p.count = uint16((s.Length + 1) / 2)
	}
	if s.Order != "" {
		p.swapW, p.swapB, _ = swaps(s.Order, sh)
	}
	if s.Bit != nil {
		p.bit = uint8(*s.Bit)
	}
	return p, nil
}

// swaps reads a byte order: are words in reverse order, and bytes within each
// word? A is the most significant byte, as the device sends them.
func swaps(order string, sh shape) (words, bytes, ok bool) {
	if sh.registers == 4 {
		switch order {
		case "ABCDEFGH":
			return false, false, true
		case "GHEFCDAB":
			return true, false, true
		case "BADCFEHG":
			return false, true, true
		case "HGFEDCBA":
			return true, true, true
		}
	}
	if sh.registers >= 2 {
		switch order {
		case "ABCD":
			return false, false, true
		case "CDAB":
			return true, false, true
		case "BADC":
			return false, true, true
		case "DCBA":
			return true, true, true
		}
		return false, false, false
	}
	return false, order == "BA", order == "AB" || order == "BA"
}

func orderNames(sh shape, t table) string {
	switch {
	case t.bits():
		return "only with registers (holding or input)"
	case sh.registers == 4:
		return strings.Join(orders(sh), ", ") + ", or ABCD, CDAB, BADC, DCBA for the same"
	}
	return strings.Join(orders(sh), ", ")
}

// count gives a number for a fault; 0 is a missing one.
func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

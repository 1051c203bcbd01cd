package modbus

import (
	"fmt"
	"math"
	"strconv"

	"linetwin/plant"
)

// What a machine's numbers usually are. Nothing is decided by these: they only
// say where a person should look twice.
const (
	tiny = 1e-4
	huge = 1e8
)

// forms reads a point's registers as each type of their size, without scale.
func forms(p point, data []byte) []Form {
	p.scaled, p.scale, p.offset = false, 1, 0
	if p.shape.form == formString || p.shape.form == formBool {
		return nil
	}
	var all []Form
	for _, sh := range shapes {
		if sh.registers != p.shape.registers || sh.form == formBool {
			continue
		}
		p.shape = sh
		f := Form{Type: sh.name}
		f.Value, f.Reason = p.decode(data, plant.Value{})
		f.Plausible = f.Reason == "" && plausible(sh, f.Value)
		all = append(all, f)
	}
	return all
}

// plausible tells whether a machine would mean this number. Any 16-bit number
// is plausible, and so is zero.
func plausible(sh shape, v plant.Value) bool {
	f, _ := v.Number()
	f = math.Abs(f)
	if sh.form == formFloat {
		return f == 0 || f >= tiny && f <= huge
	}
	if sh.registers < 2 {
		return true
	}
	onlyHigh := math.Mod(f, 1<<16) == 0 && f != 0
	return f <= huge && !onlyHigh
}

// suspicious tells whether a point's value is worth a look at what else it
// could be.
func suspicious(p *point, raw []byte, r plant.Reading) bool {
	switch {
	case raw == nil:
		return r.Reason == exceptions[2] || r.Reason == exceptions[3]
	case p.shape.form == formString || p.shape.form == formBool:
		return false
	}
	f, ok := formOf(p.shape.name, forms(*p, raw))
	return ok && !f.Plausible
}

func formOf(name string, all []Form) (Form, bool) {
	for _, f := range all {
		if f.Type == name {
			return f, true
		}
	}
	return Form{}, false
}

// hint says what is more likely meant than what the settings say; "" where the
// value looks right or nothing better is there.
func hint(p *point, all []View, r plant.Reading) string {
	if r.Quality == plant.Bad && (r.Reason == exceptions[2] || r.Reason == exceptions[3]) {
		return besideRefused(p, all)
	}
	var now Form
	for _, v := range all {
		if f, ok := formOf(p.shape.name, v.Forms); ok && v.Configured {
			now = f
		}
	}
	if now.Type == "" || now.Plausible || now.Reason == reasonNaN {
		return "" // NaN is what many devices say where nothing is measured
	}
	better := likely(p, all)
	if better == "" {
		return ""
	}
	if now.Reason != "" {
		return now.Reason + "; " + better
	}
	return shortNumber(now.Value) + " looks wrong; " + better
}

// likely gives the plausible way to read a point that has the shortest number,
// as in "order CDAB gives 25"; the kinds of mistake that are rarer count as
// longer. Zero says nothing.
func likely(p *point, all []View) string {
	best, least := "", math.MaxInt
	for _, v := range all {
		for _, f := range v.Forms {
			n, _ := f.Value.Number()
			what, rare := mistake(p, v, f)
			if what == "" || !f.Plausible || n == 0 {
				continue
			}
			s := shortNumber(f.Value)
			if length := len(s) + rare; length < least {
				best, least = what+" gives "+s, length
			}
		}
	}
	return best
}

// mistake says what is wrong with a point's settings if f is right, and how
// rare that is; "" where more than one thing would be wrong, but for type and
// order together.
func mistake(p *point, v View, f Form) (what string, rare int) {
	same, order := f.Type == p.shape.name, v.Order == p.order()
	switch {
	case same && v.Shift == 0 && !order:
		return "order " + v.Order, 0
	case same && v.Shift != 0 && order:
		return "address " + v.Address, 1
	case !same && v.Shift == 0 && order:
		return "type " + f.Type, 2
	case !same && v.Shift == 0:
		return "type " + f.Type + " with order " + v.Order, 3
	}
	return "", 0
}

// besideRefused tells of the addresses that answer beside one that is refused:
// manuals that count from 1.
func besideRefused(p *point, all []View) string {
	for _, v := range all {
		if v.Shift != 0 && (v.Order == p.order() || v.Order == "") {
			return fmt.Sprintf("%s answers: it may be what is meant, where a manual counts from the other number", v.Address)
		}
	}
	return ""
}

// shortNumber gives a number with the digits that a 32-bit float has.
func shortNumber(v plant.Value) string {
	if v.Kind() == plant.KindFloat {
		return strconv.FormatFloat(v.Float(), 'g', 5, 64)
	}
	return v.String()
}

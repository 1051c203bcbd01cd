package modbus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	goburrow "github.com/goburrow/modbus"

	"linetwin/plant"
)

// silentInRow is how many requests in a row may stay without an answer until
// Look asks a device no more: one that ignores a single bad address goes on to
// answer, a dead one does not.
const silentInRow = 3

// Seen is what Look found of one signal.
type Seen struct {
	Signal  string
	Address string // zero-based, "holding:9"
	Type    string
	Order   string // "" for a single bit
	Raw     []byte // the registers as the device sent them; nil for a coil or discrete input
	Reading plant.Reading
	// Hint tells what is more likely meant where the value looks wrong.
	Hint string
	// Views are the ways to read the signal, by address, then by order; only
	// where they were asked for.
	Views []View
}

// View is one way to read a signal: an address, its own or one beside it, and a
// byte order.
type View struct {
	Address    string // zero-based, "holding:9"
	Shift      int    // -1, 0 or 1: how far Address is from the signal's
	Order      string // "" for a single bit
	Configured bool   // the way of the settings
	Raw        []byte // the registers as the device sent them; nil for a coil or discrete input
	Value      plant.Value
	Reason     string // why there is no value
	Forms      []Form // what the same bits are in each type of this size, the signal's own among them
}

// Form is what some registers hold if they are of a type; without scale.
type Form struct {
	Type   string
	Value  plant.Value
	Reason string // why there is no value
	// Plausible is false for what a machine hardly ever means: NaN, numbers
	// almost zero or huge, whole numbers that have only a high word.
	Plausible bool
}

// Look reads every signal once and tells what it can of it. With views, it
// reads the two addresses beside each signal too; so it does where a value
// looks wrong. Refused addresses are found to the last one, and a request
// without an answer costs only its signals. The error is that of a device of
// which nothing could be read.
func (d *Device) Look(ctx context.Context, views bool) ([]Seen, error) {
	if !d.joined {
		return nil, errors.New("not connected")
	}
	d.asker.ctx = ctx
	began := d.now()
	l := look{device: d, began: began, stamp: plant.Stamp(began), spare: math.MaxInt, raw: make([][]byte, len(d.points))}
	silent, failure := l.all(ctx)
	if len(silent) == len(d.points) {
		return nil, failure
	}
	index := make(map[string]int, len(l.into))
	for i := range l.into {
		index[l.into[i].Signal] = i
	}
	all := make([]Seen, len(d.points))
	for i := range d.points {
		p := &d.points[i]
		r := l.into[index[p.name]]
		all[i] = Seen{Signal: p.name, Address: place(p.table, int(p.start)), Type: p.shape.name, Order: p.order(), Raw: l.raw[i], Reading: r}
		if silent[p.name] || !views && (!suspicious(p, l.raw[i], r) || l.raw[i] == nil && d.hemmed(p)) {
			continue
		}
		seen, err := d.inspect(ctx, p)
		if err != nil {
			continue // the value stands all the same; only the view beyond it is missing
		}
		all[i].Hint = hint(p, seen, r)
		if d.config.CountFrom != 0 && strings.Contains(all[i].Hint, p.table.String()+":") {
			all[i].Hint += " (this address counts from 0)"
		}
		if views {
			all[i].Views = seen
		}
	}
	return all, ctx.Err()
}

// all asks every request. One without an answer makes its signals bad; these
// are given, with the first such failure. What came counts once the line has
// confirmed it, each request by itself: the failure of a later one would take
// the proof away.
func (l *look) all(ctx context.Context) (silent map[string]bool, first error) {
	d := l.device
	defer d.asker.turn.end()
	silent = map[string]bool{}
	inRow := 0
	var failure error
	for i := range d.requests {
		r := &d.requests[i]
		from := len(l.into)
		if inRow < silentInRow && ctx.Err() == nil {
			if failure = l.read(r); failure == nil {
				failure = d.asker.turn.confirm(ctx, d.config.Timeout, byte(d.config.Unit))
			}
			if failure == nil {
				inRow = 0
				continue
			}
			inRow++
		} else if failure == nil {
			failure = ctx.Err()
		}
		if first == nil {
			first = failure
		}
		l.into = l.into[:from]
		l.bad(r.whole.points, failure.Error())
		for _, p := range r.whole.points {
			silent[d.points[p].name], l.raw[p] = true, nil
		}
	}
	return silent, first
}

// hemmed tells whether the addresses on both sides of a point, as far as there
// are any, are other points': there is then nothing to find beside it.
func (d *Device) hemmed(p *point) bool {
	taken := func(at int) bool {
		return at < 0 || at >= 1<<16 || slices.ContainsFunc(d.points, func(o point) bool {
			return o.table == p.table && at >= int(o.start) && at < int(o.start)+int(o.count)
		})
	}
	return taken(int(p.start)-1) && taken(int(p.start)+int(p.count))
}

// inspect reads a point by itself, and what lies at the addresses beside it.
// What the device refuses is left out.
func (d *Device) inspect(ctx context.Context, p *point) ([]View, error) {
	d.asker.ctx = ctx
	var all []View
	for shift := -1; shift <= 1; shift++ {
		at := int(p.start) + shift
		if at < 0 || at+int(p.count) > 1<<16 {
			continue
		}
		data, err := d.asker.read(&block{table: p.table, start: uint16(at), count: p.count})
		if e, ok := errors.AsType[*goburrow.ModbusError](err); ok && !unreachable(e.ExceptionCode) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %v %d of unit %d: %w", p.table, at, d.config.Unit, err)
		}
		all = append(all, views(*p, at, shift, data)...)
	}
	if err := d.asker.turn.confirm(ctx, d.config.Timeout, byte(d.config.Unit)); err != nil {
		return nil, err
	}
	return all, nil
}

// views reads data, which lies shift away from the point's place, in each order
// that the point's type can have.
func views(p point, at, shift int, data []byte) []View {
	v := View{Address: place(p.table, at), Shift: shift}
	if p.table.bits() {
		v.Configured, v.Value = shift == 0, plant.Boolean(data[0]&1 == 1)
		return []View{v}
	}
	v.Raw = append([]byte(nil), data...)
	words, bytes := p.swapW, p.swapB
	var all []View
	for _, order := range orders(p.shape) {
		p.swapW, p.swapB, _ = swaps(order, p.shape)
		v.Order, v.Configured = order, shift == 0 && p.swapW == words && p.swapB == bytes
		v.Value, v.Reason = p.decode(data, plant.Value{})
		v.Forms = forms(p, data)
		all = append(all, v)
	}
	return all
}

func place(t table, at int) string { return fmt.Sprintf("%v:%d", t, at) }

// order gives the point's byte order; "" for a single bit.
func (p *point) order() string {
	if p.table.bits() {
		return ""
	}
	for _, o := range orders(p.shape) {
		if w, b, _ := swaps(o, p.shape); w == p.swapW && b == p.swapB {
			return o
		}
	}
	return ""
}

// orders lists the byte orders of a type, the usual ones first.
func orders(sh shape) []string {
	switch sh.registers {
	case 4:
		return []string{"ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"}
	case 2:
		return []string{"ABCD", "CDAB", "BADC", "DCBA"}
	}
	return []string{"AB", "BA"}
}

package modbus

import (
	"context"
	"errors"
	"fmt"

	goburrow "github.com/goburrow/modbus"

	"linetwin/plant"
)

// Inspection is one signal looked at closely: what lies at its address and at
// the two beside it, and what that would be in each byte order. Wrong orders
// and addresses that are off by one show at a glance.
type Inspection struct {
	Signal  string
	Address string // of the settings
	Views   []View // by address, then by order; empty where Reason says why
	Reason  string
}

// View is one way to read a signal.
type View struct {
	Address    string // zero-based, "holding:9"
	Shift      int    // -1, 0 or 1: how far Address is from the signal's
	Order      string // "" for a single bit
	Configured bool   // the way of the settings
	Raw        []byte // the registers as the device sent them; nil for a coil or discrete input
	Value      plant.Value
	Reason     string // why there is no value
}

// Inspect looks at every signal by itself. The error is that of a device that
// cannot be read at all; what it refuses is in the inspections.
func (d *Device) Inspect(ctx context.Context) ([]Inspection, error) {
	if !d.joined {
		return nil, errors.New("not connected")
	}
	d.asker.ctx = ctx
	all := make([]Inspection, len(d.points))
	for i := range d.points {
		p := &d.points[i]
		all[i] = Inspection{Signal: p.name, Address: fmt.Sprintf("%v:%d", p.table, p.start)}
		for shift := -1; shift <= 1; shift++ {
			at := int(p.start) + shift
			if at < 0 || at+int(p.count) > 1<<16 {
				continue
			}
			data, err := d.asker.read(&block{table: p.table, start: uint16(at), count: p.count})
			if e, ok := errors.AsType[*goburrow.ModbusError](err); ok && !unreachable(e.ExceptionCode) {
				if shift == 0 {
					all[i].Reason = exceptions[min(int(e.ExceptionCode), len(exceptions)-1)]
				}
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read %v %d of unit %d: %w", p.table, at, d.config.Unit, err)
			}
			all[i].Views = append(all[i].Views, views(*p, at, shift, data)...)
		}
	}
	if err := d.asker.turn.confirm(ctx, d.config.Timeout, byte(d.config.Unit)); err != nil {
		return nil, err
	}
	return all, nil
}

// views reads data, which lies shift away from the point's place, in each order
// that the point's type can have.
func views(p point, at, shift int, data []byte) []View {
	v := View{Address: fmt.Sprintf("%v:%d", p.table, at), Shift: shift}
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
		all = append(all, v)
	}
	return all
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

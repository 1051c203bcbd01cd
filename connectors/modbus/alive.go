package modbus

import (
	"context"
	"errors"
	"fmt"

	goburrow "github.com/goburrow/modbus"
)

// Probe asks the device for as little as its signals allow, to learn whether it
// is there: one request, and so at most one time-out for all who share the
// line. An exception is an answer too, unless a gateway says by it that it
// cannot reach the unit. What is read is thrown away.
func (d *Device) Probe(ctx context.Context) error {
	if !d.joined {
		return errors.New("not connected")
	}
	d.asker.ctx = ctx
	b := d.smallest()
	_, err := d.asker.read(&b)
	if e, ok := errors.AsType[*goburrow.ModbusError](err); ok {
		if !unreachable(e.ExceptionCode) {
			return nil
		}
		err = errors.New(exceptions[e.ExceptionCode])
	}
	if err != nil {
		return fmt.Errorf("probe unit %d: %w", d.config.Unit, err)
	}
	return nil
}

// smallest gives the request of the shortest point.
func (d *Device) smallest() block {
	if len(d.points) == 0 {
		return block{table: holding, count: 1}
	}
	best := &d.points[0]
	for i := range d.points {
		if p := &d.points[i]; p.count < best.count {
			best = p
		}
	}
	return block{table: best.table, start: best.start, count: best.count}
}

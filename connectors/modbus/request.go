package modbus

import (
	"errors"
	"fmt"
	"time"

	goburrow "github.com/goburrow/modbus"

	"linetwin/plant"
)

// How the device is asked about what it refused.
const (
	// retryRefused is when an address that the device refused is tried again.
	retryRefused = 60 * time.Second
	// splitsPerPoll bounds the requests that one poll may add to those that the
	// poll before it would have sent, so that a device that refuses everything is
	// still looked at in time. What is left over is split in the next poll.
	splitsPerPoll = 32
)

// requests is all that a poll asks, in order.
type requests []request

// request is one planned block and what is asked in its place since the device
// refused it: parts that it answers, and single signals that it does not.
type request struct {
	whole block
	parts []part
	pace  *pace // of the signals in it
}

type part struct {
	block
	refusal string    // why the device refuses it; empty while it answers
	again   time.Time // when a refused part is tried again
}

// look is one poll under way.
type look struct {
	device *Device
	began  time.Time
	stamp  plant.Time
	into   []plant.Reading
	spare  int      // requests beyond the plan that this poll may still send
	raw    [][]byte // by point, the registers that came; nil where nobody wants them
}

// read sends a planned request's parts. Where the device refuses one, it is
// halved until the signals to blame are alone.
func (l *look) read(r *request) error {
	recovered := false
	for i := 0; i < len(r.parts); i++ {
		p := &r.parts[i]
		if p.refusal != "" {
			if l.spare == 0 || l.began.Before(p.again) {
				l.bad(p.points, p.refusal)
				continue
			}
			l.spare--
		}
		data, err := l.device.asker.read(&p.block)
		if err == nil {
			recovered = recovered || p.refusal != ""
			p.refusal = ""
			l.good(&p.block, data)
			continue
		}
		e, ok := errors.AsType[*goburrow.ModbusError](err)
		if !ok {
			return l.failure(&p.block, err)
		}
		why := exceptions[min(int(e.ExceptionCode), len(exceptions)-1)]
		if unreachable(e.ExceptionCode) {
			return l.failure(&p.block, errors.New(why))
		}
		switch {
		case !refuses(e.ExceptionCode):
			l.bad(p.points, why)
		case len(p.points) == 1 || e.ExceptionCode == goburrow.ExceptionCodeIllegalFunction:
			p.refusal, p.again = why, l.began.Add(retryRefused)
			l.bad(p.points, why)
		case l.spare < 2:
			l.bad(p.points, why)
		default:
			l.spare -= 2
			r.halve(l.device.points, i)
			i--
		}
	}
	if recovered && !r.refused() {
		r.parts = append(r.parts[:0], part{block: r.whole})
	}
	return nil
}

// refused tells whether the device refuses any part.
func (r *request) refused() bool {
	for i := range r.parts {
		if r.parts[i].refusal != "" {
			return true
		}
	}
	return false
}

// halve puts two halves in the place of part i.
func (r *request) halve(points []point, i int) {
	members := r.parts[i].points
	mid := len(members) / 2
	r.parts = append(r.parts, part{})
	copy(r.parts[i+1:], r.parts[i:])
	r.parts[i] = part{block: around(points, members[:mid:mid])}
	r.parts[i+1] = part{block: around(points, members[mid:])}
}

// failure says that the whole device could not be read.
func (l *look) failure(b *block, err error) error {
	return fmt.Errorf("read %s %d to %d of unit %d: %w", b.table, b.start, int(b.start)+int(b.count)-1, l.device.config.Unit, err)
}

// good decodes a block's answer.
func (l *look) good(b *block, data []byte) {
	d := l.device
	for _, i := range b.points {
		p := &d.points[i]
		r := plant.Reading{Machine: d.machine, Signal: p.name, Time: l.stamp}
		at := int(p.start - b.start)
		if l.raw != nil && !p.table.bits() {
			l.raw[i] = append([]byte(nil), data[2*at:2*(at+int(p.count))]...)
		}
		if p.table.bits() {
			r.Value = plant.Boolean(data[at/8]>>(at%8)&1 == 1)
		} else {
			text := p.shape.form == formString
			var before plant.Value
			if text {
				before = d.last[i]
			}
			if r.Value, r.Reason = p.decode(data[2*at:2*(at+int(p.count))], before); r.Reason != "" {
				r.Quality = plant.Bad
			} else if text {
				d.last[i] = r.Value
			}
		}
		l.into = append(l.into, r)
	}
}

// bad makes bad readings of signals for one reason.
func (l *look) bad(points []int, why string) {
	for _, i := range points {
		l.into = append(l.into, plant.Reading{Machine: l.device.machine, Signal: l.device.points[i].name, Time: l.stamp, Quality: plant.Bad, Reason: why})
	}
}

// refuses tells whether an exception means that the device does not have what
// was asked for, and asking again soon is of no use.
func refuses(code byte) bool {
	return code == goburrow.ExceptionCodeIllegalFunction || code == goburrow.ExceptionCodeIllegalDataAddress || code == goburrow.ExceptionCodeIllegalDataValue
}

// unreachable tells whether an exception comes from a gateway that cannot reach
// the unit.
func unreachable(code byte) bool {
	return code == goburrow.ExceptionCodeGatewayPathUnavailable || code == goburrow.ExceptionCodeGatewayTargetDeviceFailedToRespond
}

// exceptions are the reasons that exception codes give (MODBUS Application
// Protocol Specification V1.1b3, 7); the last stands for all that are unknown.
var exceptions = [...]string{
	0:  "the device answered with exception 0, which means nothing",
	1:  "illegal function (Modbus exception 1): the device does not have this kind of register",
	2:  "illegal data address (Modbus exception 2)",
	3:  "illegal data value (Modbus exception 3)",
	4:  "device failure (Modbus exception 4)",
	5:  "the device needs more time (Modbus exception 5)",
	6:  "the device is busy (Modbus exception 6)",
	7:  "negative acknowledgement (Modbus exception 7)",
	8:  "memory parity error (Modbus exception 8)",
	9:  "unknown Modbus exception",
	10: "the gateway has no path to the unit (Modbus exception 10)",
	11: "the unit does not answer its gateway (Modbus exception 11)",
	12: "unknown Modbus exception",
}

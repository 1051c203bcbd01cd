package sparkplug

import (
	"errors"
	"fmt"
	"time"

	"linetwin/plant"
)

// Publish sends a batch as DDATA and returns once it is written to the
// network, which is no promise that anybody has it: that is what
// acknowledgements are for. It gives plant.ErrOffline where it could not be
// written, after WriteTimeout at the latest.
func (e *Edge) Publish(b *plant.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return plant.ErrOffline
	}
	d, err := e.born(b)
	if errors.Is(err, errUnborn) {
		e.mu.Unlock()
		last := e.node.Last(b.Machine)
		e.mu.Lock()
		if e.link == nil {
			return plant.ErrOffline
		}
		d, err = e.bear(b, last)
	}
	if err == nil && !e.untold(d, b) {
		e.buf = appendBatch(e.buf[:0], now(), d, b)
		err = e.send(e.link, d.data)
	}
	if err != nil {
		e.counts.failures.Add(1)
		return fmt.Errorf("publish batch %d of %s: %w", b.Sequence, b.Machine, err)
	}
	e.counts.batches.Add(1)
	e.counts.readings.Add(uint64(len(b.Readings)))
	e.answers.published(time.Now())
	if e.cfg.Acknowledge == AcknowledgeBroker {
		e.receipts.add(b)
	}
	return nil
}

// untold tells whether a batch need not be sent because DDEATH already said
// it: a host that is not ours asks for a rebirth when data comes of a device
// that is dead, and again with each batch. Ours knows better, and needs the
// claims.
func (e *Edge) untold(d *edgeDevice, b *plant.Batch) bool {
	if e.cfg.Acknowledge == AcknowledgeHost || d.online {
		return false
	}
	for i := range b.Readings {
		if b.Readings[i].Quality != plant.Bad {
			return false
		}
	}
	return true
}

// errUnborn tells that a batch is of what no birth told.
var errUnborn = errors.New("no birth told of it")

// born gives the batch's device, or errUnborn.
func (e *Edge) born(b *plant.Batch) (*edgeDevice, error) {
	d := e.devices[b.Machine]
	missing := d == nil || !d.born
	for i := range b.Readings {
		missing = missing || d.find(b.Readings[i].Signal, i) < 0
	}
	if missing {
		return nil, errUnborn
	}
	return d, nil
}

// bear gives the batch's device once hosts have heard of all that is in it.
// What was buffered may be of a machine or of signals that the settings no
// longer have: they are born first, with what is known of them, or what the
// batch tells. last are the values of the signals that the machine has now.
func (e *Edge) bear(b *plant.Batch, last []plant.Reading) (*edgeDevice, error) {
	d := e.devices[b.Machine]
	birth := plant.DeviceBirth{Machine: b.Machine, Online: d == nil || d.online, Last: last}
	seen := map[string]int{}
	for i := range b.Readings {
		r := &b.Readings[i]
		j, ok := seen[r.Signal]
		if !ok {
			if d != nil && d.find(r.Signal, i) >= 0 {
				continue
			}
			j = len(birth.Signals)
			seen[r.Signal] = j
			birth.Signals = append(birth.Signals, plant.Signal{Name: r.Signal})
		}
		if birth.Signals[j].Kind == plant.KindNone {
			birth.Signals[j].Kind = r.Value.Kind()
		}
	}
	if err := e.deviceBirth(e.link, &birth); err != nil {
		return nil, err
	}
	return e.devices[b.Machine], nil
}

// appendBatch writes a DDATA: the batch's number and claim, then its readings
// by alias. It allocates nothing.
func appendBatch(b []byte, t uint64, d *edgeDevice, batch *plant.Batch) []byte {
	b = appendHead(b, t)
	if batch.Sequence != 0 {
		for i, v := range [...]uint64{batch.Sequence, uint64(batch.Complete.To.Milli()), uint64(batch.Complete.From.Milli())} {
			m := outMetric{alias: d.control + uint64(i), time: t, historical: batch.Historical, field: metricFieldLong, bits: v}
			b = m.append(b)
		}
	}
	at := -1
	for i := range batch.Readings {
		r := &batch.Readings[i]
		at = d.find(r.Signal, at+1)
		s := &d.signals[at]
		if r.Quality == plant.Good && r.Value.Kind() == s.Kind {
			if plain, ok := appendPlain(b, s.alias, r, batch.Historical); ok {
				b = plain
				continue
			}
		}
		m := outMetric{alias: s.alias, historical: batch.Historical}
		m.set(r)
		if k := r.Value.Kind(); k != s.Kind && k != plant.KindNone {
			m.datatype = typeOf(k) // not what the birth says: then say so
		}
		b = m.append(b)
	}
	return b
}

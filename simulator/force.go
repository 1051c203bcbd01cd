package simulator

import (
	"fmt"
	"time"
)

// The ways in which a controller can fail to serve.
const (
	// Silent: connections stay open and nothing answers. Behind a serial
	// gateway the answer is exception 11 after a second; on the OPC UA server,
	// which gathers many controllers, the machine's values freeze.
	Silent = "silent"
	// Refuse: connections are cut and refused, for all units of the address. On
	// the OPC UA server the machine's nodes turn Bad_NoCommunication.
	Refuse = "refuse"
)

func (p *Plant) find(id string) (*machine, error) {
	if m := p.machines[id]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("machine %q: not in the plant; want one of %s", id, p.names())
}

// Set lets a machine's controller serve a value in place of the true one until
// it is set to nil. It gives the wall time at which a client could first see
// it. The process and the ledger do not change.
func (p *Plant) Set(id, signal string, value any) (time.Time, error) {
	m, err := p.find(id)
	if err != nil {
		return time.Time{}, err
	}
	for i := range slots {
		if m.signalOf(i) != signal || signal == "" {
			continue
		}
		var o *override
		if value != nil {
			v, err := valueOf(m.kindOf(i), value)
			if err != nil {
				return time.Time{}, fmt.Errorf("set %s %s: %w", id, signal, err)
			}
			o = &override{value: v}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sync()
		at := time.Now()
		if o != nil {
			o.at = at
		}
		m.overrides[i] = o
		m.revision++
		return at, nil
	}
	return time.Time{}, fmt.Errorf("set %s %q: the machine has no such signal", id, signal)
}

// Jam stops a machine now with a fault code for a time of the process, at
// least 10 s. A machine that is jammed already stays as it is, which is an
// error.
func (p *Plant) Jam(id string, code int64, length time.Duration) (time.Time, error) {
	m, err := p.find(id)
	if err != nil {
		return time.Time{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sync()
	if m.hold&holdJam != 0 {
		return time.Time{}, fmt.Errorf("jam %s: it is jammed already", id)
	}
	p.model.jam(m.station, code, length.Milliseconds())
	return p.wall(p.model.now), nil
}

// Stall stops a machine's controller from serving, as Silent or Refuse. The
// target "opcua" is the OPC UA server itself.
func (p *Plant) Stall(target, mode string) error {
	if mode != Silent && mode != Refuse {
		return fmt.Errorf("stall %s: mode %q, want %s or %s", target, mode, Silent, Refuse)
	}
	if target == "opcua" {
		return p.opcua.stall(mode)
	}
	m, err := p.find(target)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.sync()
	if m.stalled == nil {
		m.stalled = make(chan struct{})
		m.stalledAt = time.Now()
	}
	m.mode = mode
	m.revision++
	if mode == Silent && m.protocol == opcUA {
		m.frozen = p.freeze(m)
	}
	p.mu.Unlock()
	if s := p.serverOf(m); s != nil && mode == Refuse {
		s.refuse()
	}
	return nil
}

// Resume lets a stalled target serve again.
func (p *Plant) Resume(target string) error {
	if target == "opcua" {
		return p.opcua.resume()
	}
	m, err := p.find(target)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if m.stalled != nil {
		close(m.stalled)
	}
	m.stalled, m.mode, m.frozen = nil, "", nil
	m.revision++
	p.mu.Unlock()
	if s := p.serverOf(m); s != nil {
		return s.listen()
	}
	return nil
}

// freeze keeps what a machine serves now. The caller holds mu.
func (p *Plant) freeze(m *machine) *[slots]override {
	if m.frozen != nil {
		return m.frozen
	}
	var f [slots]override
	for i := range slots {
		f[i].value, f[i].at = p.serve(m, i)
	}
	return &f
}

// RestartOPCUA closes the OPC UA server and opens it again, with its
// namespaces at other indexes.
func (p *Plant) RestartOPCUA() error { return p.opcua.restart() }

func (p *Plant) serverOf(m *machine) *modbusServer {
	for _, s := range p.modbus {
		for _, u := range s.units {
			if u == m {
				return s
			}
		}
	}
	return nil
}

// gate gives the channel that closes when a stalled machine serves again, or
// nil.
func (p *Plant) gate(m *machine) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.stalled == nil {
		return nil
	}
	return m.stalled
}

// resumeAll opens every gate, so that no handler is left waiting at the end.
func (p *Plant) resumeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.machines {
		if m.stalled != nil {
			close(m.stalled)
			m.stalled = nil
		}
	}
}

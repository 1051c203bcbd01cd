package simulator

import (
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// newOPCUAServer makes the server of the plant's OPC UA machines.
func newOPCUAServer(p *Plant) *opcuaServer {
	c := opcuaConfig{address: p.cfg.OPCUA, identity: p.certificate, tick: opcuaTick, lock: &p.mu, sync: p.sync}
	for _, s := range p.model.stations {
		if s.protocol != opcUA {
			continue
		}
		m := p.machines[s.id]
		for i := range slots {
			if s.signalOf(i) == "" {
				continue
			}
			sig := s.signal(i)
			c.nodes = append(c.nodes, opcuaNode{
				namespace: s.namespace, name: s.prefix + camel(sig.Name), browse: camel(sig.Name), description: describeNode(sig),
				folders: []string{s.line.id, s.id}, dataType: dataTypes(sig.Type),
				read: func() *ua.DataValue { return p.dataValue(m, i) },
				rev:  func() uint32 { return m.cells[i].rev + m.revision },
			})
		}
	}
	return c.server()
}

func describeNode(s Signal) string {
	if s.Unit == "" {
		return s.Description
	}
	return s.Description + ", " + s.Unit
}

func dataTypes(name string) uint32 {
	switch name {
	case "int32":
		return id.Int32
	case "uint32":
		return id.UInt32
	case "uint16":
		return id.UInt16
	case "string":
		return id.String
	}
	return id.Double
}

// dataValue gives what the OPC UA server says of a signal now. The caller
// holds mu.
func (p *Plant) dataValue(m *machine, i slot) *ua.DataValue {
	if m.mode == Refuse {
		return &ua.DataValue{
			EncodingMask:    ua.DataValueStatusCode | ua.DataValueSourceTimestamp | ua.DataValueServerTimestamp,
			Status:          ua.StatusBadNoCommunication,
			SourceTimestamp: m.stalledAt, ServerTimestamp: time.Now(),
		}
	}
	v, at := p.serve(m, i)
	return &ua.DataValue{
		EncodingMask:    ua.DataValueValue | ua.DataValueStatusCode | ua.DataValueSourceTimestamp | ua.DataValueServerTimestamp,
		Value:           variant(v, opcuaType(i)),
		Status:          ua.StatusOK,
		SourceTimestamp: at, ServerTimestamp: time.Now(),
	}
}

// variant encodes a value; 32-bit counters roll over.
func variant(v Value, kind string) *ua.Variant {
	switch kind {
	case "int32":
		return ua.MustVariant(int32(v.Integer))
	case "uint32":
		return ua.MustVariant(uint32(v.Integer))
	case "uint16":
		return ua.MustVariant(uint16(v.Integer))
	case "string":
		return ua.MustVariant(v.Text)
	}
	return ua.MustVariant(v.Float)
}

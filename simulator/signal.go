package simulator

import (
	"strings"
	"time"
)

// Signal is one signal of a machine, as a client finds it on the wire.
type Signal struct {
	Name        string `json:"name"`
	Kind        Kind   `json:"kind"`
	Unit        string `json:"unit,omitempty"`
	Description string `json:"description"`
	// Node is the OPC UA address, "nsu=URI;s=ID"; Address the Modbus one,
	// "holding:2" or "input:0", counted from 0.
	Node    string `json:"node,omitempty"`
	Address string `json:"address,omitempty"`
	// Type is how the value is encoded: int32, uint16, uint32, float32, float64
	// or string. Order is the order of a 32-bit value's bytes in two registers.
	Type  string `json:"type"`
	Order string `json:"order,omitempty"`
	// Counter is the width in bits of a counter of pieces, 0 for other signals.
	Counter int `json:"counter,omitempty"`
}

// Machine is one machine of the plant and how to reach its controller.
type Machine struct {
	ID       string   `json:"id"`
	En       string   `json:"en"`
	Zh       string   `json:"zh"`
	Line     string   `json:"line"`
	Protocol string   `json:"protocol"` // "opcua" or "modbus"
	URL      string   `json:"url"`      // as served now; as configured before the plant runs
	Unit     uint8    `json:"unit,omitempty"`
	Resets   bool     `json:"resets,omitempty"` // counters start anew at each shift
	Signals  []Signal `json:"signals"`
	// Cycles gives the best time per piece of each product, on the wall clock:
	// the plan's divided by the speed.
	Cycles  map[string]time.Duration `json:"cycles"`
	Measure Characteristic           `json:"measure"`
}

// Characteristic is what a machine measures on pieces. A nil limit is absent.
type Characteristic struct {
	Signal string   `json:"signal"`
	En     string   `json:"en"`
	Zh     string   `json:"zh"`
	Unit   string   `json:"unit"`
	LSL    *float64 `json:"lsl,omitempty"`
	USL    *float64 `json:"usl,omitempty"`
}

// Line is one line of the plant: its machines in the order of the flow.
type Line struct {
	ID         string   `json:"id"`
	En         string   `json:"en"`
	Zh         string   `json:"zh"`
	Bottleneck string   `json:"bottleneck"`
	Machines   []string `json:"machines"`
	Products   []string `json:"products"`
}

// Product is one thing the plant makes.
type Product struct {
	ID   string `json:"id"`
	En   string `json:"en"`
	Zh   string `json:"zh"`
	Code int64  `json:"code"` // on Modbus
}

// Description is all that a client can know of the plant.
type Description struct {
	Lines    []Line         `json:"lines"`
	Machines []Machine      `json:"machines"`
	Products []Product      `json:"products"`
	Shifts   []Shift        `json:"shifts"`
	States   []StateMeaning `json:"states"`
}

// kindOf gives the kind in which a slot's value stands in its cell; a product
// is text on OPC UA.
func (p *machinePlan) kindOf(i slot) Kind {
	switch {
	case i == slotSpeed || i == slotTemperature || i == slotEnergy || i == slotMeasure:
		return Float
	case i == slotProduct && p.protocol == opcUA:
		return Text
	}
	return Integer
}

// signalOf gives a slot's signal, or "" where the machine has none.
func (p *machinePlan) signalOf(i slot) string {
	switch i {
	case slotProduct:
		if p.protocol == modbusTCP {
			return "product_code"
		}
	case slotMeasure:
		return p.measure.signal
	case slotCavity:
		if p.measure.cavities == 0 {
			return ""
		}
	case slotExtra:
		return p.extra
	}
	return [slots]string{slotState: "state", slotGood: "good", slotReject: "reject", slotFault: "fault", slotProduct: "product",
		slotSpeed: "speed", slotTemperature: "temperature", slotEnergy: "energy", slotSerial: "serial", slotCavity: "cavity"}[i]
}

func (p *machinePlan) signal(i slot) Signal {
	units := [slots]string{slotSpeed: "1/min", slotTemperature: "°C", slotEnergy: "kWh", slotMeasure: p.measure.unit}
	words := [slots]string{
		slotState: "PackML state + 100 x cause", slotGood: "good pieces", slotReject: "rejected pieces", slotFault: "fault code, 0 none",
		slotProduct: "product made now", slotSpeed: "pieces per minute", slotTemperature: "machine temperature", slotEnergy: "energy counter",
		slotSerial: "serial number last measured", slotMeasure: p.measure.en, slotCavity: "cavity of the piece last measured", slotExtra: "bimetal lot",
	}
	if p.extra == "boxes" {
		words[slotExtra] = "boxes of 12"
	}
	s := Signal{Name: p.signalOf(i), Kind: p.kindOf(i), Unit: units[i], Description: words[i]}
	if p.protocol == opcUA {
		s.Node = "nsu=" + p.namespace + ";s=" + p.prefix + camel(s.Name)
		s.Type = opcuaType(i)
		if i == slotGood || i == slotReject {
			s.Counter = 32
		}
		return s
	}
	r := p.layout.at[i]
	s.Address, s.Type = r.String(), string(r.kind)
	if r.kind.words() == 2 {
		s.Order = string(p.layout.order)
	}
	if i == slotGood || i == slotReject {
		s.Counter = 16
	}
	return s
}

func opcuaType(i slot) string {
	switch i {
	case slotState, slotFault:
		return "int32"
	case slotGood, slotReject, slotSerial, slotExtra:
		return "uint32"
	case slotCavity:
		return "uint16"
	case slotProduct:
		return "string"
	}
	return "float64"
}

// camel turns trip_time into TripTime.
func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

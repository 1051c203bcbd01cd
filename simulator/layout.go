package simulator

import "strconv"

// register is where a signal stands in a Modbus unit.
type register struct {
	input   bool // input register (function 4) instead of holding register (3)
	address uint16
	kind    registerKind
}

type registerKind string

const (
	kindUint16  registerKind = "uint16"
	kindUint32  registerKind = "uint32"
	kindFloat32 registerKind = "float32"
)

func (k registerKind) words() uint16 {
	if k == kindUint16 {
		return 1
	}
	return 2
}

// layout is a Modbus unit's table. A slot without a place has kind "".
type layout struct {
	order  byteOrder
	at     [slots]register
	strict bool // addresses between the signals do not exist: exception 2
}

func place(address uint16, k registerKind) register { return register{address: address, kind: k} }

// layoutCDAB is the most common table: 32-bit values with the low word first.
func layoutCDAB() layout {
	return layout{order: cdab, at: [slots]register{
		slotState: place(0, kindUint16), slotFault: place(1, kindUint16), slotGood: place(2, kindUint16), slotReject: place(3, kindUint16),
		slotProduct: place(4, kindUint16), slotEnergy: place(6, kindFloat32), slotSpeed: place(8, kindFloat32), slotTemperature: place(10, kindFloat32),
		slotSerial: place(12, kindUint32), slotMeasure: place(14, kindFloat32), slotCavity: place(16, kindUint16), slotExtra: place(17, kindUint16),
	}}
}

func layoutABCD() layout { l := layoutCDAB(); l.order = abcd; return l }
func layoutBADC() layout { l := layoutCDAB(); l.order = badc; return l }
func layoutDCBA() layout { l := layoutCDAB(); l.order = dcba; return l }

// layoutInput keeps what was measured in input registers.
func layoutInput() layout {
	l := layoutABCD()
	for i, s := range []slot{slotTemperature, slotSerial, slotMeasure} {
		l.at[s] = register{input: true, address: uint16(2 * i), kind: l.at[s].kind}
	}
	l.at[slotCavity] = register{input: true, address: 6, kind: kindUint16}
	return l
}

// layoutHoles is a table with addresses that do not exist between its parts, so
// that one read over all of it fails.
func layoutHoles() layout {
	l := layoutCDAB()
	l.strict = true
	for s, a := range map[slot]uint16{slotEnergy: 8, slotSpeed: 10, slotTemperature: 12, slotSerial: 100, slotMeasure: 102} {
		l.at[s].address = a
	}
	return l
}

// String gives the address as "holding:2".
func (r register) String() string {
	table := "holding:"
	if r.input {
		table = "input:"
	}
	return table + strconv.Itoa(int(r.address))
}

package simulator

import "time"

// product is an index into the plan's products.
type product uint8

const (
	c16 product = iota
	c32
	d63
	products
)

// productPlan is one thing the plant makes: text on OPC UA, code on Modbus.
type productPlan struct {
	ID, En, Zh string
	Code       int64
}

func productPlans() [products]productPlan {
	return [products]productPlan{
		c16: {"NB1-C16", "MCB 1P C16", "小型断路器 1P C16", 16},
		c32: {"NB1-C32", "MCB 1P C32", "小型断路器 1P C32", 32},
		d63: {"NB1-D63", "MCB 1P D63", "小型断路器 1P D63", 63},
	}
}

// slot numbers a machine's signals.
type slot uint8

const (
	slotState slot = iota
	slotGood
	slotReject
	slotFault
	slotProduct
	slotSpeed
	slotTemperature
	slotEnergy
	slotSerial
	slotMeasure
	slotCavity
	slotExtra // bimetal lot, boxes
	slots
)

// faultPlan is one way to fail.
type faultPlan struct {
	code   int64
	weight float64
	median float64 // seconds to repair; log-normal
	spread float64 // of the natural logarithm
}

// measurePlan is what a machine measures on its pieces.
type measurePlan struct {
	signal, unit string
	en, zh       string
	mean, sigma  float64 // of the value, or of its natural logarithm if log
	log          bool
	lsl, usl     float64 // NaN: none
	each         int     // every so many pieces
	cavities     int     // rotary stations; 0: none
	decimals     float64 // 10^decimals
}

// protocol is how a machine's controller is reached.
type protocol uint8

const (
	opcUA protocol = iota
	modbusTCP
)

// order of the four bytes ABCD of a 32-bit value in two registers.
type byteOrder string

const (
	abcd byteOrder = "ABCD"
	cdab byteOrder = "CDAB"
	badc byteOrder = "BADC"
	dcba byteOrder = "DCBA"
)

// machinePlan is one machine of a line.
type machinePlan struct {
	id, en, zh string
	cycle      [products]int64 // ms at best
	buffer     int             // places before the machine
	mtbf       float64         // seconds of work between jams
	micro      float64         // mean seconds between operators' micro stops; 0: none
	setup      float64         // minutes of changeover
	reject     float64         // probability per piece
	faults     []faultPlan
	measure    measurePlan
	extra      string  // signal of slotExtra; empty: none
	power      float64 // kW at work

	protocol  protocol
	namespace string // OPC UA: URI
	prefix    string // OPC UA: of the node's string id
	port      int    // Modbus: offset of the server's port
	unit      uint8
	layout    layout
	resets    bool // the controller resets its counters at each shift start
}

// linePlan is one line: its machines in the order of the flow.
type linePlan struct {
	id, en, zh string
	bottleneck int
	products   []product
	machines   []machinePlan
}

// Shift is a named piece of each day, at local times.
type Shift struct {
	Name   string        `json:"name"`
	Start  time.Duration `json:"start"` // after midnight
	Length time.Duration `json:"length"`
	Break  time.Duration `json:"break"` // after midnight
	Pause  time.Duration `json:"pause"` // length of the break
}

// Zone is the plant's local time. China has had no summer time since 1991.
func Zone() *time.Location { return time.FixedZone("Asia/Shanghai", 8*3600) }

// Shifts gives the plant's three shifts, the same on all seven days of the week.
func Shifts() []Shift {
	const h, m = time.Hour, time.Minute
	return []Shift{
		{"night", 0, 8 * h, 4 * h, 30 * m},
		{"day", 8 * h, 8 * h, 12 * h, 30 * m},
		{"evening", 16 * h, 8 * h, 20 * h, 30 * m},
	}
}

const (
	namespacePlant = "urn:linetwin:simulator"
	namespaceA     = "urn:linetwin:simulator:mcb-a"
	namespaceB     = "urn:linetwin:simulator:mcb-b"
)

// modbusPorts is the number of Modbus servers.
const modbusPorts = 5

func linePlans() []linePlan {
	return []linePlan{
		{id: "mcb-a", en: "Breaker line A", zh: "断路器 A 线", bottleneck: 3, products: []product{c16, c32}, machines: lineA()},
		{id: "mcb-b", en: "Breaker line B", zh: "断路器 B 线", bottleneck: 2, products: []product{d63}, machines: lineB()},
	}
}

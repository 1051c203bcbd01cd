package simulator

import "math"

// ledger is what truly happened, in process time since the anchor.
type ledger struct {
	anchor   int64
	accounts []account
	keep     int64 // values are kept from here on; MaxInt64: none
	values   []Measurement
	dropped  int64 // values beyond the cap
}

// ledgerValues is how many measured values the ledger keeps, newest dropped.
const ledgerValues = 200_000

// account is the ledger of one machine.
type account struct {
	machine  string
	segments []stretch
	minutes  []minute
	measured int64
}

// stretch is a reported state from a time up to the next stretch.
type stretch struct {
	from  int64
	state int64
}

// minute counts the pieces of one product in one minute since the anchor.
type minute struct {
	index        int32
	product      product
	good, reject uint16
}

func (l *ledger) add(s *station) {
	if len(l.accounts) == 0 {
		l.keep = math.MaxInt64
	}
	l.accounts = append(l.accounts, account{machine: s.id})
}

func (l *ledger) state(s *station, at, state int64) {
	a := &l.accounts[s.index]
	if n := len(a.segments); n > 0 && a.segments[n-1].from == at {
		a.segments = a.segments[:n-1]
	}
	if n := len(a.segments); n == 0 || a.segments[n-1].state != state {
		a.segments = append(a.segments, stretch{at, state})
	}
}

func (l *ledger) piece(s *station, at int64, good bool) {
	a := &l.accounts[s.index]
	i := int32((at - l.anchor) / 60_000)
	n := len(a.minutes)
	if n == 0 || a.minutes[n-1].index != i || a.minutes[n-1].product != s.piece.product {
		a.minutes = append(a.minutes, minute{index: i, product: s.piece.product})
		n++
	}
	if good {
		a.minutes[n-1].good++
	} else {
		a.minutes[n-1].reject++
	}
}

func (l *ledger) measured(s *station, at int64, serial uint32, x float64) {
	l.accounts[s.index].measured++
	if at < l.keep {
		return
	}
	if len(l.values) >= ledgerValues {
		l.dropped++
		return
	}
	l.values = append(l.values, Measurement{s.id, s.measure.signal, at, int64(serial), x})
}

// Measurement is one measured value, in the JSON of a ledger.
type Measurement struct {
	Machine string  `json:"machine"`
	Signal  string  `json:"signal"`
	At      int64   `json:"at"` // ms of the Unix epoch
	Serial  int64   `json:"serial"`
	Value   float64 `json:"value"`
}

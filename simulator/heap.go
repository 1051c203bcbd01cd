package simulator

type eventKind uint8

const (
	evWork     eventKind = iota // the piece at work is done, or the machine jams
	evWait                      // the waiting timer of a controller
	evRepair                    // the next step of a repair
	evSetup                     // a changeover is done
	evHold                      // an operator holds the machine
	evUnhold                    // and lets go
	evLeave                     // operators leave for a break
	evReturn                    // and come back: warm-up
	evWarm                      // warm-up is done
	evSupply                    // material for the first machine is there again
	evAnalog                    // a line's temperatures, speeds and energies
	evCalendar                  // a boundary of the shift calendar
	evScript                    // a scripted event of a line
)

// event is something to happen at a time; events of one time happen in the
// order in which they were scheduled.
type event struct {
	at   int64 // ms
	seq  uint64
	gen  uint32 // stale if it is not its owner's any more
	who  uint16 // station, line or script
	kind eventKind
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// eventHeap is a binary heap with the next event at 0.
type eventHeap []event

func (h *eventHeap) push(e event) {
	*h = append(*h, e)
	q := *h
	i := len(q) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !e.before(&q[p]) {
			break
		}
		q[i] = q[p]
		i = p
	}
	q[i] = e
}

func (h *eventHeap) pop() event {
	q := *h
	top, last := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	*h = q
	if len(q) == 0 {
		return top
	}
	i := 0
	for {
		c := 2*i + 1
		if c >= len(q) {
			break
		}
		if c+1 < len(q) && q[c+1].before(&q[c]) {
			c++
		}
		if !q[c].before(&last) {
			break
		}
		q[i] = q[c]
		i = c
	}
	q[i] = last
	return top
}

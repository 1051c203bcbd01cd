package connectors

import "linetwin/plant"

// badness counts the signals whose last reading is bad.
type badness struct {
	names []string
	index map[string]int
	order []int // which signal came at each place of the last round; rounds are alike
	bad   []bool
	count int
	why   string // of one of them
}

func newBadness(signals []plant.Signal) badness {
	b := badness{index: make(map[string]int, len(signals)), bad: make([]bool, len(signals))}
	for i := range signals {
		b.names = append(b.names, signals[i].Name)
		b.index[signals[i].Name] = i
	}
	return b
}

func (b *badness) take(readings []plant.Reading) {
	for at := range readings {
		r := &readings[at]
		if at == len(b.order) {
			b.order = append(b.order, 0)
		}
		i := b.order[at]
		if i >= len(b.names) || b.names[i] != r.Signal {
			var ok bool
			if i, ok = b.index[r.Signal]; !ok {
				continue
			}
			b.order[at] = i
		}
		bad := r.Quality == plant.Bad
		if bad {
			b.why = r.Reason
		}
		if bad != b.bad[i] {
			b.bad[i] = bad
			if bad {
				b.count++
			} else {
				b.count--
			}
		}
	}
}

func (b *badness) all() {
	for i := range b.bad {
		b.bad[i] = true
	}
	b.count = len(b.bad)
}

package connectors

import "linetwin/plant"

// badness counts the signals whose last reading is bad.
type badness struct {
	signals []plant.Signal
	index   map[string]int // nil until it is needed
	order   []int32        // which signal came at each place of the last round; rounds are alike
	bad     []bool
	count   int
	why     string // of one of them
}

func newBadness(signals []plant.Signal) badness {
	return badness{signals: signals, bad: make([]bool, len(signals))}
}

// find gives a signal's place, which is mostly the one that is guessed.
func (b *badness) find(name string, guess int) (int, bool) {
	if guess < len(b.signals) && b.signals[guess].Name == name {
		return guess, true
	}
	if b.index == nil {
		b.index = make(map[string]int, len(b.signals))
		for i := range b.signals {
			b.index[b.signals[i].Name] = i
		}
	}
	i, ok := b.index[name]
	return i, ok
}

func (b *badness) take(readings []plant.Reading) {
	for at := range readings {
		r := &readings[at]
		if at == len(b.order) {
			b.order = append(b.order, int32(at))
		}
		i, ok := b.find(r.Signal, int(b.order[at]))
		if !ok {
			continue
		}
		b.order[at] = int32(i)
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

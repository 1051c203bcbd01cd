package twin

import (
	"cmp"
	"slices"
	"strings"

	"linetwin/plant"
)

// SortEvents puts events in the order in which Fold takes them: by time, kind
// and signal, and, so that the order in which they came never matters, by what
// they say. It drops repeats: the same machine, signal, time and value, or the
// same order or gap once more. It sorts in place and gives what is left.
func SortEvents(events []Event) []Event {
	if !slices.IsSortedFunc(events, compareEvents) {
		slices.SortFunc(events, compareEvents)
	}
	return slices.CompactFunc(events, repeats)
}

func compareEvents(a, b Event) int {
	if a.Time != b.Time {
		return cmp.Compare(a.Time, b.Time)
	}
	if a.Kind != b.Kind {
		return cmp.Compare(a.Kind, b.Kind)
	}
	if c := strings.Compare(a.Reading.Signal, b.Reading.Signal); c != 0 {
		return c
	}
	return cmp.Or(
		strings.Compare(a.Reading.Machine, b.Reading.Machine),
		// Of two readings of one instant the trusted one is the later: it stays.
		-cmp.Compare(a.Reading.Quality, b.Reading.Quality),
		compareValues(a.Reading.Value, b.Reading.Value),
		strings.Compare(a.Reading.Reason, b.Reading.Reason),
		cmp.Compare(a.Until, b.Until),
		strings.Compare(a.Order, b.Order),
		strings.Compare(a.Product, b.Product),
	)
}

func compareValues(a, b plant.Value) int {
	if a == b {
		return 0
	}
	x, _ := a.Number()
	y, _ := b.Number()
	return cmp.Or(
		cmp.Compare(a.Kind(), b.Kind()),
		cmp.Compare(a.Integer(), b.Integer()),
		cmp.Compare(x, y),
		strings.Compare(a.Text(), b.Text()),
	)
}

// repeats tells whether b says nothing that a did not.
func repeats(a, b Event) bool {
	if a.Time != b.Time || a.Kind != b.Kind {
		return false
	}
	if a.Kind != EventReading {
		return a.Until == b.Until && a.Order == b.Order && a.Product == b.Product
	}
	return a.Reading.Signal == b.Reading.Signal && a.Reading.Machine == b.Reading.Machine &&
		a.Reading.Quality == b.Reading.Quality && a.Reading.Value == b.Reading.Value && a.Reading.Reason == b.Reading.Reason
}

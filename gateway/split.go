package gateway

import "linetwin/plant"

// The most that one batch holds: what one message carries easily.
const (
	maxReadings = 2000
	maxEncoded  = 64 << 10 // bytes, estimated
)

// split gives b, or b in parts where it is too big. Every part but the last
// claims nothing, since readings behind it may be older than its own; the last
// one claims what b did. Since a claim speaks of its batch and all earlier
// ones, it is never ahead of the data.
func split(b *plant.Batch) []*plant.Batch {
	var parts []*plant.Batch
	start, size := 0, 0
	for i := range b.Readings {
		n := encodedSize(&b.Readings[i])
		if i > start && (i-start == maxReadings || size+n > maxEncoded) {
			parts = append(parts, part(b, start, i))
			start, size = i, 0
		}
		size += n
	}
	if start == 0 {
		return append(parts, b)
	}
	last := *b
	last.Readings = b.Readings[start:]
	return append(parts, &last)
}

func part(b *plant.Batch, from, to int) *plant.Batch {
	p := *b
	p.Readings = b.Readings[from:to:to]
	p.Complete.To = p.Complete.From
	return &p
}

// encodedSize estimates the bytes of a reading in a message: alias, time,
// type, value and quality.
func encodedSize(r *plant.Reading) int {
	return 26 + len(r.Value.Text()) + len(r.Reason)
}

// heldSize estimates the bytes of memory that a batch takes.
func heldSize(b *plant.Batch) int {
	n := 200 + 96*len(b.Readings)
	for i := range b.Readings {
		n += len(b.Readings[i].Value.Text()) + len(b.Readings[i].Reason)
	}
	return n
}

package plant

import "testing"

func TestBuckets(t *testing.T) {
	ms := FromMilli
	for _, c := range []struct {
		name   string
		span   Span
		points int
		count  int
		width  Time
	}{
		{"even", Span{0, ms(400)}, 4, 4, ms(100)},
		{"last one shorter", Span{0, ms(350)}, 3, 3, ms(117)},
		{"fewer than asked", Span{ms(5), ms(8)}, 100, 3, ms(1)},
		{"fewer by rounding", Span{0, ms(10)}, 6, 5, ms(2)},
		{"not whole milliseconds", Span{ms(1) + 5, ms(3) + 1}, 2, 2, ms(1)},
		{"a nanosecond", Span{7, 8}, 5, 1, ms(1)},
		{"all time", Span{1, 1<<63 - 1}, 2, 2, 4611686018428 * Millisecond},
		{"empty", Span{5, 5}, 5, 0, 0},
		{"backwards", Span{5, 0}, 5, 0, 0},
		{"no points", Span{0, 5}, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := Buckets(c.span, c.points)
			if len(b) != c.count {
				t.Fatalf("%d buckets, want %d", len(b), c.count)
			}
			at := c.span.From
			for i := range b {
				if b[i].From != at || i < len(b)-1 && b[i].To-at != c.width || b[i].To <= at {
					t.Errorf("bucket %d is %d to %d", i, b[i].From, b[i].To)
				}
				at = b[i].To
			}
			if len(b) > 0 && (at != c.span.To || BucketWidth(c.span, c.points) != c.width) {
				t.Errorf("ends at %d, width %d, want %d and %d", at, BucketWidth(c.span, c.points), c.span.To, c.width)
			}
		})
	}
}

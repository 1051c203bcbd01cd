package plant

// Refused is a reading that a history store set aside because it cannot be
// stored: another kind than its signal's, no name, no time. It holds up
// nothing; somebody should look at it.
type Refused struct {
	Reading
	Why  string `json:"why"`  // what is wrong with it, or what the server said
	Seen Time   `json:"seen"` // when it was set aside
}

// MaxBuckets is the most intervals a chart may be divided into.
const MaxBuckets = 100_000

// Buckets divides a span into at most points empty buckets, as every history
// store does for a chart: all of them are equally long, in whole milliseconds,
// but for the last, which ends with the span. An empty span gives none.
func Buckets(span Span, points int) []Bucket {
	if span.Empty() || points < 1 {
		return nil
	}
	width := BucketWidth(span, points)
	buckets := make([]Bucket, 0, min(points, int((span.To-span.From+width-1)/width)))
	for from := span.From; from < span.To; from += width {
		buckets = append(buckets, Bucket{Span: Span{From: from, To: min(from+width, span.To)}})
	}
	return buckets
}

// BucketWidth gives how long each of a chart's buckets is.
func BucketWidth(span Span, points int) Time {
	width := (span.To - span.From + Time(points) - 1) / Time(points)
	return max(Millisecond, (width+Millisecond-1)/Millisecond*Millisecond)
}

package plant

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
	count := (span.To-span.From-1)/width + 1
	buckets := make([]Bucket, count)
	for i := range buckets {
		from := span.From + Time(i)*width
		buckets[i].Span = Span{From: from, To: from + min(width, span.To-from)}
	}
	return buckets
}

// BucketWidth gives how long each of a chart's buckets is. The span is not
// empty.
func BucketWidth(span Span, points int) Time {
	width := (span.To-span.From-1)/Time(points) + 1
	return ((width-1)/Millisecond + 1) * Millisecond
}

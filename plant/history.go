package plant

// Bucket is what a signal was in one interval of a chart: the least, greatest
// and mean of its good and uncertain numeric readings, and its last value.
// Mean is the mean of readings, not weighted by time.
type Bucket struct {
	Span
	Count int64    `json:"count"` // readings of good or uncertain quality
	Bad   int64    `json:"bad"`   // readings of bad quality
	Min   *float64 `json:"min"`
	Max   *float64 `json:"max"`
	Mean  *float64 `json:"mean"`
	Last  Value    `json:"last"`
}

// Record is what history gives back of a machine: its readings in order of
// time, and the claims of completeness that came with them.
type Record struct {
	Readings []Reading
	Complete []Span // in order, merged where they touch or overlap
}

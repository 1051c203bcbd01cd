package plant

// Count is what a gateway counted of one machine's readings whose time lies in
// one minute: what its buffer took, and what became of it there.
type Count struct {
	Machine string `json:"machine"`
	Minute  Time   `json:"minute"` // its start
	// Made counts readings that were put into batches.
	Made uint64 `json:"made"`
	// Repeated are those of Made whose signal had a reading of that very time
	// already: history has one row for both.
	Repeated uint64 `json:"repeated,omitempty"`
	// Late are those of Made that came after a newer one of their signal, or were
	// older than the process that read them: a row of that time may or may not
	// have been there.
	Late uint64 `json:"late,omitempty"`
	// Dropped are those of Made that left the buffer without having been stored.
	Dropped uint64 `json:"dropped,omitempty"`
}

// Add adds what o counted of the same machine and minute.
func (c *Count) Add(o *Count) {
	c.Made += o.Made
	c.Repeated += o.Repeated
	c.Late += o.Late
	c.Dropped += o.Dropped
}

// Gap is a time of which a gateway dropped readings: nobody knows all that the
// machine was in it.
type Gap struct {
	// Machine is empty where a damaged buffer could not tell whose readings they
	// were.
	Machine  string `json:"machine"`
	Span            // of the dropped readings and claims
	Readings uint64 `json:"readings"`
}

// Widen makes g hold o too.
func (g *Gap) Widen(o *Gap) {
	if g.Readings == 0 && g.Span == (Span{}) {
		g.Span = o.Span
	}
	g.From, g.To = min(g.From, o.From), max(g.To, o.To)
	g.Readings += o.Readings
}

// CountReport is a part of a gateway's counts. Reports add up; each counts
// once, however often it comes.
type CountReport struct {
	Area    string `json:"-"`
	Gateway string `json:"-"`
	// Book and Number name the report: a book is one life of a gateway process,
	// Number counts its reports from 1. The next one goes out when this one is
	// confirmed.
	Book   string `json:"book"`
	Number uint64 `json:"number"`
	// Span is when the gateway counted this, by its clock. The times of the
	// readings may be any.
	Span
	Counts []Count `json:"counts,omitempty"`
	Gaps   []Gap   `json:"gaps,omitempty"`
}

// CountConfirmation tells a gateway that a report, and all before it in its
// book, is kept.
type CountConfirmation struct {
	Area    string
	Gateway string
	Book    string
	Number  uint64
}

// MinuteCount is how many readings a history has of a machine in one minute:
// each signal and time once.
type MinuteCount struct {
	Minute   Time
	Readings uint64
}

// GatewayCount is a Count of one gateway.
type GatewayCount struct {
	Area    string
	Gateway string
	Count
}

// GatewayGap is a Gap of one gateway.
type GatewayGap struct {
	Area    string `json:"area"`
	Gateway string `json:"gateway"`
	Gap
}

// Counted tells that a gateway has told its counts of Span, by its clock.
type Counted struct {
	Area    string
	Gateway string
	Span
}

package plant

import (
	"fmt"
	"time"
)

// Time is an instant in nanoseconds since 1970-01-01T00:00:00Z. It is an
// integer so that sums, comparisons and keys are exact and the same on every
// machine. Readings are stamped to the millisecond, the resolution of the wire
// (Sparkplug B 3.0, 6.4.6 timestamps). The zero Time means "no time".
type Time int64

// Millisecond is the resolution of a reading's time.
const Millisecond = Time(time.Millisecond)

// At gives the Time of t, to the nanosecond. A zero t gives the zero Time.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixNano())
}

// Stamp gives the Time of t truncated to the millisecond, as readings carry it.
func Stamp(t time.Time) Time { return At(t).Floor(time.Millisecond) }

// FromMilli gives the Time of ms milliseconds since the epoch.
func FromMilli(ms int64) Time { return Time(ms) * Millisecond }

// Milli gives t in whole milliseconds since the epoch.
func (t Time) Milli() int64 { return int64(t / Millisecond) }

// Std gives t as a time.Time in UTC; the zero Time gives the zero time.Time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Add gives t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub gives t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Floor rounds t down to a multiple of d since the epoch.
func (t Time) Floor(d time.Duration) Time {
	r := t % Time(d)
	if r < 0 {
		r += Time(d)
	}
	return t - r
}

// String gives t as RFC 3339 in UTC with milliseconds, or "never".
func (t Time) String() string {
	if t == 0 {
		return "never"
	}
	return t.Std().Format("2006-01-02T15:04:05.000Z07:00")
}

// MarshalJSON gives an RFC 3339 string in UTC with milliseconds, or null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON takes an RFC 3339 string or null.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = 0
		return nil
	}
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("time %s: want an RFC 3339 string", b)
	}
	p, err := time.Parse(time.RFC3339Nano, string(b[1:len(b)-1]))
	if err != nil {
		return fmt.Errorf("time %s: want an RFC 3339 string", b)
	}
	*t = At(p)
	return nil
}

// Span is the half-open interval [From, To).
type Span struct {
	From Time `json:"from"`
	To   Time `json:"to"`
}

// Length gives To-From, or 0 where the span is empty.
func (s Span) Length() time.Duration {
	if s.To <= s.From {
		return 0
	}
	return s.To.Sub(s.From)
}

// Empty tells whether the span holds no instant.
func (s Span) Empty() bool { return s.To <= s.From }

// Has tells whether t lies in [From, To).
func (s Span) Has(t Time) bool { return s.From <= t && t < s.To }

// Overlap gives the part that s and o share; it may be empty.
func (s Span) Overlap(o Span) Span { return Span{max(s.From, o.From), min(s.To, o.To)} }

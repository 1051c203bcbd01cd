package web

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"linetwin/plant"
)

// Parameters come in as they were written and are judged here, so that a wrong
// one is answered in our own words. Their types give the schema.
type (
	timeParam string
	intParam  string
	boolParam string
)

// Schema tells that the parameter is a time.
func (timeParam) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

// Schema tells that the parameter is an integer.
func (intParam) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeInteger} }

// Schema tells that the parameter is a boolean.
func (boolParam) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeBoolean} }

// SpanInput is the [from, to) that most paths take.
type SpanInput struct {
	From timeParam `query:"from" doc:"start of the span, RFC 3339; see the operation for what is taken without it"`
	To   timeParam `query:"to" doc:"end of the span, not part of it, RFC 3339; now when absent"`
}

const aTime = "a time like 2026-03-02T08:00:00+08:00 or 2026-03-02T00:00:00Z (RFC 3339)"

// time reads a time parameter; absent is 0.
func (f *faults) time(name string, raw timeParam) plant.Time {
	if raw == "" {
		return 0
	}
	// A plus sign that was not escaped arrives as a space.
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(string(raw), " ", "+", 1))
	if err != nil || t.Year() < 1971 || t.Year() > 2260 {
		f.add("query."+name, string(raw), aTime)
		return 0
	}
	return plant.At(t)
}

// span reads from and to. Without to it ends now; without from it is as long
// as length; it may not be longer than most.
func (f *faults) span(in SpanInput, now plant.Time, length, most time.Duration) plant.Span {
	before := len(*f)
	s := plant.Span{From: f.time("from", in.From), To: f.time("to", in.To)}
	if len(*f) > before {
		return s
	}
	if s.To == 0 {
		s.To = now
	}
	if s.From == 0 {
		s.From = s.To.Add(-length)
	}
	switch {
	case s.From >= s.To && in.To == "":
		f.add("query.from", string(in.From), "a time before now, "+now.String())
	case s.From >= s.To:
		f.add("query.from", string(in.From), "a time before to, "+s.To.String())
	case s.Length() > most:
		f.add("query.from", s.From.String(), fmt.Sprintf("at most %s before to, %s", days(most), s.To))
	}
	return s
}

// days gives a length in days, or hours where it is shorter.
func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	}
	return strconv.Itoa(int(d/time.Hour)) + " hours"
}

// integer reads a number of at least least and at most most.
func (f *faults) integer(name string, raw intParam, absent, least, most int) int {
	if raw == "" {
		return absent
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < least || n > most {
		f.add("query."+name, string(raw), fmt.Sprintf("a whole number from %d to %d", least, most))
		return absent
	}
	return n
}

// boolean reads true or false; absent is false.
func (f *faults) boolean(name string, raw boolParam) bool {
	switch raw {
	case "", "false":
		return false
	case "true":
		return true
	}
	f.add("query."+name, string(raw), "true or false")
	return false
}

// oneOf reads one of a few words; absent is "".
func (f *faults) oneOf(name, raw string, words ...string) string {
	if raw == "" {
		return ""
	}
	for _, w := range words {
		if raw == w {
			return w
		}
	}
	f.add("query."+name, raw, strings.Join(words, ", "))
	return ""
}

// known refuses query parameters that the operation does not have, and those
// that are given twice.
func known(ctx huma.Context, next func(huma.Context)) {
	var names []string
	for _, p := range ctx.Operation().Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	allowed := "no parameters"
	if len(names) > 0 {
		allowed = strings.Join(names, ", ")
	}
	u := ctx.URL()
	query := u.Query()
	var bad faults
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch values := query[name]; {
		case !slices.Contains(names, name):
			bad = append(bad, &huma.ErrorDetail{Location: "query." + name, Message: "unknown parameter, allowed: " + allowed})
		case len(values) > 1:
			bad = append(bad, &huma.ErrorDetail{Location: "query." + name, Message: "given " + strconv.Itoa(len(values)) + " times, allowed: once"})
		}
	}
	if p := bad.problem(); p != nil {
		_, w := humago.Unwrap(ctx)
		writeProblem(w, p)
		return
	}
	next(ctx)
}

package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// problem is an RFC 9457 problem document with a status and one sentence.
func problem(status int, format string, args ...any) *huma.ErrorModel {
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: fmt.Sprintf(format, args...)}
}

// writeProblem answers a request that never reached an operation.
func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // an error here means the client has gone
}

// faults gathers what is wrong with a request's parameters.
type faults []*huma.ErrorDetail

// add notes that the parameter at a location ("query.from") is wrong.
func (f *faults) add(location, found, allowed string) {
	d := &huma.ErrorDetail{Location: location, Message: "missing, allowed: " + allowed}
	if found != "" {
		d.Message, d.Value = "found "+strconv.Quote(found)+", allowed: "+allowed, found
	}
	*f = append(*f, d)
}

// err gives the problem, or a nil error where there is no fault.
func (f faults) err() error {
	if p := f.problem(); p != nil {
		return p
	}
	return nil
}

// problem gives a 400 problem with every fault, or nil.
func (f faults) problem() *huma.ErrorModel {
	if len(f) == 0 {
		return nil
	}
	texts := make([]string, len(f))
	for i, d := range f {
		texts[i] = d.Location + ": " + d.Message
	}
	p := problem(http.StatusBadRequest, "%s", strings.Join(texts, "; "))
	p.Errors = f
	return p
}

// failure turns a source's error into a problem. absent, where it is not nil,
// gives what to say when the thing does not exist.
func failure(doing string, err error, absent func() *huma.ErrorModel) *huma.ErrorModel {
	switch {
	case errors.Is(err, plant.ErrNotFound) && absent != nil:
		return absent()
	case errors.Is(err, plant.ErrOffline), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem(http.StatusServiceUnavailable, "%s: %s; try again", doing, err)
	}
	return problem(http.StatusInternalServerError, "%s: %s", doing, err)
}

// absent gives a 404 problem that names what exists.
func absent(kind, found string, exist []string, location string) *huma.ErrorModel {
	there := "there is none yet"
	switch len(exist) {
	case 0:
	case 1:
		there = "there is only " + exist[0]
	default:
		there = "there are: " + strings.Join(exist, ", ")
	}
	p := problem(http.StatusNotFound, "no %s %q; %s", kind, found, there)
	p.Errors = []*huma.ErrorDetail{{Location: location, Message: there, Value: found}}
	return p
}

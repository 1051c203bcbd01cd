package influx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	wire "github.com/influxdata/influxdb-client-go/v2/api/http"

	"linetwin/plant"
)

// Error tells why the database did not do what it was asked for. All of them
// may pass: the caller keeps what it wanted to write and tries again with
// back-off, and somebody is told.
type Error struct {
	Op         string        // what was attempted, on which server and bucket
	Status     int           // HTTP status; 0: no answer
	Message    string        // what the server said, or why there was no answer
	RetryAfter time.Duration // how long the server asks to be left alone; 0: it does not say
	err        error
}

// Error gives what was attempted, what came of it and what can be done.
func (e *Error) Error() string {
	if e.Status == 0 {
		return e.Op + ": " + e.Message
	}
	return fmt.Sprintf("%s: %s (HTTP %d: %s)", e.Op, advice(e), e.Status, e.Message)
}

// Unwrap gives what the connection failed with; plant.ErrOffline where there
// was no answer.
func (e *Error) Unwrap() error { return e.err }

// Wait gives how long the server asks to be left alone; 0: it does not say.
func (e *Error) Wait() time.Duration { return e.RetryAfter }

// advice says in words what a status means.
func advice(e *Error) string {
	switch {
	case e.Status == http.StatusUnauthorized:
		return "unauthorised: the token, or user and password, is refused"
	case e.Status == http.StatusForbidden && strings.Contains(e.Message, "flux-enabled"):
		return "queries are switched off: set flux-enabled = true in [http] of influxdb.conf"
	case e.Status == http.StatusForbidden || strings.Contains(e.Message, "requires READ for database"): // 1.8 says so with a 500
		return "forbidden: the token may not read and write this bucket"
	case missing(e):
		return "the bucket (1.8: database) is not there: create it"
	case e.Status == http.StatusNotFound:
		return "nothing is at this address: is it InfluxDB 2.x or 1.8?"
	case e.Status == http.StatusRequestEntityTooLarge:
		return "the request is too large for the server"
	case e.Status == http.StatusTooManyRequests:
		return "the server limits the rate of requests"
	case e.Status >= 500 && strings.Contains(e.Message, "no space left on device"):
		return "the server's disk is full: make room, then start it again if it is 1.8"
	case e.Status >= 500:
		return "the server is unwell"
	}
	return "refused"
}

// missing tells whether the server says that the bucket is not there. InfluxDB
// 1.8 says so to queries with a 500.
func missing(e *Error) bool {
	for _, said := range []string{"could not find bucket", "database not found", "retention policy not found", "execute state: no database", "execute state: invalid retention policy"} {
		if strings.Contains(e.Message, said) {
			return true
		}
	}
	return e.Status == http.StatusNotFound && strings.Contains(e.Message, "bucket ")
}

// wrap makes an Error of what the client gives.
func (h *History) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s %s: %w", what, h.where, context.Canceled)
	}
	e := &Error{Op: what + " " + h.where, err: err}
	var answer *wire.Error
	if errors.As(err, &answer) && answer.StatusCode != 0 {
		e.Status = answer.StatusCode
		e.Message = said(answer)
		e.RetryAfter = retryAfter(answer.Header, int(answer.RetryAfter))
		e.err = nil
		return e
	}
	e.Message = "no answer: " + err.Error()
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		e.Message = "no answer within " + h.cfg.Timeout.String()
	}
	e.err = errors.Join(plant.ErrOffline, err)
	return e
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// said gives a server's message: version 2 answers with JSON, 1.8 partly with
// JSON of another shape, partly in a header.
func said(e *wire.Error) string {
	for _, s := range []string{e.Message, e.Header.Get("X-Influxdb-Error"), e.Code} {
		if s = strings.TrimSpace(s); s != "" {
			if len(s) > 500 {
				s = strings.ToValidUTF8(s[:500], "") + "..."
			}
			return s
		}
	}
	return http.StatusText(e.StatusCode)
}

func retryAfter(h http.Header, seconds int) time.Duration {
	if seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	said := h.Get("Retry-After")
	if s, err := strconv.Atoi(said); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(said); err == nil { // RFC 9110, 10.2.3
		return max(0, time.Until(at))
	}
	return 0
}

// Package web serves the twin to people and programs: the HTTP API under
// /api/v1, the live stream, and the pages of web/ui.
//
// It computes nothing: what it shows comes from the sources that it is given,
// and what it refuses it refuses with an RFC 9457 problem document that names
// the place, what was found and what is allowed.
package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"linetwin/plant"
)

// Plant gives what lines are and were. Implementations are safe for
// concurrent use, answer plant.ErrNotFound for a line that does not exist, and
// leave to the caller a Snapshot that nobody changes any more.
type Plant interface {
	Snapshot() plant.Snapshot
	// Figures gives the windows of a line in span, split by "shift", "hour",
	// "day", "week", "product" or "order"; an empty by means one window over the whole span.
	Figures(ctx context.Context, line string, span plant.Span, by string) ([]plant.Figures, error)
	Timeline(ctx context.Context, line string, span plant.Span) (plant.Timeline, error)
	Stops(ctx context.Context, line string, span plant.Span) ([]plant.Stop, error)
}

// Signals gives what a machine's signals are and were. A machine or signal
// that does not exist is plant.ErrNotFound.
type Signals interface {
	Signals(machine string) ([]plant.SignalNow, error)
	// Readings gives at most points buckets, in order of time.
	Readings(ctx context.Context, machine, signal string, span plant.Span, points int) ([]plant.Bucket, error)
}

// Alerts gives alerts and takes their acknowledgement.
type Alerts interface {
	// Alerts gives the alerts that were open at some time in span; openOnly
	// leaves those that are open now.
	Alerts(ctx context.Context, span plant.Span, openOnly bool) ([]plant.Alert, error)
	// Acknowledge notes that who has seen the alert, and gives it as it is then.
	// Acknowledging twice changes nothing.
	Acknowledge(ctx context.Context, id, who string) (plant.Alert, error)
}

// Losses tells what stops cost and why lines stop.
type Losses interface {
	// Losses gives what the stops of a line cost it in span, the greatest first.
	Losses(ctx context.Context, line string, span plant.Span) ([]plant.Loss, error)
	Reasons() []plant.Reason
}

// Entries gives and takes what people and other systems say.
type Entries interface {
	// Entries gives what was said of a kind and key, the newest first; empty
	// means all.
	Entries(kind plant.EntryKind, key string) []plant.Entry
	// Tell takes an entry and gives it as it is kept. The error tells the Faults
	// of one that is wrong, and is plant.ErrNotFound or plant.ErrConflict for an
	// undo of nothing.
	Tell(ctx context.Context, e plant.Entry) (plant.Entry, error)
	// Preview tells what an entry would change; errors are as Tell's.
	Preview(ctx context.Context, e plant.Entry) ([]plant.Effect, error)
	// Older gives how many older shifts are published in the time that an entry is
	// of; Preview does not look at them. Errors are as Tell's.
	Older(ctx context.Context, e plant.Entry) (int, error)
	// Table gives what holds of a kind as CSV, which TellTable takes. Errors tell
	// the Faults, with the line and column of each.
	Table(kind plant.EntryKind) ([]byte, error)
	TellTable(ctx context.Context, in plant.Table) (plant.TableTaken, error)
	// Results gives what was published or restated at a time or after it.
	Results(ctx context.Context, since plant.Time, most int) ([]plant.Result, error)
}

// Live tells what changes. The channel closes when its reader is too slow; the
// reader then starts again from a snapshot. A change is never altered after it
// was sent.
type Live interface {
	Subscribe() (changes <-chan plant.Change, cancel func())
}

// Scorecard gives the transformation scorecard over a span.
type Scorecard interface {
	Scorecard(ctx context.Context, span plant.Span) (plant.Scorecard, error)
}

// Auditor holds what gateways made against what history has.
type Auditor interface {
	// Audit looks at a span of whole minutes, and at the machines of one gateway
	// where it is not empty; plant.ErrNotFound: nobody knows that gateway.
	Audit(ctx context.Context, span plant.Span, gateway string) (plant.Audit, error)
}

// Sources is what a Server shows. Metrics and Ready may be nil: without
// metrics /metrics is not found, without Ready the server is always ready.
type Sources struct {
	Plant      Plant
	Signals    Signals
	Alerts     Alerts
	Live       Live
	Scorecard  Scorecard
	Losses     Losses
	Places     Places
	Yields     Yields
	Entries    Entries
	Plans      Plans
	Quarantine Quarantine
	Audits     Auditor
	Recompute  Recomputer
	Metrics    http.Handler
	Ready      func() (ok bool, why []string) // why names what is not ready
}

// missing names the sources that are not there.
func (s *Sources) missing() []string {
	var names []string
	for _, x := range []struct {
		name string
		nil  bool
	}{
		{"plant", s.Plant == nil}, {"signals", s.Signals == nil}, {"alerts", s.Alerts == nil},
		{"live", s.Live == nil}, {"scorecard", s.Scorecard == nil}, {"losses", s.Losses == nil}, {"places", s.Places == nil}, {"yields", s.Yields == nil}, {"entries", s.Entries == nil},
		{"quarantine", s.Quarantine == nil}, {"audits", s.Audits == nil}, {"recompute", s.Recompute == nil}, {"plans", s.Plans == nil},
	} {
		if x.nil {
			names = append(names, x.name)
		}
	}
	return names
}

// Config is the web section of the twin's settings.
type Config struct {
	// Listen is host:port. On an address other than loopback everybody may
	// read; actions are taken from this computer only.
	Listen string `json:"listen" yaml:"listen"`
}

// DefaultConfig listens on this computer only.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:8080"} }

// Check fills what is not set and tells what is wrong.
func (c *Config) Check() []plant.Fault {
	if c.Listen == "" {
		c.Listen = DefaultConfig().Listen
	}
	const allowed = "host:port such as 127.0.0.1:8080 or :8080, port 0 to 65535"
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return []plant.Fault{{Key: "listen", Found: strconv.Quote(c.Listen), Allowed: allowed}}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return []plant.Fault{{Key: "listen", Found: fmt.Sprintf("port %q", port), Allowed: allowed}}
	}
	if host != "" && net.ParseIP(host) == nil && !hostname(host) {
		return []plant.Fault{{Key: "listen", Found: fmt.Sprintf("host %q", host), Allowed: allowed}}
	}
	return nil
}

// hostname tells whether s has only what DNS names are made of.
func hostname(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.') {
			return false
		}
	}
	return true
}

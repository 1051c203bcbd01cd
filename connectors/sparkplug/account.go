package sparkplug

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"linetwin/connectors/tlsfile"
	"linetwin/plant"
)

// account is what there is to tell of connections to brokers.
type account struct {
	status plant.WireStatus
	warned time.Time // when certificates were last warned about
}

func (a *account) failed(err error, now time.Time) {
	a.status.Faults++
	a.status.LastFault, a.status.LastFaultAt = err.Error(), plant.Stamp(now)
}

func (a *account) connected(l *link, now time.Time) {
	a.status.Broker, a.status.Since = l.broker, plant.Stamp(now)
	a.status.Connects++
	a.status.Certificates = l.certificates
	a.warned = time.Time{}
}

// tell gives the account as it is now, with notes beside those on
// certificates; these are logged once a day too.
func (a *account) tell(now time.Time, log *slog.Logger, notes ...string) *plant.WireStatus {
	s := a.status
	s.Notes = nil
	for _, n := range notes {
		if n != "" {
			s.Notes = append(s.Notes, n)
		}
	}
	due := now.Sub(a.warned) >= 24*time.Hour
	for _, c := range s.Certificates {
		left := c.NotAfter.Std().Sub(now)
		if left >= tlsfile.Soon {
			continue
		}
		a.warned = now
		text := expiry(c, left)
		s.Notes = append(s.Notes, text)
		if due {
			log.Warn("certificate expires soon", "broker", s.Broker, "what", text)
		}
	}
	return &s
}

// expiry tells when a certificate ends and what to do.
func expiry(c plant.Certificate, left time.Duration) string {
	whose, where := "the broker's certificate", "at the broker"
	if c.Of == plant.CertificateOwn {
		whose, where = "our certificate (tls.cert)", "in its file; it is taken at the next connection"
	}
	when := fmt.Sprintf("expires on %s, in %d days", tlsfile.Date(c.NotAfter.Std()), int(left.Hours()/24))
	if left < 0 {
		when = "expired on " + tlsfile.Date(c.NotAfter.Std()) + ": the next connection fails"
	}
	return fmt.Sprintf("%s (%s) %s: renew it %s", whose, c.Subject, when, where)
}

// certificates lists those of a connection: ours, the broker's, and of the
// broker's chain whatever ends before it.
func (c *Connection) certificates(state tls.ConnectionState) []plant.Certificate {
	var all []plant.Certificate
	if pair, err := c.files().Pair(); err == nil && len(pair) > 0 {
		leaf := pair[0].Leaf
		all = append(all, plant.Certificate{Of: plant.CertificateOwn, Subject: tlsfile.Name(leaf), NotAfter: plant.At(leaf.NotAfter)})
	}
	if len(state.VerifiedChains) == 0 {
		return all
	}
	first := state.VerifiedChains[0][0]
	for _, x := range state.VerifiedChains[0] {
		if x.NotAfter.Before(first.NotAfter) {
			first = x
		}
	}
	return append(all, plant.Certificate{Of: plant.CertificateBroker, Subject: tlsfile.Name(first), NotAfter: plant.At(first.NotAfter)})
}

// wireStatus gives the Edge's account of its connection; e.mu is held.
func (e *Edge) wireStatus(now time.Time) *plant.WireStatus {
	return e.account.tell(now, e.log, e.answers.note)
}

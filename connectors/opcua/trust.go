package opcua

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"linetwin/plant"
)

// peer is a server as it presents itself before anything is sent to it.
type peer struct {
	der  []byte // its certificate; issuers' may follow
	uri  string // its application URI, as it announces it; empty if it did not
	host string // by which it is reached
}

// peer gives what is to be verified of the server, with the certificate that
// it showed.
func (s *session) peer(der []byte) peer {
	p := peer{der: der}
	if s.endpoint != nil && s.endpoint.Server != nil {
		p.uri = s.endpoint.Server.ApplicationURI
	}
	if u, err := url.Parse(s.opt.url); err == nil {
		p.host = u.Hostname()
	}
	return p
}

// verify tells whether a server's certificate is trusted, itself or by an
// authority that signed it, maybe with others in between (Part 4, 6.1.3). A
// refused one is kept in rejected/, and the error says what to do.
//
// Who trusted a certificate itself meant this very one: that it is out of
// date, or names another application URI, is only warned of. An authority has
// signed many, so that these must be right.
func (p *PKI) verify(server peer, now time.Time) error {
	c, err := describe("", server.der)
	if err != nil {
		return fmt.Errorf("the server's certificate cannot be read: %w", err)
	}
	trusted, err := p.Trusted()
	if err != nil {
		return err
	}
	known, err := p.list("issuers")
	if err != nil {
		return err
	}
	sent, err := x509.ParseCertificates(server.der)
	if err != nil {
		return fmt.Errorf("the server's certificate cannot be read: %w", err)
	}
	x, authorities, between := sent[0], authorities(trusted), append(sent[1:], authorities(known)...)
	changed := ""
	for _, t := range trusted {
		switch {
		case t.Fingerprint == c.Fingerprint:
			p.checkPinned(c, x, server, now)
			return p.checkRevoked(sent[:1], append(authorities, between...), now)
		case c.URI != "" && t.URI == c.URI:
			changed = fmt.Sprintf("; it has changed: trusted until now was SHA-256 %s (%s)", t.Fingerprint, t.File)
		}
	}
	chain, err := chainOf(x, authorities, between, now)
	if err != nil {
		return fmt.Errorf("the server's certificate %s, signed by the trusted %s, is valid from %v to %v only", c.Subject, x.Issuer, c.From, c.To)
	}
	if chain != nil {
		return p.checkSigned(c, chain, server, now)
	}
	file := p.path("rejected", fileName(c))
	kept := "kept as " + file
	if err := p.reject(file, c.DER); err != nil {
		kept = "could not be kept: " + err.Error()
	}
	return fmt.Errorf("the server's certificate is not trusted: %s, SHA-256 %s, SHA-1 %s%s; %s; compare it with the server's own display, then run: linetwin trust --certificates %s %.16s",
		c.Subject, c.Fingerprint, c.Thumbprint, changed, kept, p.Folder, c.Fingerprint)
}

// authorities gives those certificates that may sign others.
func authorities(all []Certificate) []*x509.Certificate {
	var cas []*x509.Certificate
	for _, c := range all {
		if x, err := x509.ParseCertificate(c.DER); err == nil && x.IsCA {
			cas = append(cas, x)
		}
	}
	return cas
}

// chainOf gives the chain from a certificate to a trusted authority; none if
// there is none. It is an error if only a date stands against it.
func chainOf(x *x509.Certificate, trusted, between []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range trusted {
		opts.Roots.AddCert(c)
	}
	for _, c := range between {
		opts.Intermediates.AddCert(c)
	}
	chains, err := x.Verify(opts)
	if err == nil {
		return chains[0], nil
	}
	if wrong := (x509.CertificateInvalidError{}); errors.As(err, &wrong) && wrong.Reason == x509.Expired {
		opts.CurrentTime = x.NotBefore.Add(x.NotAfter.Sub(x.NotBefore) / 2)
		if _, again := x.Verify(opts); again == nil {
			return nil, err
		}
	}
	return nil, nil
}

// checkPinned warns of what is odd about a certificate that is trusted itself:
// a controller without a set clock, or one that was moved, makes such ones.
func (p *PKI) checkPinned(c Certificate, x *x509.Certificate, server peer, now time.Time) {
	if at := plant.At(now); at < c.From || at > c.To {
		p.warnOnce("a trusted server certificate is out of date", c, "from", c.From, "to", c.To)
	}
	if server.uri != "" && !names(x, server.uri) {
		p.warnOnce("a trusted server certificate names another application URI than the server", c, "server", server.uri)
	}
}

// checkSigned checks a certificate that an authority vouches for: it must be of
// the application that the server says it is. That it names another host is
// warned of: addresses of plants change, certificates seldom.
func (p *PKI) checkSigned(c Certificate, chain []*x509.Certificate, server peer, now time.Time) error {
	x := chain[0]
	if server.uri != "" && !names(x, server.uri) {
		return fmt.Errorf("the server says it is %s, but its certificate %s, signed by the trusted %s, is of %s: another application's certificate, or the server was renamed: give it one of its own, or trust this one itself",
			server.uri, c.Subject, x.Issuer, cmp.Or(c.URI, "no application URI"))
	}
	if server.host != "" && x.VerifyHostname(server.host) != nil {
		p.warnOnce("a server certificate is of another host than the one in url", c, "host", server.host)
	}
	return p.checkRevoked(chain, chain[1:], now)
}

// names tells whether a certificate is of this application.
func names(x *x509.Certificate, uri string) bool {
	for _, u := range x.URIs {
		if u.String() == uri {
			return true
		}
	}
	return false
}

// warnOnce warns of something about a certificate, once in the life of the
// process: it is checked at each connection.
func (p *PKI) warnOnce(what string, c Certificate, more ...any) {
	p.mu.Lock()
	seen := p.warned[what+c.Fingerprint]
	if p.warned == nil {
		p.warned = make(map[string]bool)
	}
	p.warned[what+c.Fingerprint] = true
	p.mu.Unlock()
	if p.Log != nil && !seen {
		p.Log.Warn(what, append([]any{"subject", c.Subject, "sha256", c.Fingerprint}, more...)...)
	}
}

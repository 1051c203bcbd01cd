package sparkplug

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"linetwin/connectors/tlsfile"
)

// What a broker's refusal means is told in words that somebody can act on. The
// texts have no port or time that changes by itself, so that a fault that
// lasts is one line of the log.

// dialFault tells why no TCP connection came about.
func (c *Connection) dialFault(addr string, err error) error {
	host, port, _ := net.SplitHostPort(addr)
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("the name %s is not known here: write it as the DNS has it, or the broker's address", host)
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s cannot be looked up: the DNS server does not answer (see /etc/resolv.conf)", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens there (connection refused): is the broker running, and is %s its port?", port)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("there is no way to this address (no route): check the address, cables and gateway of the network")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer in %v: a firewall swallows the packets, or nobody has this address", c.ConnectTimeout)
	}
	return bare(err)
}

// bare takes addresses and ports out of a network error: those of our side are
// others each time.
func bare(err error) error {
	var op *net.OpError
	var sys *os.SyscallError
	switch {
	case errors.As(err, &sys):
		return sys.Err
	case errors.As(err, &op) && op.Err != nil:
		return op.Err
	}
	return err
}

// handshakeFault tells why a TLS handshake failed.
func (c *Connection) handshakeFault(ctx context.Context, addr, name string, err error) error {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0:
		return c.certificateFault(verify, name)
	case errors.As(err, &record):
		return fmt.Errorf("it speaks no TLS there, but %s: TLS has a port of its own, 8883 as a rule", protocol(record.RecordHeader[:]))
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		if kind := c.look(ctx, addr); kind != "" {
			return fmt.Errorf("it speaks no TLS there, but %s: TLS has a port of its own, 8883 as a rule", kind)
		}
		return fmt.Errorf("no answer to the TLS handshake in %v: is this the port for TLS?", c.ConnectTimeout)
	}
	if f := c.alertFault(err); f != nil {
		return f
	}
	if gone(err) {
		if kind := c.look(ctx, addr); kind != "" {
			return fmt.Errorf("it speaks no TLS there, but %s: TLS has a port of its own, 8883 as a rule", kind)
		}
		return errors.New("it closes the connection at the TLS handshake: is this the port for TLS, and does the broker take our address?")
	}
	return fmt.Errorf("TLS handshake: %w", bare(err))
}

// certificateFault tells why the broker's certificate is not trusted.
func (c *Connection) certificateFault(v *tls.CertificateVerificationError, name string) error {
	leaf, now := v.UnverifiedCertificates[0], time.Now()
	who := "the broker's certificate (" + tlsfile.Name(leaf) + ")"
	trust := "tls.ca is not set, so that only the system's authorities are trusted"
	if c.TLS.CA != "" {
		trust = "tls.ca, " + c.TLS.CA + ", does not hold it"
	}
	var invalid x509.CertificateInvalidError
	var other x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(v.Err, &invalid) && invalid.Reason == x509.Expired:
		bad := leaf
		if invalid.Cert != nil && !invalid.Cert.Equal(leaf) {
			bad, who = invalid.Cert, "the authority of the broker's certificate ("+tlsfile.Name(invalid.Cert)+")"
		}
		return fmt.Errorf("%s %s: renew it at the broker", who, tlsfile.Validity(bad, now))
	case errors.As(v.Err, &other):
		return fmt.Errorf("%s is for %s, not for %s: write one of these in brokers, or as tls.server_name", who, names(leaf), name)
	case errors.As(v.Err, &unknown) && string(leaf.RawIssuer) == string(leaf.RawSubject):
		return fmt.Errorf("%s is self-signed, and %s: compare its SHA-256 %x with the broker's own, then write a file with it to tls.ca", who, trust, sha256.Sum256(leaf.Raw))
	case errors.As(v.Err, &unknown):
		return fmt.Errorf("%s was signed by %s, and %s: tls.ca must be the file of that authority", who, leaf.Issuer, trust)
	}
	return fmt.Errorf("%s is not accepted: %w", who, v.Err)
}

// names lists what a certificate is for.
func names(c *x509.Certificate) string {
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no name at all (it has no subjectAltName)"
	}
	return strings.Join(all, ", ")
}

// alerts are what a broker says of our certificate (RFC 8446, 6.2), as
// crypto/tls writes it.
var alerts = [...]struct{ text, means string }{
	{"certificate required", "the broker wants a certificate of ours"},
	{"expired certificate", "the broker says that our certificate is expired"},
	{"unknown certificate authority", "the broker does not know the authority of our certificate"},
	{"revoked certificate", "the broker says that our certificate is revoked"},
	{"unsupported certificate", "the broker says that our certificate is not for TLS clients"},
	{"bad certificate", "the broker refuses our certificate"},
	{"unknown certificate", "the broker refuses our certificate"},
	{"protocol version not supported", "the broker speaks no TLS 1.2 or newer, and older ones are not safe"},
	{"handshake failure", "the broker and we have no way of encryption in common, or it wants a certificate of ours"},
}

// alertFault reads an alert of the broker's; nil where there is none.
func (c *Connection) alertFault(err error) error {
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
		return nil
	}
	for _, a := range alerts {
		if strings.HasSuffix(err.Error(), "tls: "+a.text) {
			return errors.New(a.means + "; " + c.ours())
		}
	}
	_, said, _ := strings.Cut(err.Error(), "remote error: tls: ")
	return fmt.Errorf("the broker ends TLS: %s; %s", said, c.ours())
}

// ours tells of our own certificate what a broker may dislike.
func (c *Connection) ours() string {
	if c.TLS.Cert == "" {
		return "tls.cert and tls.key are not set"
	}
	pair, err := c.files().Pair()
	if err != nil || len(pair) == 0 {
		return "tls.cert is " + c.TLS.Cert
	}
	leaf := pair[0].Leaf
	text := fmt.Sprintf("tls.cert, %s (%s), was signed by %s and ", c.TLS.Cert, tlsfile.Name(leaf), leaf.Issuer)
	if v := tlsfile.Validity(leaf, time.Now()); v != "" {
		return text + v
	}
	return text + "is valid until " + tlsfile.Date(leaf.NotAfter)
}

// connectFault tells why a connection that stands gave no MQTT session.
func (c *Connection) connectFault(ctx context.Context, addr string, s *socket, err error) error {
	if f := c.alertFault(err); f != nil {
		return f
	}
	var timeout net.Error
	first, kind := s.first(), ""
	_, secure := s.Conn.(*tls.Conn)
	if !secure {
		kind = c.look(ctx, addr)
	}
	switch {
	case len(first) > 0 && first[0] != 0x20: // CONNACK
		return fmt.Errorf("it speaks no MQTT there, but %s", protocol(first))
	case kind != "" && kind != plainMQTT:
		return fmt.Errorf("it speaks no plain MQTT there, but %s", kind)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer to CONNECT in %v: the broker is frozen or overloaded, or this is no MQTT port", c.ConnectTimeout)
	case !gone(err):
		return fmt.Errorf("no answer to CONNECT: %w", bare(err))
	}
	if secure {
		if f := c.lateAlert(ctx, addr); f != nil {
			return f
		}
		return fmt.Errorf("the broker closes the connection after TLS without an answer: it is full, or wants another certificate; %s", c.ours())
	}
	return errors.New("the broker closes the connection without an answer: it is full (see its limit of connections), or does not take our address or client id")
}

// gone tells that the other end closed or reset the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// lateAlert asks once more what a broker has against our certificate. With TLS
// 1.3 it says so after the handshake, and by then our CONNECT may have reset
// the connection; here nothing is sent.
func (c *Connection) lateAlert(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil
	}
	defer conn.Close()
	cfg, err := c.tlsConfig(addr)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(lookTime))
	t := tls.Client(conn, cfg)
	if err = t.HandshakeContext(ctx); err == nil {
		_, err = t.Read(make([]byte, 1))
	}
	return c.alertFault(err)
}

const plainMQTT = "MQTT without TLS"

// lookTime is how long each look at an unknown port waits.
const lookTime = time.Second

// look finds out what speaks at an address that broke our connection off, to
// be told in a message; "" where it cannot. Nothing of ours is shown there: a
// client without a name says hello in MQTT, in HTTP and in TLS.
func (c *Connection) look(ctx context.Context, addr string) string {
	hello := []byte{0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 5, 0, 0} // CONNECT, clean session, no client id
	if first := exchange(ctx, addr, hello); len(first) > 0 {
		return protocol(first)
	}
	if speaksTLS(ctx, addr) {
		return "TLS: write tls:// in place of tcp://"
	}
	if first := exchange(ctx, addr, []byte("GET / HTTP/1.0\r\n\r\n")); len(first) > 0 {
		return protocol(first)
	}
	return ""
}

// speaksTLS shakes hands as far as the other end's certificate, which is not
// looked at: nothing is sent over this connection.
func speaksTLS(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(lookTime))
	seen := false
	t := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true,
		VerifyConnection: func(tls.ConnectionState) error { seen = true; return errors.New("seen") }})
	err = t.HandshakeContext(ctx)
	return seen || err != nil && strings.Contains(err.Error(), "remote error: tls:")
}

// exchange sends one packet and gives the first bytes of the answer.
func exchange(ctx context.Context, addr string, packet []byte) []byte {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(lookTime))
	if _, err := conn.Write(packet); err != nil {
		return nil
	}
	b := make([]byte, 16)
	n, _ := conn.Read(b)
	return b[:n]
}

// protocol names what begins with these bytes.
func protocol(first []byte) string {
	switch text := string(first); {
	case len(first) >= 2 && first[0] == 0x20 && first[1] == 2:
		return plainMQTT
	case len(first) >= 2 && first[0] == 0x15 && first[1] == 3:
		return "TLS: write tls:// in place of tcp://"
	case strings.HasPrefix(text, "HTTP"):
		return "HTTP (a web server, or a port for websockets; LineTwin needs the broker's plain MQTT or TLS port)"
	case strings.HasPrefix(text, "SSH-"):
		return "SSH"
	}
	return fmt.Sprintf("something that begins with %q", first)
}

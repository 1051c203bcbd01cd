package sparkplug

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linetwin/connectors/tlsfile"
)

// secured is a Mosquitto with more lines of settings. It stays root to read
// the test's files.
func secured(t testing.TB, lines string) *testBroker {
	t.Helper()
	b := newMosquitto(t, false)
	folder := t.TempDir()
	b.run = func() (func(), error) {
		b.port = freePort(t)
		return b.mosquitto(filepath.Join(folder, "mosquitto.conf"), "user root\n"+lines)
	}
	b.start(t)
	return b
}

func (b *testBroker) over(scheme string) string {
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, b.port)
}

func (a *authority) mosquitto(cert, key, more string) string {
	return fmt.Sprintf("allow_anonymous true\ncafile %s\ncertfile %s\nkeyfile %s\n%s", a.file, cert, key, more)
}

// faultOf connects once and gives the error's text.
func faultOf(t *testing.T, c Connection) string {
	t.Helper()
	if faults := c.check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	l, err := c.open(t.Context(), c.Brokers[0], opening{client: "linetwin-test", receive: func(inbound) {}})
	if err == nil {
		l.close()
		return "connected"
	}
	return strings.ReplaceAll(err.Error(), c.Brokers[0], "BROKER")
}

func day(days int) time.Time { return time.Now().Add(time.Duration(days) * 24 * time.Hour) }

// expect holds a message against a pattern in which * stands for anything.
func expect(t *testing.T, name, got, want string) {
	t.Helper()
	parts := strings.Split(want, "*")
	rest, ok := strings.CutPrefix(got, parts[0])
	for i, p := range parts[1:] {
		if i == len(parts)-2 {
			ok = ok && strings.HasSuffix(rest, p)
			break
		}
		var found bool
		_, rest, found = strings.Cut(rest, p)
		ok = ok && found
	}
	if !ok || len(parts) == 1 && got != want {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

// TestServerCertificates: what is wrong with a broker's certificate is told
// exactly, with what to do about it.
func TestServerCertificates(t *testing.T) {
	ca, stranger := newAuthority(t, "plant CA"), newAuthority(t, "other CA")
	own := func(name string, l leaf) *testBroker {
		cert, key := ca.issue(t, name, l)
		return secured(t, ca.mosquitto(cert, key, ""))
	}
	good := own("good", leaf{})
	self := own("self", leaf{self: true})
	block, _ := pem.Decode(read(t, filepath.Join(ca.folder, "self.pem")))
	for _, c := range []struct {
		name   string
		broker *testBroker
		tls    TLS
		want   string
	}{
		{"good", good, TLS{CA: ca.file}, "connected"},
		{"expired", own("old", leaf{from: day(-20), to: day(-10)}), TLS{CA: ca.file},
			"connect BROKER: the broker's certificate (CN=old) expired on * UTC (this computer's clock says * UTC): renew it at the broker"},
		{"not yet valid", own("young", leaf{from: day(10), to: day(20)}), TLS{CA: ca.file},
			"connect BROKER: the broker's certificate (CN=young) is valid only from * UTC on (this computer's clock says * UTC): renew it at the broker"},
		{"another name", own("other", leaf{names: []string{"mqtt.plant", "mqtt2.plant"}}), TLS{CA: ca.file},
			"connect BROKER: the broker's certificate (CN=other) is for mqtt.plant, mqtt2.plant, not for 127.0.0.1: write one of these in brokers, or as tls.server_name"},
		{"another name that is asked for", good, TLS{CA: ca.file, ServerName: "mqtt.plant"},
			"connect BROKER: the broker's certificate (CN=good) is for 127.0.0.1, not for mqtt.plant: write one of these in brokers, or as tls.server_name"},
		{"unknown CA", good, TLS{CA: stranger.file},
			"connect BROKER: the broker's certificate (CN=good) was signed by CN=plant CA, and tls.ca, " + stranger.file + ", does not hold it: tls.ca must be the file of that authority"},
		{"no CA", good, TLS{},
			"connect BROKER: the broker's certificate (CN=good) was signed by CN=plant CA, and tls.ca is not set, so that only the system's authorities are trusted: tls.ca must be the file of that authority"},
		{"self-signed", self, TLS{CA: ca.file},
			fmt.Sprintf("connect BROKER: the broker's certificate (CN=self) is self-signed, and tls.ca, %s, does not hold it: compare its SHA-256 %x with the broker's own, then write a file with it to tls.ca", ca.file, sha256.Sum256(block.Bytes))},
		{"self-signed and trusted", self, TLS{CA: filepath.Join(ca.folder, "self.pem")}, "connected"},
	} {
		conn := connection(c.broker.over("tls"))
		conn.TLS = c.tls
		expect(t, c.name, faultOf(t, conn), c.want)
	}
}

// TestClientCertificates: what a broker has against our certificate is told
// with what that is; it is tried many times, because with TLS 1.3 the broker's
// word can come too late.
func TestClientCertificates(t *testing.T) {
	ca, stranger := newAuthority(t, "plant CA"), newAuthority(t, "other CA")
	cert, key := ca.issue(t, "broker", leaf{})
	b := secured(t, ca.mosquitto(cert, key, "require_certificate true\n"))
	pair := func(a *authority, name string, l leaf) TLS {
		cert, key := a.issue(t, name, l)
		return TLS{CA: ca.file, Cert: cert, Key: key}
	}
	good, old, foreign := pair(ca, "edge", leaf{}), pair(ca, "old", leaf{from: day(-20), to: day(-10)}), pair(stranger, "foreign", leaf{})
	server := pair(ca, "server", leaf{usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for _, c := range []struct {
		name string
		tls  TLS
		want string
	}{
		{"good", good, "connected"},
		{"none", TLS{CA: ca.file}, "connect BROKER: the broker wants a certificate of ours; tls.cert and tls.key are not set"},
		{"expired", old, "connect BROKER: the broker says that our certificate is expired; tls.cert, " + old.Cert + " (CN=old), was signed by CN=plant CA and expired on * UTC (this computer's clock says * UTC)"},
		{"unknown CA", foreign, "connect BROKER: the broker does not know the authority of our certificate; tls.cert, " + foreign.Cert + " (CN=foreign), was signed by CN=other CA and is valid until * UTC"},
		{"for servers", server, "connect BROKER: the broker says that our certificate is not for TLS clients; tls.cert, " + server.Cert + " (CN=server), was signed by CN=plant CA and is valid until * UTC"},
	} {
		for range 5 {
			conn := connection(b.over("tls"))
			conn.TLS = c.tls
			expect(t, c.name, faultOf(t, conn), c.want)
		}
	}
}

// TestWrongPorts: what is no MQTT, or TLS where none is, says so.
func TestWrongPorts(t *testing.T) {
	ca := newAuthority(t, "plant CA")
	cert, key := ca.issue(t, "broker", leaf{})
	crypt, plain := secured(t, ca.mosquitto(cert, key, "")), secured(t, "allow_anonymous true\n")
	full := secured(t, "allow_anonymous true\nmax_connections 1\n")
	expect(t, "full", fill(t, full), "connect BROKER: the broker closes the connection without an answer: it is full (see its limit of connections), or does not take our address or client id")
	nats := newNATS(t, false)
	nats.start(t)
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	secureWeb := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secureWeb.Close)
	mute := newMute(t)
	port := func(s *httptest.Server) string { return strings.TrimPrefix(s.Listener.Addr().String(), "127.0.0.1:") }
	closed := freePort(t)
	for _, c := range []struct{ name, url, want string }{
		{"plain to TLS", crypt.over("tcp"), "connect BROKER: it speaks no plain MQTT there, but TLS: write tls:// in place of tcp://"},
		{"TLS to plain", plain.over("tls"), "connect BROKER: it speaks no TLS there, but MQTT without TLS: TLS has a port of its own, 8883 as a rule"},
		{"TLS to plain NATS", nats.over("tls"), "connect BROKER: it speaks no TLS there, but MQTT without TLS: TLS has a port of its own, 8883 as a rule"},
		{"web server", "tcp://127.0.0.1:" + port(web), "connect BROKER: it speaks no plain MQTT there, but HTTP (a web server, or a port for websockets; LineTwin needs the broker's plain MQTT or TLS port)"},
		{"web server, TLS", "tls://127.0.0.1:" + port(web), "connect BROKER: it speaks no TLS there, but HTTP (a web server, or a port for websockets; LineTwin needs the broker's plain MQTT or TLS port): TLS has a port of its own, 8883 as a rule"},
		{"TLS web server, plain", "tcp://127.0.0.1:" + port(secureWeb), "connect BROKER: it speaks no plain MQTT there, but TLS: write tls:// in place of tcp://"},
		{"refused", fmt.Sprintf("tcp://127.0.0.1:%d", closed), fmt.Sprintf("connect BROKER: nothing listens there (connection refused): is the broker running, and is %d its port?", closed)},
		{"no such name", "tcp://broker.invalid:1883", "connect BROKER: the name broker.invalid *"},
		{"mute", mute, "connect BROKER: no answer to CONNECT in 700ms: the broker is frozen or overloaded, or this is no MQTT port"},
		{"mute, TLS", "tls" + strings.TrimPrefix(mute, "tcp"), "connect BROKER: no answer to the TLS handshake in 700ms: is this the port for TLS?"},
		{"firewall", swallower(t), "connect BROKER: no answer in 700ms: a firewall swallows the packets, or nobody has this address"},
	} {
		conn := connection(c.url)
		if strings.Contains(c.want, "700ms") || strings.Contains(c.want, "HTTP") {
			conn.ConnectTimeout = 700 * time.Millisecond
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most only wait
			expect(t, c.name, faultOf(t, conn), c.want)
		})
	}
}

// fill takes all places of a broker, and gives what the next client is told.
func fill(t *testing.T, b *testBroker) string {
	for i := range 5 {
		conn := connection(b.url)
		if faults := conn.check(); len(faults) > 0 {
			t.Fatal(faults)
		}
		l, err := conn.open(t.Context(), b.url, opening{client: fmt.Sprint("linetwin-", i), receive: func(inbound) {}})
		if err != nil {
			return strings.ReplaceAll(err.Error(), b.url, "BROKER")
		}
		t.Cleanup(l.close)
	}
	return "never full"
}

// newMute listens and never answers.
func newMute(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "tcp://" + l.Addr().String()
}

// swallower is a listener whose queue is full: the kernel drops what else
// wants to connect, as a firewall does.
func swallower(t *testing.T) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return "tcp://" + addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("this kernel takes connections beyond the queue")
	return ""
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFiles: a file that cannot be used is told before anything is dialled.
func TestFiles(t *testing.T) {
	ca := newAuthority(t, "plant CA")
	cert, key := ca.issue(t, "edge", leaf{})
	_, otherKey := ca.issue(t, "other", leaf{})
	conn := connection(fmt.Sprintf("tls://127.0.0.1:%d", freePort(t)))
	for _, c := range []struct {
		name string
		tls  TLS
		want string
	}{
		{"no CA file", TLS{CA: "/nowhere/ca.pem"}, "connect BROKER: tls.ca: found /nowhere/ca.pem, which is not there, allowed: a file that is there"},
		{"another key", TLS{CA: ca.file, Cert: cert, Key: otherKey}, "connect BROKER: tls.key: found " + otherKey + ", which is not the key of the certificate in " + cert + ", allowed: the private key of tls.cert in PEM, without a passphrase"},
		{"swapped", TLS{CA: ca.file, Cert: key, Key: cert}, "connect BROKER: tls.cert: found " + key + ", which holds a private key and no certificate, allowed: a file with a certificate in PEM (-----BEGIN CERTIFICATE-----)"},
	} {
		conn.TLS = c.tls
		expect(t, c.name, faultOf(t, conn), c.want)
	}
}

// TestRenewed: a certificate that is renewed under the same name is taken at
// the next connection, at both ends and without a restart; one that is about
// to end is told.
func TestRenewed(t *testing.T) {
	ca := newAuthority(t, "plant CA")
	cert, key := ca.issue(t, "broker", leaf{})
	b := secured(t, ca.mosquitto(cert, key, "require_certificate true\n"))
	conn := connection(b.over("tls"))
	conn.TLS.CA = ca.file
	conn.TLS.Cert, conn.TLS.Key = ca.issue(t, "edge", leaf{from: day(-20), to: day(-10)})
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: conn, Acknowledge: AcknowledgeBroker}, node)
	until(t, "refused", func() bool { return e.Err() != nil && strings.Contains(e.Err().Error(), "our certificate is expired") })
	ca.issue(t, "edge", leaf{to: day(12)})
	await(t, "link with the renewed certificate", node.linked)

	e.mu.Lock()
	s := e.wireStatus(time.Now())
	e.mu.Unlock()
	if s.LastFault == "" || s.LastFaultAt == 0 || s.Broker != conn.Brokers[0] || len(s.Notes) != 1 || len(s.Certificates) != 2 || s.Certificates[1].Subject != "CN=broker" {
		t.Fatalf("account %+v", s)
	}
	end := day(12).Add(-time.Second).UTC() // the moment before is enough for the date
	expect(t, "note", s.Notes[0], "our certificate (tls.cert) (CN=edge) expires on "+tlsfile.Date(end)[:10]+" * UTC, in 11 days: renew it in its file; it is taken at the next connection")
}

// TestFaultIsLoggedOnce: however often it is tried, a fault that lasts is one
// line of the log, and the next one another.
func TestFaultIsLoggedOnce(t *testing.T) {
	b := secured(t, "allow_anonymous false\n")
	refused := fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t))
	conn := connection(refused)
	conn.Brokers = append(conn.Brokers, b.url)
	if faults := conn.check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	var log bytes.Buffer
	tries := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn.keep(ctx, slog.New(slog.NewTextHandler(&log, nil)), func(error) {
		if tries++; tries == 6 {
			cancel()
		}
	}, func(ctx context.Context, broker string) error {
		_, err := conn.open(ctx, broker, opening{client: "linetwin-test", receive: func(inbound) {}})
		return err
	})
	if n := strings.Count(log.String(), "level=WARN"); tries != 6 || n != 2 {
		t.Errorf("%d tries, %d lines of log:\n%s", tries, n, log.String())
	}
}

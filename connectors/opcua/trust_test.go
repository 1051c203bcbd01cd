package opcua

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// loggedPKI trusts these certificates and keeps what it logs.
func loggedPKI(t *testing.T, trusted ...*issued) (*PKI, *bytes.Buffer) {
	t.Helper()
	var logged bytes.Buffer
	p := &PKI{Folder: t.TempDir(), Log: slog.New(slog.NewTextHandler(&logged, nil))}
	for _, c := range trusted {
		if err := p.Trust(c.x.Raw); err != nil {
			t.Fatal(err)
		}
	}
	return p, &logged
}

func chainDER(chain ...*issued) []byte {
	var b []byte
	for _, c := range chain {
		b = append(b, c.x.Raw...)
	}
	return b
}

func TestChains(t *testing.T) {
	now := time.Now()
	root := issue(t, "root", nil, authority)
	between := issue(t, "between", root, authority)
	server := issue(t, "plc", between, func(x *x509.Certificate) {
		x.DNSNames, x.IPAddresses = []string{"plc"}, []net.IP{net.IPv4(10, 0, 0, 1)}
	})
	ended := issue(t, "ended", root, func(x *x509.Certificate) { x.NotAfter = now.Add(-time.Minute) })
	old := issue(t, "old", nil, func(x *x509.Certificate) { authority(x); x.NotAfter = now.Add(-time.Minute) })
	ofOld := issue(t, "of old", old, nil)
	stranger := issue(t, "stranger", nil, authority)
	notCA := issue(t, "no authority", nil, func(x *x509.Certificate) { x.KeyUsage |= x509.KeyUsageCertSign })
	ofNotCA := issue(t, "of no authority", notCA, nil)
	uri := server.x.URIs[0].String()
	for _, c := range []struct {
		name    string
		trusted []*issued
		issuers []*issued
		shown   []*issued
		peer    peer
		want    string // of the error
		warned  string
	}{
		{"root trusted, chain sent", []*issued{root}, nil, []*issued{server, between}, peer{uri: uri, host: "10.0.0.1"}, "", ""},
		{"root trusted, chain kept here", []*issued{root}, []*issued{between}, []*issued{server}, peer{uri: uri, host: "plc"}, "", ""},
		{"the one between trusted", []*issued{between}, nil, []*issued{server}, peer{uri: uri, host: "plc"}, "", ""},
		{"the one between missing", []*issued{root}, nil, []*issued{server}, peer{uri: uri}, "not trusted", ""},
		{"issuers alone are not trusted", nil, []*issued{between, root}, []*issued{server, between, root}, peer{uri: uri}, "not trusted", ""},
		{"another root", []*issued{stranger}, nil, []*issued{server, between}, peer{uri: uri}, "not trusted", ""},
		{"signed by no authority", []*issued{notCA}, nil, []*issued{ofNotCA}, peer{}, "not trusted", ""},
		{"it has ended", []*issued{root}, nil, []*issued{ended}, peer{}, "signed by the trusted CN=root, is valid from", ""},
		{"its authority has ended", []*issued{old}, nil, []*issued{ofOld}, peer{}, "not trusted", ""},
		{"another application", []*issued{root}, nil, []*issued{server, between}, peer{uri: "urn:other"}, "the server says it is urn:other, but its certificate CN=plc", ""},
		{"an address that it does not name", []*issued{root}, nil, []*issued{server, between}, peer{uri: uri, host: "10.0.0.2"}, "", "of another host"},
		{"trusted itself", []*issued{server}, nil, []*issued{server}, peer{uri: uri, host: "10.0.0.2"}, "", ""},
		{"trusted itself, another application", []*issued{server}, nil, []*issued{server}, peer{uri: "urn:other"}, "", "names another application URI"},
		{"trusted itself, ended", []*issued{ended}, nil, []*issued{ended}, peer{}, "", "out of date"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, logged := loggedPKI(t, c.trusted...)
			for _, i := range c.issuers {
				write(t, p.path("issuers", i.x.Subject.CommonName+".pem"), certBlock(i))
			}
			c.peer.der = chainDER(c.shown...)
			for range 2 {
				err := p.verify(c.peer, now)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			}
			if n := strings.Count(logged.String(), "level=WARN"); !strings.Contains(logged.String(), c.warned) || (n == 1) != (c.warned != "") {
				t.Errorf("%d warnings: %s, want %q once", n, logged, c.warned)
			}
		})
	}
}

func TestRevocation(t *testing.T) {
	now := time.Now()
	root := issue(t, "root", nil, authority)
	between := issue(t, "between", root, authority)
	server := issue(t, "plc", between, nil)
	list := func(by *issued, until time.Time, revoked ...*issued) []byte {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: until}
		for _, c := range revoked {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.x.SerialNumber, RevocationTime: now.Add(-time.Minute)})
		}
		der, err := x509.CreateRevocationList(rand.Reader, l, by.x, by.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	later := now.Add(time.Hour)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list(between, later, server)})
	for _, c := range []struct {
		name    string
		trusted []*issued
		file    string
		list    []byte
		want    string
		warned  string
	}{
		{"nothing is revoked", []*issued{root}, "trusted/crl/a.crl", list(between, later), "", ""},
		{"the server", []*issued{root}, "trusted/crl/a.crl", list(between, later, server), "CN=plc, SHA-256 " + fingerprint(server.x.Raw) + ", was revoked by CN=between on ", ""},
		{"the server, in PEM", []*issued{root}, "issuers/crl/a.CRL", asPEM, "was revoked", ""},
		{"the authority between", []*issued{root}, "trusted/crl/a.crl", list(root, later, between), "CN=between, SHA-256", ""},
		{"trusted itself", []*issued{server, between}, "trusted/crl/a.crl", list(between, later, server), "was revoked", ""},
		{"by an old list", []*issued{root}, "trusted/crl/a.crl", list(between, now.Add(-time.Minute), server), "was revoked", "list is out of date"},
		{"by another authority", []*issued{root}, "trusted/crl/a.crl", list(root, later, server), "", ""},
		{"by a stranger of the same name", []*issued{root}, "trusted/crl/a.crl", list(&issued{issue(t, "between", nil, authority).x, testKey(t, 3072)}, later, server), "", ""},
		{"a broken list", []*issued{root}, "trusted/crl/a.crl", []byte("x"), "a.crl", ""},
		{"another file", []*issued{root}, "trusted/crl/README", []byte("x"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, logged := loggedPKI(t, c.trusted...)
			file := p.path(filepath.FromSlash(c.file))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, c.list, 0o600); err != nil {
				t.Fatal(err)
			}
			err := p.verify(peer{der: chainDER(server, between)}, now)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !strings.Contains(logged.String(), c.warned) {
				t.Errorf("logged %s, want %q", logged, c.warned)
			}
		})
	}
}

func TestRenew(t *testing.T) {
	p, logged := loggedPKI(t)
	p.Name = "edge-1"
	if _, _, err := p.Renew(); err == nil || !strings.Contains(err.Error(), "key.pem") {
		t.Errorf("without one: %v", err)
	}
	first, err := p.Own()
	if err != nil {
		t.Fatal(err)
	}
	other := &PKI{Folder: p.Folder} // as another process, which does not know the name
	was, is, err := other.Renew()
	if err != nil || was.Fingerprint != first.Fingerprint || is.Fingerprint == first.Fingerprint || is.URI != first.URI || is.Subject != first.Subject {
		t.Fatalf("%+v %+v %v", was, is, err)
	}
	if kept, err := os.ReadFile(was.File); err != nil || !bytes.Equal(kept, first.DER) {
		t.Errorf("the old one: %v", err)
	}
	if now, err := p.Own(); err != nil || now.Fingerprint != is.Fingerprint {
		t.Errorf("a running gateway shows %v %v", now.Fingerprint, err)
	}
	t.Run("a reminder each day of the last 60", func(t *testing.T) {
		ends := p.own.ends
		for _, at := range []time.Duration{61 * 24, 59 * 24, 59*24 - 1, 58 * 24, 57*24 + 1} {
			p.Remind(ends.Add(-at * time.Hour))
		}
		if n := strings.Count(logged.String(), "ends soon: renew it with linetwin trust --renew"); n != 2 {
			t.Errorf("%d reminders: %s", n, logged)
		}
		(*PKI)(nil).Remind(ends)
	})
	if err := os.WriteFile(p.path("own", "certificate.der"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Renew(); err == nil || !strings.Contains(err.Error(), "certificate.der") {
		t.Errorf("a broken one: %v", err)
	}
}

func TestTrustAndDistrustFiles(t *testing.T) {
	c := issue(t, "plc", nil, nil)
	p, _ := loggedPKI(t)
	file := write(t, filepath.Join(t.TempDir(), "plc.pem"), certBlock(c))
	got, err := p.TrustFile(file)
	if err != nil || got.Fingerprint != fingerprint(c.x.Raw) {
		t.Fatalf("%+v %v", got, err)
	}
	if err := p.verify(peer{der: c.x.Raw}, time.Now()); err != nil {
		t.Error(err)
	}
	for bad, want := range map[string]string{filepath.Join(p.Folder, "none"): "no such file", write(t, filepath.Join(p.Folder, "key.pem"), keyBlock(c)): "no certificate in PEM or DER"} {
		if _, err := p.TrustFile(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for bad, want := range map[string]string{"": "at least 8", "1234567": "at least 8", "xyzxyzxyz": "hexadecimal", "0000000000": "none of the 1 certificates"} {
		if _, err := p.Distrust(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := p.Distrust(got.Thumbprint[:8]); err != nil {
		t.Fatal(err)
	}
	if err := p.verify(peer{der: c.x.Raw}, time.Now()); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("still trusted: %v", err)
	}
	if _, err := p.Distrust(got.Fingerprint); err == nil || !strings.Contains(err.Error(), "no certificate is in") {
		t.Errorf("twice: %v", err)
	}
	if _, err := p.Promote(got.Fingerprint[:10]); err != nil {
		t.Errorf("trusted again: %v", err)
	}
}

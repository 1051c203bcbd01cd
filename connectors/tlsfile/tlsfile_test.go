package tlsfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// files writes a certificate of its own authority, its key and variants of
// both, and gives the folder.
func files(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	put := func(name string, mode os.FileMode, blocks ...*pem.Block) {
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, mode); err != nil {
			t.Fatal(err)
		}
	}
	make := func(name string, from, to time.Time, usage ...x509.ExtKeyUsage) (cert, key *pem.Block) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, ExtKeyUsage: usage}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return &pem.Block{Type: "CERTIFICATE", Bytes: der}, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}
	}
	year := 365 * 24 * time.Hour
	cert, key := make("edge", now.Add(-year), now.Add(year))
	put("edge.pem", 0o644, cert)
	put("edge.key", 0o600, key)
	put("open.key", 0o644, key)
	put("both.pem", 0o600, key, cert)
	_, other := make("other", now, now.Add(year))
	put("other.key", 0o600, other)
	for name, span := range map[string][2]time.Duration{"old": {-year, -time.Hour}, "young": {time.Hour, year}, "soon": {-year, 10*24*time.Hour + time.Hour}} {
		c, k := make(name, now.Add(span[0]), now.Add(span[1]))
		put(name+".pem", 0o644, c)
		put(name+".key", 0o600, k)
	}
	c, k := make("server", now.Add(-year), now.Add(year), x509.ExtKeyUsageServerAuth)
	put("server.pem", 0o644, c)
	put("server.key", 0o600, k)
	put("encrypted.key", 0o600, &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	put("old-encrypted.key", 0o600, &pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	put("broken.pem", 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	put("empty.pem", 0o644)
	if err := os.WriteFile(filepath.Join(folder, "edge.der"), cert.Bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestCheck: each fault of a file has its message.
func TestCheck(t *testing.T) {
	folder := files(t)
	const (
		cert = "a file with a certificate in PEM (-----BEGIN CERTIFICATE-----)"
		key  = "the private key of tls.cert in PEM, without a passphrase"
		good = "a certificate that is valid now and for the next 30 days; a renewed one is taken at the next connection"
	)
	for _, c := range []struct {
		name         string
		files        Files // names in the folder
		fault, notes string
	}{
		{"good", Files{CA: "edge.pem", Cert: "edge.pem", Key: "edge.key"}, "", ""},
		{"nothing", Files{}, "", ""},
		{"both in one file", Files{Cert: "both.pem", Key: "both.pem"}, "", ""},
		{"no CA", Files{CA: "none.pem"}, "ca: found DIR/none.pem, which is not there, allowed: a file that is there", ""},
		{"a folder", Files{CA: "."}, "ca: found DIR, which is no file, allowed: a file in PEM", ""},
		{"no key", Files{Cert: "edge.pem", Key: "none.key"}, "key: found DIR/none.key, which is not there, allowed: a file that is there", ""},
		{"DER", Files{CA: "edge.der"}, "ca: found DIR/edge.der, which is not in PEM but in DER, allowed: " + cert + "; openssl x509 -inform der -in DIR/edge.der -out cert.pem makes one", ""},
		{"empty", Files{CA: "empty.pem"}, "ca: found DIR/empty.pem, which holds no certificate in PEM, allowed: " + cert, ""},
		{"broken", Files{CA: "broken.pem"}, "ca: found DIR/broken.pem, which holds a certificate that cannot be read (x509: malformed certificate), allowed: " + cert, ""},
		{"swapped", Files{Cert: "edge.key", Key: "edge.pem"}, "cert: found DIR/edge.key, which holds a private key and no certificate, allowed: " + cert, ""},
		{"certificate as key", Files{Cert: "edge.pem", Key: "edge.pem"}, "key: found DIR/edge.pem, which holds a certificate and no key, allowed: " + key, ""},
		{"no key in PEM", Files{Cert: "edge.pem", Key: "empty.pem"}, "key: found DIR/empty.pem, which holds no key in PEM, allowed: " + key, ""},
		{"another key", Files{Cert: "edge.pem", Key: "other.key"}, "key: found DIR/other.key, which is not the key of the certificate in DIR/edge.pem, allowed: " + key, ""},
		{"encrypted", Files{Cert: "edge.pem", Key: "encrypted.key"}, "key: found DIR/encrypted.key, which is encrypted with a passphrase, allowed: " + key + " (openssl pkey -in DIR/encrypted.key -out plain.key), readable by the service's user alone", ""},
		{"encrypted the old way", Files{Cert: "edge.pem", Key: "old-encrypted.key"}, "key: found DIR/old-encrypted.key, which is encrypted with a passphrase, allowed: " + key + " (openssl pkey -in DIR/old-encrypted.key -out plain.key), readable by the service's user alone", ""},
		{"expired", Files{Cert: "old.pem", Key: "old.key"}, "cert: found DIR/old.pem, whose certificate (CN=old) expired on 2026-03-01 11:00 UTC (this computer's clock says 2026-03-01 12:00 UTC), allowed: " + good, ""},
		{"not yet valid", Files{Cert: "young.pem", Key: "young.key"}, "cert: found DIR/young.pem, whose certificate (CN=young) is valid only from 2026-03-01 13:00 UTC on (this computer's clock says 2026-03-01 12:00 UTC), allowed: " + good, ""},
		{"soon", Files{Cert: "soon.pem", Key: "soon.key"}, "", "cert: found DIR/soon.pem, whose certificate (CN=soon) expires on 2026-03-11 13:00 UTC, in 10 days, allowed: " + good},
		{"old authority", Files{CA: "old.pem"}, "", "ca: found DIR/old.pem, whose certificate (CN=old) expired on 2026-03-01 11:00 UTC (this computer's clock says 2026-03-01 12:00 UTC), allowed: " + good},
		{"for servers", Files{Cert: "server.pem", Key: "server.key"}, "cert: found DIR/server.pem, whose certificate (CN=server) may not be used by a TLS client, allowed: a certificate with the extended key usage clientAuth", ""},
		{"for servers, at a server", Files{Cert: "server.pem", Key: "server.key", Server: true}, "", ""},
		{"key for everybody", Files{Cert: "edge.pem", Key: "open.key"}, "", "key: found DIR/open.key, which every user of this computer may read (mode 0644), allowed: a file that only the service's user may read (chmod 600, or 640 with its group)"},
	} {
		for _, f := range []*string{&c.files.CA, &c.files.Cert, &c.files.Key} {
			if *f != "" {
				*f = filepath.Join(folder, *f)
			}
		}
		faults, notes := c.files.Check(now)
		for _, g := range []struct{ what, want, got string }{{"faults", c.fault, text(faults)}, {"notes", c.notes, text(notes)}} {
			if got := strings.ReplaceAll(g.got, folder, "DIR"); got != g.want {
				t.Errorf("%s: %s\n got %s\nwant %s", c.name, g.what, got, g.want)
			}
		}
	}
}

func text(faults []plant.Fault) string {
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// TestUnreadable: a file that the process may not read says as whom it tried.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (Files{CA: file}).Authorities(); err == nil || !strings.Contains(err.Error(), "may not read, allowed: a file that the service's user may read") {
		t.Error(err)
	}
}

// TestRelative: where a relative path began is told.
func TestRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Files{CA: "ca.pem"}.Authorities()
	if want := "tls.ca: found ca.pem, which is not there (seen from " + folder + "), allowed: a file that is there"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

package sparkplug

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates of a test.
type authority struct {
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	file   string // ca.pem
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{folder: t.TempDir()}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(20000 * time.Hour)}
	a.file, _, a.cert, a.key = a.write(t, "ca", c)
	return a
}

// leaf is what a certificate says; the zero value is valid for 127.0.0.1 and
// for a year.
type leaf struct {
	names    []string
	from, to time.Time
	self     bool // signed by itself
	usage    []x509.ExtKeyUsage
}

func (a *authority) issue(t testing.TB, name string, l leaf) (cert, key string) {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: l.names,
		NotBefore: l.from, NotAfter: l.to, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: l.usage}
	if l.names == nil {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	if l.from.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if l.to.IsZero() {
		c.NotAfter = time.Now().Add(365 * 24 * time.Hour)
	}
	if l.self {
		cert, key, _, _ = (&authority{folder: a.folder}).write(t, name, c)
		return cert, key
	}
	cert, key, _, _ = a.write(t, name, c)
	return cert, key
}

// write makes c's key, signs c with the authority's or its own, and writes
// both to files.
func (a *authority) write(t testing.TB, name string, c *x509.Certificate) (certFile, keyFile string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.folder, name+".pem"), filepath.Join(a.folder, name+".key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile, cert, key
}

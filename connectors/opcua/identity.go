package opcua

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"time"

	"linetwin/plant"
)

// identity is an application instance certificate with its key.
type identity struct {
	der  []byte
	key  *rsa.PrivateKey
	uri  string
	ends time.Time
}

// identity loads the gateway's certificate, or makes it. One that has ended is
// made anew with the same key: no server would take it any more, and servers
// must trust the new one. One that was renewed meanwhile is used.
func (p *PKI) identity() (*identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.own != nil && now.Before(p.own.ends) {
		if der, err := os.ReadFile(p.path("own", "certificate.der")); err == nil && bytes.Equal(der, p.own.der) {
			p.remind(now, p.own.ends)
			return p.own, nil
		}
	}
	own, err := p.load(now)
	if err != nil {
		return nil, fmt.Errorf("own OPC UA certificate in %s: %w", p.path("own"), err)
	}
	p.own = own
	return own, nil
}

func (p *PKI) load(now time.Time) (*identity, error) {
	key, err := p.loadKey()
	if err != nil {
		return nil, err
	}
	x, err := p.loadCertificate(key)
	if errors.Is(err, fs.ErrNotExist) {
		return p.make(key, nil, now)
	}
	if err != nil {
		return nil, err
	}
	if !now.Before(x.NotAfter) {
		p.warn("own OPC UA certificate has ended and is made anew: servers must trust the new one", x.NotAfter)
		return p.make(key, x, now)
	}
	p.remind(now, x.NotAfter)
	return &identity{der: x.Raw, key: key, uri: x.URIs[0].String(), ends: x.NotAfter}, nil
}

func (p *PKI) loadCertificate(key *rsa.PrivateKey) (*x509.Certificate, error) {
	der, err := os.ReadFile(p.path("own", "certificate.der"))
	if err != nil {
		return nil, err
	}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate.der: %w", err)
	}
	if pub, ok := x.PublicKey.(*rsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return nil, fmt.Errorf("certificate.der does not belong to key.pem")
	}
	if len(x.URIs) == 0 {
		return nil, fmt.Errorf("certificate.der names no application URI")
	}
	return x, nil
}

// Renew makes a new certificate of the gateway now, with the same key and
// application URI, and keeps the one before as a file. Servers must trust the
// new one; a gateway that runs shows it at its next connection.
func (p *PKI) Renew() (was, is Certificate, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := os.Stat(p.path("own", "key.pem")); err != nil {
		return was, is, fmt.Errorf("renew own OPC UA certificate: %w", err)
	}
	key, err := p.loadKey()
	if err != nil {
		return was, is, fmt.Errorf("renew own OPC UA certificate: %w", err)
	}
	x, err := p.loadCertificate(key)
	if err != nil {
		return was, is, fmt.Errorf("renew own OPC UA certificate: %w", err)
	}
	own, err := p.make(key, x, time.Now())
	if err != nil {
		return was, is, fmt.Errorf("renew own OPC UA certificate: %w", err)
	}
	p.own = own
	if was, err = describe(p.former(x), x.Raw); err != nil {
		return was, is, err
	}
	is, err = describe(p.path("own", "certificate.der"), own.der)
	return was, is, err
}

// former names the file in which a certificate is kept that is not used any
// more.
func (p *PKI) former(x *x509.Certificate) string {
	return p.path("own", fmt.Sprintf("certificate-%s-%.16s.der", x.NotBefore.UTC().Format("20060102"), fingerprint(x.Raw)))
}

// Remind warns, once a day, of an own certificate in use that ends soon. A nil
// PKI has none.
func (p *PKI) Remind(now time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own != nil {
		p.remind(now, p.own.ends)
	}
}

func (p *PKI) remind(now, ends time.Time) {
	if now.Add(ownWarns).After(ends) && now.Sub(p.told) >= 24*time.Hour {
		p.told = now
		p.warn("own OPC UA certificate ends soon: renew it with linetwin trust --renew, and have servers trust the new one", ends)
	}
}

func (p *PKI) warn(what string, ends time.Time) {
	if p.Log != nil {
		p.Log.Warn(what, "folder", p.Folder, "ends", plant.At(ends))
	}
}

func (p *PKI) loadKey() (*rsa.PrivateKey, error) {
	b, err := os.ReadFile(p.path("own", "key.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return p.makeKey()
	}
	if err != nil {
		return nil, err
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("key.pem: %w", err)
	}
	return key, nil
}

func (p *PKI) makeKey() (*rsa.PrivateKey, error) {
	if p.Folder == "" {
		return nil, fmt.Errorf("no folder for certificates is set")
	}
	if err := os.MkdirAll(p.path("own"), 0o700); err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
	return key, writeFile(p.path("own", "key.pem"), b, 0o600)
}

// make writes a self-signed application instance certificate (Part 6, 6.2.2).
// One that it replaces gives it its names, and is kept as a file.
func (p *PKI) make(key *rsa.PrivateKey, was *x509.Certificate, now time.Time) (*identity, error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "gateway"
	}
	name := p.Name
	if name == "" {
		name = host
	}
	uri, err := url.Parse("urn:linetwin:gateway:" + url.PathEscape(name))
	if err != nil {
		return nil, err
	}
	subject := pkix.Name{CommonName: "LineTwin gateway " + name, Organization: []string{"LineTwin"}}
	if was != nil {
		uri, subject = was.URIs[0], was.Subject
		if err := writeFile(p.former(was), was.Raw, 0o644); err != nil {
			return nil, err
		}
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	x := &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		// A day of grace for controllers whose clock runs behind.
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(ownLives),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment |
			x509.KeyUsageDataEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{host},
		URIs:                  []*url.URL{uri},
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if err := writeFile(p.path("own", "certificate.der"), der, 0o644); err != nil {
		return nil, err
	}
	if p.Log != nil {
		p.Log.Info("own OPC UA certificate made: servers must trust it", "file", p.path("own", "certificate.der"),
			"application_uri", uri.String(), "sha256", fingerprint(der), "sha1", thumbprint(der))
	}
	return &identity{der: der, key: key, uri: uri.String(), ends: x.NotAfter}, nil
}

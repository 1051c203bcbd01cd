package opcua

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gopcua/opcua/uapolicy"

	"linetwin/plant"
)

const (
	ownLives     = 5 * 365 * 24 * time.Hour
	ownWarns     = 60 * 24 * time.Hour
	mostRejected = 64 // files kept in rejected/
)

// PKI is the gateway's certificate and the servers' certificates that it
// trusts, in a folder:
//
//	own/certificate.der, own/key.pem   made once, kept; the key is 0600
//	own/certificate-*.der              those that it had before
//	trusted/*.der                      servers, or authorities that sign them
//	trusted/crl/*.crl                  what these authorities have revoked
//	issuers/*.der                      authorities in between, not trusted by themselves
//	rejected/*.der                     servers that were refused, to look at
//
// A PKI may be used from several goroutines.
type PKI struct {
	Folder string
	// Name is the gateway's, part of its application URI; the host's name when
	// empty.
	Name string
	// Log gets the warnings about certificates that end soon; nil for none.
	Log *slog.Logger

	mu     sync.Mutex
	own    *identity
	told   time.Time       // when it was warned last that own ends
	warned map[string]bool // what was warned of about servers
}

// Certificate describes a certificate on disk.
type Certificate struct {
	File        string
	Subject     string
	URI         string // application URI; empty if it names none
	Fingerprint string // SHA-256, hexadecimal
	Thumbprint  string // SHA-1, as OPC UA tools show it
	From, To    plant.Time
	DER         []byte
}

// URI gives the gateway's application URI.
func (p *PKI) URI() (string, error) {
	own, err := p.identity()
	if err != nil {
		return "", err
	}
	return own.uri, nil
}

// Fingerprint gives the SHA-256 of the gateway's own certificate, which a
// server must trust, in hexadecimal.
func (p *PKI) Fingerprint() (string, error) {
	own, err := p.identity()
	if err != nil {
		return "", err
	}
	return fingerprint(own.der), nil
}

// Own describes the gateway's own certificate, making it where there is none.
func (p *PKI) Own() (Certificate, error) {
	own, err := p.identity()
	if err != nil {
		return Certificate{}, err
	}
	return describe(p.path("own", "certificate.der"), own.der)
}

// Trust puts a server's certificate among the trusted ones, and takes it from
// the rejected ones.
func (p *PKI) Trust(der []byte) error {
	c, err := describe("", der)
	if err != nil {
		return fmt.Errorf("trust certificate: %w", err)
	}
	if err := os.MkdirAll(p.path("trusted"), 0o755); err != nil {
		return fmt.Errorf("trust certificate: %w", err)
	}
	name := fileName(c)
	if err := writeFile(p.path("trusted", name), c.DER, 0o644); err != nil {
		return fmt.Errorf("trust certificate: %w", err)
	}
	if err := os.Remove(p.path("rejected", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("trust certificate: %w", err)
	}
	return nil
}

// Promote trusts the rejected certificate whose fingerprint (SHA-256 or SHA-1)
// begins with these hexadecimal digits; at least 8, and only one may fit.
func (p *PKI) Promote(prefix string) (Certificate, error) {
	c, err := p.find("rejected", prefix)
	if err != nil {
		return Certificate{}, fmt.Errorf("trust certificate %q: %w", prefix, err)
	}
	return c, p.Trust(c.DER)
}

// TrustFile trusts the certificate in a file, PEM or DER.
func (p *PKI) TrustFile(file string) (Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Certificate{}, fmt.Errorf("trust certificate: %w", err)
	}
	x, err := parseOne(b)
	if err != nil {
		return Certificate{}, fmt.Errorf("trust certificate: %s: %w", file, err)
	}
	c, err := describe(file, x.Raw)
	if err != nil {
		return Certificate{}, fmt.Errorf("trust certificate: %s: %w", file, err)
	}
	return c, p.Trust(c.DER)
}

// Distrust takes the trusted certificate whose fingerprint begins with these
// digits from the trusted ones and keeps it among the rejected ones.
func (p *PKI) Distrust(prefix string) (Certificate, error) {
	c, err := p.find("trusted", prefix)
	if err != nil {
		return Certificate{}, fmt.Errorf("distrust certificate %q: %w", prefix, err)
	}
	if err := os.MkdirAll(p.path("rejected"), 0o755); err != nil {
		return Certificate{}, fmt.Errorf("distrust certificate: %w", err)
	}
	// Not renamed: the file may hold PEM, or have another name than ours.
	if err := writeFile(p.path("rejected", fileName(c)), c.DER, 0o644); err != nil {
		return Certificate{}, fmt.Errorf("distrust certificate: %w", err)
	}
	if err := os.Remove(c.File); err != nil {
		return Certificate{}, fmt.Errorf("distrust certificate: %w", err)
	}
	return c, nil
}

// find gives the only certificate of a folder whose fingerprint begins so.
func (p *PKI) find(folder, prefix string) (Certificate, error) {
	prefix = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(prefix))
	if len(prefix) < 8 || strings.Trim(prefix, "0123456789abcdef") != "" {
		return Certificate{}, errors.New("want at least 8 hexadecimal digits of its fingerprint")
	}
	all, err := p.list(folder)
	if err != nil {
		return Certificate{}, err
	}
	var found []Certificate
	for _, c := range all {
		if strings.HasPrefix(c.Fingerprint, prefix) || strings.HasPrefix(c.Thumbprint, prefix) {
			found = append(found, c)
		}
	}
	switch {
	case len(all) == 0:
		return Certificate{}, fmt.Errorf("no certificate is in %s", p.path(folder))
	case len(found) == 0:
		return Certificate{}, fmt.Errorf("none of the %d certificates in %s begins so", len(all), p.path(folder))
	case len(found) > 1:
		return Certificate{}, fmt.Errorf("%d certificates in %s begin so; give more digits", len(found), p.path(folder))
	}
	return found[0], nil
}

// Rejected lists the certificates of servers that were refused.
func (p *PKI) Rejected() ([]Certificate, error) { return p.list("rejected") }

// Trusted lists the certificates that are trusted.
func (p *PKI) Trusted() ([]Certificate, error) { return p.list("trusted") }

func (p *PKI) path(parts ...string) string {
	return filepath.Join(append([]string{p.Folder}, parts...)...)
}

// list reads a folder of certificates, DER or PEM. Files that hold none are an
// error, so that a broken one is not taken for a missing one.
func (p *PKI) list(folder string) ([]Certificate, error) {
	files, err := os.ReadDir(p.path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s certificates: %w", folder, err)
	}
	var all []Certificate
	for _, f := range files {
		if ext := strings.ToLower(filepath.Ext(f.Name())); f.IsDir() || ext != ".der" && ext != ".pem" && ext != ".crt" && ext != ".cer" {
			continue
		}
		path := p.path(folder, f.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("list %s certificates: %w", folder, err)
		}
		if block, _ := pem.Decode(b); block != nil {
			b = block.Bytes
		}
		c, err := describe(path, b)
		if err != nil {
			return nil, fmt.Errorf("list %s certificates: %s: %w", folder, path, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// describe parses the first certificate of a DER chain.
func describe(file string, der []byte) (Certificate, error) {
	x, err := uapolicy.ParseCertificate(der)
	if err != nil {
		return Certificate{}, err
	}
	c := Certificate{File: file, Subject: x.Subject.String(), Fingerprint: fingerprint(x.Raw), Thumbprint: thumbprint(x.Raw),
		From: plant.At(x.NotBefore), To: plant.At(x.NotAfter), DER: x.Raw}
	if len(x.URIs) > 0 {
		c.URI = x.URIs[0].String()
	}
	return c, nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// thumbprint is the SHA-1, by which OPC UA servers show certificates.
func thumbprint(der []byte) string { return hex.EncodeToString(uapolicy.Thumbprint(der)) }

// fileName makes a name that people can tell apart and every file system
// takes.
func fileName(c Certificate) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, c.Subject)
	return fmt.Sprintf("%.40s-%.16s.der", name, c.Fingerprint)
}

// reject keeps a refused certificate, as long as there is room: whoever can
// reach the gateway could otherwise fill its disk.
func (p *PKI) reject(file string, der []byte) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := os.MkdirAll(p.path("rejected"), 0o755); err != nil {
		return err
	}
	files, err := os.ReadDir(p.path("rejected"))
	if err != nil {
		return err
	}
	if len(files) >= mostRejected {
		return fmt.Errorf("%s holds %d certificates already", p.path("rejected"), len(files))
	}
	return writeFile(file, der, 0o644)
}

// writeFile writes beside and renames, so that a crash leaves no half file.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

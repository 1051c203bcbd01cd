package opcua

import (
	"crypto/sha256"
	"crypto/x509"
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
//	trusted/*.der                      servers, or authorities that sign them
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

	mu  sync.Mutex
	own *identity
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
	prefix = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(prefix))
	if len(prefix) < 8 {
		return Certificate{}, fmt.Errorf("promote certificate %q: give at least 8 digits of its fingerprint", prefix)
	}
	rejected, err := p.Rejected()
	if err != nil {
		return Certificate{}, err
	}
	var found []Certificate
	for _, c := range rejected {
		if strings.HasPrefix(c.Fingerprint, prefix) || strings.HasPrefix(c.Thumbprint, prefix) {
			found = append(found, c)
		}
	}
	switch {
	case len(rejected) == 0:
		return Certificate{}, fmt.Errorf("trust certificate %q: no refused certificate is in %s", prefix, p.path("rejected"))
	case len(found) == 0:
		return Certificate{}, fmt.Errorf("trust certificate %q: none of the %d refused certificates in %s begins so", prefix, len(rejected), p.path("rejected"))
	case len(found) > 1:
		return Certificate{}, fmt.Errorf("trust certificate %q: %d refused certificates begin so; give more digits", prefix, len(found))
	}
	return found[0], p.Trust(found[0].DER)
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
	c := Certificate{File: file, Subject: x.Subject.String(), Fingerprint: fingerprint(x.Raw), Thumbprint: hex.EncodeToString(uapolicy.Thumbprint(x.Raw)),
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

// verify tells whether a server's certificate is trusted, itself or by its
// issuer. A refused one is kept in rejected/, and the error says what to do.
func (p *PKI) verify(der []byte, now time.Time) error {
	server, err := describe("", der)
	if err != nil {
		return fmt.Errorf("the server's certificate cannot be read: %w", err)
	}
	trusted, err := p.Trusted()
	if err != nil {
		return err
	}
	x, _ := x509.ParseCertificate(server.DER)
	changed := ""
	for _, t := range trusted {
		if t.Fingerprint == server.Fingerprint {
			return p.checkDates(server, now)
		}
		if ca, err := x509.ParseCertificate(t.DER); err == nil && ca.IsCA && x.CheckSignatureFrom(ca) == nil {
			if now.Before(x.NotBefore) || now.After(x.NotAfter) || now.After(ca.NotAfter) {
				return fmt.Errorf("the server's certificate %s, signed by the trusted %s, is valid from %v to %v only", server.Subject, t.Subject, server.From, server.To)
			}
			return nil
		}
		if server.URI != "" && t.URI == server.URI {
			changed = fmt.Sprintf("; it has changed: trusted until now was SHA-256 %s (%s)", t.Fingerprint, t.File)
		}
	}
	file := p.path("rejected", fileName(server))
	kept := "kept as " + file
	if err := p.reject(file, server.DER); err != nil {
		kept = "could not be kept: " + err.Error()
	}
	return fmt.Errorf("the server's certificate is not trusted: %s, SHA-256 %s, SHA-1 %s%s; %s; compare it with the server's own display, then run: linetwin trust --certificates %s %.16s",
		server.Subject, server.Fingerprint, server.Thumbprint, changed, kept, p.Folder, server.Fingerprint)
}

// checkDates warns of a certificate that is trusted by name but out of date:
// a controller without a set clock makes such ones, and whoever trusted it
// meant this very certificate (Part 4, 6.1.3: may be suppressed).
func (p *PKI) checkDates(c Certificate, now time.Time) error {
	if at := plant.At(now); p.Log != nil && (at < c.From || at > c.To) {
		p.Log.Warn("a trusted server certificate is out of date", "subject", c.Subject, "from", c.From, "to", c.To)
	}
	return nil
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

// Package tlsfile reads the PEM files of a TLS connection: a certificate with
// its key, and the authorities that are trusted. Its errors tell which file is
// wrong in what way, and what to do about it.
//
// Files are read anew each time, so that what was renewed under the same name
// is taken at the next connection.
package tlsfile

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linetwin/plant"
)

// Soon is how long before its end a certificate is warned about.
const Soon = 30 * 24 * time.Hour

// Files names what a section "tls" of settings names.
type Files struct {
	CA, Cert, Key string
	// Server tells that Cert is a server's, and CA for its clients.
	Server bool
}

// problem is a fault as an error.
type problem struct{ plant.Fault }

func (p *problem) Error() string { return p.String() }

func wrong(key, file, what, allowed string) error {
	return &problem{plant.Fault{Key: key, Found: file + ", " + what, Allowed: allowed}}
}

// Pair gives certificate and key; nothing where no certificate is named.
func (f Files) Pair() ([]tls.Certificate, error) {
	if f.Cert == "" {
		return nil, nil
	}
	certs, certPEM, err := certificates("tls.cert", f.Cert)
	if err != nil {
		return nil, err
	}
	keyPEM, err := read("tls.key", f.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err == nil {
		pair.Leaf = certs[0]
		return []tls.Certificate{pair}, nil
	}
	return nil, keyFault(f, keyPEM, err)
}

// keyFault tells why a key does not go with its certificate.
func keyFault(f Files, text []byte, err error) error {
	const want = "the private key of tls.cert in PEM, without a passphrase"
	kinds := blocks(text)
	isKey := func(k string) bool { return strings.HasSuffix(k, "PRIVATE KEY") }
	switch {
	case slices.Contains(kinds, "ENCRYPTED PRIVATE KEY") || strings.Contains(string(text), "Proc-Type: 4,ENCRYPTED"):
		return wrong("tls.key", f.Key, "which is encrypted with a passphrase", want+" (openssl pkey -in "+f.Key+" -out plain.key), readable by the service's user alone")
	case slices.Contains(kinds, "CERTIFICATE") && !slices.ContainsFunc(kinds, isKey):
		return wrong("tls.key", f.Key, "which holds a certificate and no key", want)
	case !slices.ContainsFunc(kinds, isKey):
		return wrong("tls.key", f.Key, "which holds no key in PEM", want)
	case strings.Contains(err.Error(), "does not match"):
		return wrong("tls.key", f.Key, "which is not the key of the certificate in "+f.Cert, want)
	}
	return wrong("tls.key", f.Key, "which cannot be used ("+err.Error()+")", want)
}

// Authorities gives whom to trust; nil where no file is named.
func (f Files) Authorities() (*x509.CertPool, []*x509.Certificate, error) {
	if f.CA == "" {
		return nil, nil, nil
	}
	certs, _, err := certificates("tls.ca", f.CA)
	if err != nil {
		return nil, nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, certs, nil
}

// Check tells what is wrong with the files as they are now, and in notes what
// soon will be. Keys are as in the section: ca, cert, key.
func (f Files) Check(now time.Time) (faults, notes []plant.Fault) {
	add := func(err error) {
		var p *problem
		if errors.As(err, &p) {
			p.Key = strings.TrimPrefix(p.Key, "tls.")
			faults = append(faults, p.Fault)
		}
	}
	_, authorities, err := f.Authorities()
	add(err)
	for _, c := range authorities {
		if w := validity("ca", f.CA, c, now); w != nil {
			notes = append(notes, *w) // a bundle may hold old ones beside new ones
		}
	}
	pair, err := f.Pair()
	add(err)
	if len(pair) == 0 {
		return faults, notes
	}
	leaf := pair[0].Leaf
	if w := validity("cert", f.Cert, leaf, now); w != nil {
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			faults = append(faults, *w)
		} else {
			notes = append(notes, *w)
		}
	}
	if use := f.use(leaf); use != nil {
		faults = append(faults, *use)
	}
	if w := Exposed("key", f.Key); w != nil {
		notes = append(notes, *w)
	}
	return faults, notes
}

// use tells that a certificate is for something else than we use it for.
func (f Files) use(leaf *x509.Certificate) *plant.Fault {
	want, name := x509.ExtKeyUsageClientAuth, "client"
	if f.Server {
		want, name = x509.ExtKeyUsageServerAuth, "server"
	}
	if len(leaf.ExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, want) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return nil
	}
	return &plant.Fault{Key: "cert", Found: f.Cert + ", whose certificate (" + Name(leaf) + ") may not be used by a TLS " + name,
		Allowed: "a certificate with the extended key usage " + name + "Auth"}
}

// Exposed notes that others than owner and group may read a file of secrets.
func Exposed(key, file string) *plant.Fault {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o007 == 0 {
		return nil
	}
	return &plant.Fault{Key: key, Found: fmt.Sprintf("%s, which every user of this computer may read (mode %04o)", file, info.Mode().Perm()),
		Allowed: "a file that only the service's user may read (chmod 600, or 640 with its group)"}
}

// validity tells that a certificate is not valid now, or will soon not be.
func validity(key, file string, c *x509.Certificate, now time.Time) *plant.Fault {
	text := Validity(c, now)
	if text == "" {
		return nil
	}
	return &plant.Fault{Key: key, Found: file + ", whose certificate (" + Name(c) + ") " + text, Allowed: "a certificate that is valid now and for the next 30 days; a renewed one is taken at the next connection"}
}

// Validity says that c is expired, not yet valid or about to expire; "" where
// it is valid for longer than Soon.
func Validity(c *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Sprintf("is valid only from %s on (this computer's clock says %s)", Date(c.NotBefore), Date(now))
	case now.After(c.NotAfter):
		return fmt.Sprintf("expired on %s (this computer's clock says %s)", Date(c.NotAfter), Date(now))
	case c.NotAfter.Sub(now) < Soon:
		return fmt.Sprintf("expires on %s, in %d days", Date(c.NotAfter), int(c.NotAfter.Sub(now).Hours()/24))
	}
	return ""
}

// Date writes a time of a certificate.
func Date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Name gives whom a certificate is for, for messages.
func Name(c *x509.Certificate) string {
	if name := c.Subject.String(); name != "" {
		return name
	}
	return "without a subject, serial " + c.SerialNumber.String()
}

// certificates reads a file of one or more certificates.
func certificates(key, file string) ([]*x509.Certificate, []byte, error) {
	const want = "a file with a certificate in PEM (-----BEGIN CERTIFICATE-----)"
	text, err := read(key, file)
	if err != nil {
		return nil, nil, err
	}
	var certs []*x509.Certificate
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, nil, wrong(key, file, "which holds a certificate that cannot be read ("+err.Error()+")", want)
		}
		certs = append(certs, c)
	}
	if len(certs) > 0 {
		return certs, text, nil
	}
	switch {
	case slices.ContainsFunc(blocks(text), func(k string) bool { return strings.HasSuffix(k, "PRIVATE KEY") }):
		return nil, nil, wrong(key, file, "which holds a private key and no certificate", want)
	case len(text) > 0 && text[0] == 0x30:
		return nil, nil, wrong(key, file, "which is not in PEM but in DER", want+"; openssl x509 -inform der -in "+file+" -out cert.pem makes one")
	}
	return nil, nil, wrong(key, file, "which holds no certificate in PEM", want)
}

// blocks gives the kinds of what a PEM file holds.
func blocks(text []byte) []string {
	var kinds []string
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return kinds
		}
		kinds = append(kinds, b.Type)
	}
}

// maxFile bounds what is read: the system's whole bundle of authorities has
// about 220 kB.
const maxFile = 4 << 20

func read(key, file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, wrong(key, file, "which is not there"+from(file), "a file that is there")
	case err == nil && !info.Mode().IsRegular():
		return nil, wrong(key, file, "which is no file", "a file in PEM")
	case err == nil && info.Size() > maxFile:
		return nil, wrong(key, file, fmt.Sprintf("which has %d bytes", info.Size()), "a file in PEM")
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrPermission) {
		return nil, wrong(key, file, fmt.Sprintf("which this process (user id %d) may not read", os.Getuid()), "a file that the service's user may read (chown, chmod)")
	}
	if err != nil {
		return nil, wrong(key, file, "which cannot be read ("+err.Error()+")", "a file that can be read")
	}
	return text, nil
}

// from tells where a relative path began.
func from(file string) string {
	if filepath.IsAbs(file) {
		return ""
	}
	folder, err := os.Getwd()
	if err != nil {
		return ""
	}
	return " (seen from " + folder + ")"
}

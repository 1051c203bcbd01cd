package opcua

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"linetwin/plant"
)

// checkRevoked refuses a chain of which one certificate is in a revocation
// list (Part 4, 6.1.3). Lists that no known authority has signed say nothing;
// that an authority has no list is no fault, and an old list still counts.
func (p *PKI) checkRevoked(chain, authorities []*x509.Certificate, now time.Time) error {
	for _, folder := range []string{"trusted", "issuers"} {
		files, err := os.ReadDir(p.path(folder, "crl"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("revocation lists: %w", err)
		}
		for _, f := range files {
			if f.IsDir() || !strings.EqualFold(filepath.Ext(f.Name()), ".crl") {
				continue
			}
			path := p.path(folder, "crl", f.Name())
			list, err := readList(path)
			if err != nil {
				return fmt.Errorf("revocation list %s: %w", path, err)
			}
			if err := p.checkList(list, path, chain, authorities, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// readList reads a revocation list, DER or PEM.
func readList(path string) (*x509.RevocationList, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	return x509.ParseRevocationList(b)
}

func (p *PKI) checkList(list *x509.RevocationList, path string, chain, authorities []*x509.Certificate, now time.Time) error {
	signed := false
	for _, ca := range authorities {
		signed = signed || string(ca.RawSubject) == string(list.RawIssuer) && list.CheckSignatureFrom(ca) == nil
	}
	if !signed {
		return nil
	}
	if !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
		p.warnOnce("a revocation list is out of date", Certificate{Subject: path}, "since", plant.At(list.NextUpdate))
	}
	for _, x := range chain {
		if string(x.RawIssuer) != string(list.RawIssuer) {
			continue
		}
		for _, r := range list.RevokedCertificateEntries {
			if r.SerialNumber.Cmp(x.SerialNumber) == 0 {
				return fmt.Errorf("the certificate %s, SHA-256 %s, was revoked by %s on %s (%s): give the server a new one",
					x.Subject, fingerprint(x.Raw), list.Issuer, day(r.RevocationTime), path)
			}
		}
	}
	return nil
}

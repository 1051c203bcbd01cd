package simulator

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// identity is the OPC UA server's certificate and key.
type identity struct {
	der []byte
	key *rsa.PrivateKey
}

// loadIdentity reads simulator.der and simulator.key from folder; where there
// are none, it makes them once.
func loadIdentity(folder string) (identity, error) {
	certFile, keyFile := filepath.Join(folder, "simulator.der"), filepath.Join(folder, "simulator.key")
	der, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		return makeIdentity(folder, certFile, keyFile)
	}
	if err != nil {
		return identity{}, fmt.Errorf("read the simulator's certificate: %w", err)
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return identity{}, fmt.Errorf("read the simulator's key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return identity{}, fmt.Errorf("read the simulator's key %s: no PEM block", keyFile)
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return identity{}, fmt.Errorf("read the simulator's key %s: %w", keyFile, err)
	}
	return identity{der, key}, nil
}

func makeIdentity(folder, certFile, keyFile string) (identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return identity{}, fmt.Errorf("make the simulator's key: %w", err)
	}
	der, err := selfSigned(key, time.Now())
	if err != nil {
		return identity{}, fmt.Errorf("make the simulator's certificate: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return identity{}, fmt.Errorf("make the simulator's folder: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(keyFile, text, 0o600); err != nil {
		return identity{}, fmt.Errorf("keep the simulator's key: %w", err)
	}
	if err := os.WriteFile(certFile, der, 0o644); err != nil {
		return identity{}, fmt.Errorf("keep the simulator's certificate: %w", err)
	}
	return identity{der, key}, nil
}

// selfSigned makes an application instance certificate (OPC UA Part 6, 6.2.2).
func selfSigned(key *rsa.PrivateKey, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	keyID := sha1.Sum(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "LineTwin simulator", Organization: []string{"LineTwin"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment |
			x509.KeyUsageDataEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          keyID[:],
		URIs:                  []*url.URL{{Scheme: "urn", Opaque: "linetwin:simulator"}},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1).To4()},
	}
	return x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
}

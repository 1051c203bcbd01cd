package opcua

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"

	"linetwin/plant"
)

// check gives everything that is wrong with a user's settings; none tells that
// the channel has no security.
func (u User) check(none bool) []plant.Fault {
	var faults []plant.Fault
	add := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if u.Name == "" && u.Password != "" {
		add("name", "", "the name that the password is of")
	}
	if none && u.Plain && u.Name == "" {
		add("plain", "true", "only with a user")
	}
	byFile := u.Certificate != "" || u.Key != ""
	switch {
	case byFile && (u.Name != "" || u.Password != ""):
		add("certificate", quoted(cmp.Or(u.Certificate, u.Key)), "either name and password, or certificate and key")
	case byFile && u.Certificate == "":
		add("certificate", "", "a file; certificate and key go together")
	case byFile && u.Key == "":
		add("key", "", "a file; certificate and key go together")
	case byFile && u.Plain:
		add("plain", "true", "only with a password")
	}
	return faults
}

// userCertificate is an X.509 user with the key that proves it.
type userCertificate struct {
	x   *x509.Certificate
	key *rsa.PrivateKey
}

// loadUser reads a user's certificate and key and checks that they can be used.
func loadUser(u User, now time.Time) (*userCertificate, error) {
	b, err := os.ReadFile(u.Certificate)
	if err != nil {
		return nil, fmt.Errorf("user.certificate: %w", err)
	}
	x, err := parseOne(b)
	if err != nil {
		return nil, fmt.Errorf("user.certificate: %s: %w", u.Certificate, err)
	}
	if b, err = os.ReadFile(u.Key); err != nil {
		return nil, fmt.Errorf("user.key: %w", err)
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("user.key: %s: %w", u.Key, err)
	}
	if pub, ok := x.PublicKey.(*rsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return nil, fmt.Errorf("user.key: %s does not belong to the certificate %s", u.Key, u.Certificate)
	}
	if now.After(x.NotAfter) {
		return nil, fmt.Errorf("user.certificate: %s ended on %s: put a new one in its place", u.Certificate, day(x.NotAfter))
	}
	if now.Before(x.NotBefore) {
		return nil, fmt.Errorf("user.certificate: %s begins only on %s: check this computer's clock", u.Certificate, day(x.NotBefore))
	}
	return &userCertificate{x, key}, nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// parseOne reads the first certificate of a PEM or DER file.
func parseOne(b []byte) (*x509.Certificate, error) {
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	x, err := uapolicy.ParseCertificate(b)
	if err != nil {
		return nil, errors.New("no certificate in PEM or DER")
	}
	return x, nil
}

// parseKey reads an RSA key in PEM, as PKCS#8 or PKCS#1.
func parseKey(b []byte) (*rsa.PrivateKey, error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, errors.New("no private key in PEM")
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the key is protected by a password: store it without one, readable by this user alone (openssl pkey -in old.pem -out new.pem)")
		}
		switch block.Type {
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			key, ok := k.(*rsa.PrivateKey)
			if !ok {
				return nil, errors.New("no RSA key, which all policies here need")
			}
			return key, nil
		case "EC PRIVATE KEY":
			return nil, errors.New("no RSA key, which all policies here need")
		}
	}
}

// certificateToken signs in by certificate. The proof is a signature over the
// server's certificate and nonce by the token policy's algorithm (Part 4,
// 5.6.3 and 7.41.2.4).
func (s *session) certificateToken(res *ua.CreateSessionResponse, pki *PKI) (any, *ua.SignatureData, error) {
	user, err := loadUser(s.opt.user, time.Now())
	if err != nil {
		return nil, nil, err
	}
	best, rank := s.bestOffer(ua.UserTokenTypeCertificate)
	if best == nil {
		return nil, nil, fmt.Errorf("the server takes no certificates of users, only %s: change user, or the endpoint on the server", userKinds(s.endpoint.UserIdentityTokens))
	}
	policy := tokenPolicy(best.SecurityPolicyURI, s.opt.security)
	if rank < 2 {
		return nil, nil, fmt.Errorf("the server would have the user's certificate signed by %q, which is not safe: choose a security with Sign or SignAndEncrypt", policy)
	}
	if s.opt.security.none() {
		if err := s.knownServer(res, pki, "a user's certificate"); err != nil {
			return nil, nil, err
		}
	}
	a, err := uapolicy.Asymmetric(policy, user.key, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("user.key: %w", err)
	}
	sig, err := a.Signature(signedData(res))
	if err != nil {
		return nil, nil, fmt.Errorf("sign with user.key: %w", err)
	}
	return &ua.X509IdentityToken{PolicyID: best.PolicyID, CertificateData: user.x.Raw},
		&ua.SignatureData{Algorithm: a.SignatureURI(), Signature: sig}, nil
}

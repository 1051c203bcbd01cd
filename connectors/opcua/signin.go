package opcua

import (
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
)

// identityToken makes what signs the user in (Part 4, 7.41), from the ways in
// that the endpoint offers.
func (s *session) identityToken(res *ua.CreateSessionResponse, pki *PKI) (any, error) {
	offers := s.endpoint.UserIdentityTokens
	if s.opt.user.Name == "" {
		for _, t := range offers {
			if t.TokenType == ua.UserTokenTypeAnonymous {
				return &ua.AnonymousIdentityToken{PolicyID: t.PolicyID}, nil
			}
		}
		if len(offers) == 0 {
			return &ua.AnonymousIdentityToken{PolicyID: "Anonymous"}, nil
		}
		return nil, errors.New("the server lets nobody in without a user")
	}
	var best *ua.UserTokenPolicy
	bestLevel := -1
	for _, t := range offers {
		if t.TokenType != ua.UserTokenTypeUserName {
			continue
		}
		if level := secrecy(t.SecurityPolicyURI, s.opt.security); level > bestLevel {
			best, bestLevel = t, level
		}
	}
	if best == nil {
		return nil, errors.New("the server takes no user names")
	}
	token := &ua.UserNameIdentityToken{PolicyID: best.PolicyID, UserName: s.opt.user.Name}
	policy := tokenPolicy(best.SecurityPolicyURI, s.opt.security)
	password := []byte(s.opt.user.Password.Reveal())
	if policy == ua.SecurityPolicyURINone {
		if !s.opt.security.encrypts() && !s.opt.user.Plain {
			return nil, errors.New("the server would have the password unencrypted: choose a security with SignAndEncrypt, or set user.plain")
		}
		token.Password = password
		return token, nil
	}
	if bestLevel == 0 {
		return nil, fmt.Errorf("the server would have the password encrypted by %q, which is not safe", policy)
	}
	if s.opt.security.none() {
		// Nothing has shown yet that the certificate is the server's.
		if pki == nil {
			return nil, errors.New("a password needs a folder for certificates, and none is set")
		}
		if err := pki.verify(res.ServerCertificate, time.Now()); err != nil {
			return nil, err
		}
	}
	var err error
	token.Password, token.EncryptionAlgorithm, err = encryptPassword(policy, password, res.ServerCertificate, res.ServerNonce)
	return token, err
}

// tokenPolicy gives the policy that a password is encrypted by: the channel's
// where the token names none.
func tokenPolicy(uri string, sec security) string {
	if uri == "" {
		return sec.policy
	}
	return uri
}

// secrecy ranks what a password is encrypted by: ours and no other policies
// count as safe, the channel's own encryption as the least of them.
func secrecy(uri string, sec security) int {
	policy := tokenPolicy(uri, sec)
	for i, p := range policies {
		if p.uri == policy {
			return i + 2
		}
	}
	if policy == ua.SecurityPolicyURINone && sec.encrypts() {
		return 1
	}
	return 0
}

// encryptPassword encrypts a password for the server's certificate, together
// with its nonce (Part 4, 7.41.2.2).
func encryptPassword(policy string, password, server, nonce []byte) ([]byte, string, error) {
	x, err := uapolicy.ParseCertificate(server)
	if err != nil {
		return nil, "", fmt.Errorf("the server's certificate cannot be read: %w", err)
	}
	pub, ok := x.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, "", errors.New("the server's certificate holds no RSA key")
	}
	a, err := uapolicy.Asymmetric(policy, nil, pub)
	if err != nil {
		return nil, "", err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(password)+len(nonce)))
	b = append(append(b, password...), nonce...)
	c, err := a.Encrypt(b)
	return c, a.EncryptionURI(), err
}

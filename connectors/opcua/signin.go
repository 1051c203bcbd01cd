package opcua

import (
	"context"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
)

// signIn activates a session, of which res has the server's certificate and
// nonce, for the user, and gives the server's next nonce.
func (s *session) signIn(ctx context.Context, token *ua.NodeID, res *ua.CreateSessionResponse, client *ua.SignatureData) ([]byte, error) {
	identity, proof, err := s.identityToken(res, s.pki)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	active, err := ask[*ua.ActivateSessionResponse](ctx, s.ch, &ua.ActivateSessionRequest{
		ClientSignature: client, LocaleIDs: []string{"en", "zh"},
		UserIdentityToken: ua.NewExtensionObject(identity), UserTokenSignature: proof,
	}, token)
	if err != nil {
		return nil, fmt.Errorf("activate session: %w", err)
	}
	return active.ServerNonce, nil
}

// sealOf signs for the client.
func (k keys) sealOf(res *ua.CreateSessionResponse) (*ua.SignatureData, error) {
	sig, err := k.algorithm.Signature(signedData(res))
	return &ua.SignatureData{Algorithm: k.algorithm.SignatureURI(), Signature: sig}, err
}

// signedData is what client and user sign to show that they hold their keys:
// the server's certificate, without those of its issuers, and its nonce.
func signedData(res *ua.CreateSessionResponse) []byte {
	der := res.ServerCertificate
	if x, err := uapolicy.ParseCertificate(der); err == nil {
		der = x.Raw
	}
	return append(append([]byte(nil), der...), res.ServerNonce...)
}

// identityToken makes what signs the user in (Part 4, 7.41), from the ways in
// that the endpoint offers, and the signature that goes with a certificate.
func (s *session) identityToken(res *ua.CreateSessionResponse, pki *PKI) (any, *ua.SignatureData, error) {
	if s.opt.user.Certificate != "" {
		return s.certificateToken(res, pki)
	}
	token, err := s.namedToken(res, pki)
	return token, &ua.SignatureData{}, err
}

// namedToken signs in anonymously or by name and password.
func (s *session) namedToken(res *ua.CreateSessionResponse, pki *PKI) (any, error) {
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
		return nil, fmt.Errorf("the server lets nobody in without a user: set user (it takes %s)", userKinds(offers))
	}
	best, bestLevel := s.bestOffer(ua.UserTokenTypeUserName)
	if best == nil {
		return nil, fmt.Errorf("the server takes no user names, only %s: change user, or the endpoint on the server", userKinds(offers))
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
		if err := s.knownServer(res, pki, "a password"); err != nil {
			return nil, err
		}
	}
	var err error
	token.Password, token.EncryptionAlgorithm, err = encryptPassword(policy, password, res.ServerCertificate, res.ServerNonce)
	return token, err
}

// bestOffer gives the safest policy that the server has for this kind of user,
// and its rank; nil if it has none.
func (s *session) bestOffer(kind ua.UserTokenType) (best *ua.UserTokenPolicy, rank int) {
	rank = -1
	for _, t := range s.endpoint.UserIdentityTokens {
		if t.TokenType != kind {
			continue
		}
		if r := secrecy(t.SecurityPolicyURI, s.opt.security); r > rank {
			best, rank = t, r
		}
	}
	return best, rank
}

// knownServer checks the certificate of a server that is reached without
// security, before it gets a password or a user's signature: nothing else has
// shown who it is.
func (s *session) knownServer(res *ua.CreateSessionResponse, pki *PKI, what string) error {
	if pki == nil {
		return fmt.Errorf("%s needs a folder for certificates, and none is set", what)
	}
	return pki.verify(s.peer(res.ServerCertificate), time.Now())
}

// userKinds lists what kinds of users a server takes.
func userKinds(offers []*ua.UserTokenPolicy) string {
	names := map[ua.UserTokenType]string{ua.UserTokenTypeAnonymous: "anonymous ones", ua.UserTokenTypeUserName: "names with passwords",
		ua.UserTokenTypeCertificate: "certificates", ua.UserTokenTypeIssuedToken: "issued tokens"}
	var kinds []string
	for _, t := range offers {
		if name := names[t.TokenType]; name != "" && !slices.Contains(kinds, name) {
			kinds = append(kinds, name)
		}
	}
	if len(kinds) == 0 {
		return "nothing that it names"
	}
	return strings.Join(kinds, ", ")
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

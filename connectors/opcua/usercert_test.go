package opcua

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
)

func pkcs8(t *testing.T, key any) *pem.Block {
	t.Helper()
	b, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: b}
}

func TestUserFiles(t *testing.T) {
	now := time.Now()
	folder := t.TempDir()
	file := func(name string, blocks ...*pem.Block) string {
		return write(t, filepath.Join(folder, name), blocks...)
	}
	raw := func(name string, b []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	user := issue(t, "user", nil, nil)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := file("user.pem", certBlock(user)), file("user.key", keyBlock(user))
	locked := keyBlock(user)
	locked.Headers = map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}
	for _, c := range []struct{ name, cert, key, want string }{
		{"PEM and PKCS#1", cert, key, ""},
		{"DER and PKCS#8", raw("user.der", user.x.Raw), file("user8.key", pkcs8(t, user.key)), ""},
		{"both in one file, after others", file("both.pem", &pem.Block{Type: "X"}, keyBlock(user), certBlock(user)), filepath.Join(folder, "both.pem"), ""},
		{"no such certificate", filepath.Join(folder, "none"), key, "user.certificate: open " + filepath.Join(folder, "none")},
		{"no such key", cert, filepath.Join(folder, "none"), "user.key: open "},
		{"no certificate", key, key, "user.certificate: " + key + ": no certificate in PEM or DER"},
		{"half a certificate", raw("half.der", user.x.Raw[:100]), key, "no certificate in PEM or DER"},
		{"no key", cert, cert, "user.key: " + cert + ": no private key in PEM"},
		{"a key with a password", cert, file("locked8.key", &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}), "the key is protected by a password: store it without one"},
		{"an old key with a password", cert, file("locked.key", locked), "the key is protected by a password"},
		{"a broken key", cert, file("broken.key", &pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}), "user.key: "},
		{"an elliptic key", cert, file("ec8.key", pkcs8(t, curve)), "no RSA key"},
		{"an elliptic key of old form", cert, file("ec.key", &pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), "no RSA key"},
		{"another's key", cert, file("other.key", pkcs8(t, testKey(t, 3072))), "does not belong to the certificate"},
		{"it has ended", file("ended.pem", certBlock(issue(t, "ended", nil, func(x *x509.Certificate) { x.NotAfter = now.Add(-time.Minute) }))), key, "ended on " + day(now.Add(-time.Minute)) + ": put a new one"},
		{"it has not begun", file("young.pem", certBlock(issue(t, "young", nil, func(x *x509.Certificate) { x.NotBefore = now.Add(time.Minute) }))), key, "begins only on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := loadUser(User{Certificate: c.cert, Key: c.key}, now)
			if c.want == "" {
				if err != nil || !u.x.Equal(user.x) || !u.key.Equal(user.key) {
					t.Errorf("%v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What a certificate signs is the server's leaf and nonce, by the algorithm of
// the policy that the token names.
func TestCertificateTokens(t *testing.T) {
	folder := t.TempDir()
	user := issue(t, "user", nil, nil)
	u := User{Certificate: write(t, filepath.Join(folder, "user.pem"), certBlock(user)), Key: write(t, filepath.Join(folder, "user.key"), keyBlock(user))}
	root := issue(t, "root", nil, authority)
	server := issue(t, "server", root, nil)
	res := &ua.CreateSessionResponse{ServerCertificate: append(append([]byte(nil), server.x.Raw...), root.x.Raw...), ServerNonce: []byte("nonce")}
	trusted := trusting(t, server.x.Raw)
	offer := func(policy string) []*ua.UserTokenPolicy {
		return []*ua.UserTokenPolicy{{TokenType: ua.UserTokenTypeAnonymous}, {PolicyID: "x", TokenType: ua.UserTokenTypeCertificate, SecurityPolicyURI: policy}}
	}
	for _, c := range []struct {
		name, security string
		offers         []*ua.UserTokenPolicy
		pki            *PKI
		policy, want   string
	}{
		{"the channel's policy", "Basic256Sha256/Sign", offer(""), trusted, ua.SecurityPolicyURIBasic256Sha256, ""},
		{"its own policy", "Basic256Sha256/Sign", offer(ua.SecurityPolicyURIAes256Sha256RsaPss), trusted, ua.SecurityPolicyURIAes256Sha256RsaPss, ""},
		{"without security", "None", offer(ua.SecurityPolicyURIAes128Sha256RsaOaep), trusted, ua.SecurityPolicyURIAes128Sha256RsaOaep, ""},
		{"without any policy", "None", offer(""), trusted, "", "is not safe"},
		{"unsigned", "Basic256Sha256/SignAndEncrypt", offer(ua.SecurityPolicyURINone), trusted, "", "is not safe"},
		{"withdrawn", "Basic256Sha256/SignAndEncrypt", offer(ua.SecurityPolicyURIBasic256), trusted, "", "is not safe"},
		{"for a stranger", "None", offer(ua.SecurityPolicyURIBasic256Sha256), &PKI{Folder: t.TempDir()}, "", "not trusted"},
		{"no folder", "None", offer(ua.SecurityPolicyURIBasic256Sha256), nil, "", "needs a folder for certificates"},
		{"only anonymous", "None", offer("")[:1], trusted, "", "takes no certificates of users, only anonymous ones"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sec, err := parseSecurity(c.security)
			if err != nil {
				t.Fatal(err)
			}
			s := &session{opt: options{security: sec, user: u}, endpoint: &ua.EndpointDescription{UserIdentityTokens: c.offers}}
			token, proof, err := s.identityToken(res, c.pki)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			x, ok := token.(*ua.X509IdentityToken)
			if !ok || x.PolicyID != "x" || string(x.CertificateData) != string(user.x.Raw) {
				t.Fatalf("%+v", token)
			}
			a, err := uapolicy.Asymmetric(c.policy, nil, &user.key.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.VerifySignature(append(append([]byte(nil), server.x.Raw...), "nonce"...), proof.Signature); err != nil || proof.Algorithm != a.SignatureURI() {
				t.Errorf("signature: %v by %s", err, proof.Algorithm)
			}
		})
	}
}

// Devices share a session only with those of the same user.
func TestUsersDoNotShareSessions(t *testing.T) {
	pool := NewPool(&PKI{}, quiet())
	seen := map[*link]string{}
	for _, u := range []User{{}, {Name: "a"}, {Name: "a", Password: "p"}, {Certificate: "a", Key: "k"}, {Certificate: "b", Key: "k"}} {
		for range 2 {
			d, err := pool.Device("m", time.Second, Config{URL: "opc.tcp://plc", Security: "Basic256Sha256/Sign", User: u}, []Signal{{Name: "a", Node: "i=1", Type: "int32"}})
			if err != nil {
				t.Fatal(err)
			}
			if was, ok := seen[d.link]; ok && was != u.Name+u.Certificate+u.Password.Reveal() {
				t.Errorf("%+v shares with %s", u, was)
			}
			seen[d.link] = u.Name + u.Certificate + u.Password.Reveal()
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d sessions for 5 users", len(seen))
	}
}

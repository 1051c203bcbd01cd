package opcua

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
	"github.com/gopcua/opcua/uasc"

	"linetwin/plant"
)

// secureServer is a server with all policies, whose users' password is right.
func secureServer(t testing.TB, bits int) *testServer {
	t.Helper()
	cert, key := serverIdentity(t, "secure", bits)
	o := serverOptions{cert: cert, key: key, handlers: map[uint16]server.Handler{}, more: []server.Option{server.EnableAuthMode(ua.UserTokenTypeUserName)}}
	for _, p := range policies {
		o.more = append(o.more, server.EnableSecurity(p.name, ua.MessageSecurityModeSign), server.EnableSecurity(p.name, ua.MessageSecurityModeSignAndEncrypt))
	}
	// The library checks no users; this checks those of Basic256Sha256 tokens.
	o.handlers[id.ActivateSessionRequest_Encoding_DefaultBinary] = func(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
		req := r.(*ua.ActivateSessionRequest)
		if tok, ok := req.UserIdentityToken.Value.(*ua.UserNameIdentityToken); ok && !passwordIs(tok, key, "right") {
			return nil, ua.StatusBadUserAccessDenied
		}
		return &ua.ActivateSessionResponse{ResponseHeader: header(req, 0), ServerNonce: make([]byte, 32)}, nil
	}
	s := startServer(t, o)
	s.space.set("s=a", int32(42))
	return s
}

// passwordIs decrypts as the standard has it, not as the client does it.
func passwordIs(tok *ua.UserNameIdentityToken, key *rsa.PrivateKey, want string) bool {
	hash := crypto.SHA1
	if strings.HasSuffix(tok.EncryptionAlgorithm, "rsa-oaep-sha2-256") {
		hash = crypto.SHA256
	}
	p, err := rsa.DecryptOAEP(hash.New(), nil, key, tok.Password, nil)
	if err != nil || len(p) < 4 {
		return false
	}
	n := int(binary.LittleEndian.Uint32(p)) - 32 // less the nonce
	return n >= 0 && 4+n <= len(p) && string(p[4:4+n]) == want
}

func secureDevice(t testing.TB, s *testServer, pki *PKI, cfg Config) *Device {
	t.Helper()
	cfg.URL = s.url()
	cfg.Timeout = 20 * time.Second // RSA is slow where tests run
	d, err := New("m", time.Second, cfg, []Signal{{Name: "a", Node: nsu("s=a"), Type: "int32"}}, testLog(t), pki)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestEncryptedPolicies(t *testing.T) {
	s := secureServer(t, 2048)
	pki := &PKI{Folder: t.TempDir(), Name: "edge-1"}
	d := secureDevice(t, s, pki, Config{Security: "Basic256Sha256/SignAndEncrypt"})
	err := d.Connect(t.Context())
	rejected, lerr := pki.Rejected()
	if lerr != nil || len(rejected) != 1 {
		t.Fatalf("rejected: %v %v; %v", rejected, lerr, err)
	}
	for _, want := range []string{"not trusted", "CN=secure", rejected[0].Fingerprint, rejected[0].Thumbprint, rejected[0].File, rejected[0].Fingerprint[:16]} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell of %q", err, want)
		}
	}
	if _, err := pki.Promote(rejected[0].Fingerprint[:16]); err != nil {
		t.Fatal(err)
	}
	for _, p := range policies {
		for _, mode := range []string{"/Sign", "/SignAndEncrypt"} {
			t.Run(p.name+mode, func(t *testing.T) {
				d := secureDevice(t, s, pki, Config{Security: p.name + mode})
				if err := d.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				if r := poll(t, d); r.Readings[0].Value != plant.Integer(42) {
					t.Errorf("%v", r.Readings)
				}
				ch := d.session.ch
				ch.mu.Lock()
				old := ch.tokens[0]
				ch.mu.Unlock()
				if ch.due(time.Now()) || !ch.due(old.made.Add(50*time.Minute)) {
					t.Errorf("the token of %v lives %v", old.made, old.lives)
				}
				var others sync.WaitGroup
				for range 3 { // they go on meanwhile
					others.Go(func() {
						for range 10 {
							if err := d.session.alive(t.Context(), 20*time.Second); err != nil {
								t.Error(err)
							}
						}
					})
				}
				if err := d.session.renew(t.Context(), 20*time.Second); err != nil {
					t.Error(err)
				}
				others.Wait()
				if ch.tokens[0].made == old.made || len(ch.tokens) != 2 {
					t.Error("the token is the old one")
				}
				if r := poll(t, d); r.Readings[0].Value != plant.Integer(42) {
					t.Errorf("with the new token: %v", r.Readings)
				}
			})
		}
	}
	t.Run("a large request and answer", func(t *testing.T) {
		d := secureDevice(t, s, pki, Config{Security: "Basic256Sha256/SignAndEncrypt", Batch: 4000})
		if err := d.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		nodes := make([]*ua.ReadValueID, 4000)
		for i := range nodes {
			nodes[i] = d.ways[0].nodes[0]
		}
		res, err := d.session.readAll(t.Context(), 20*time.Second, &ua.ReadRequest{NodesToRead: nodes})
		if err != nil || res[3999].Value.Int() != 42 {
			t.Fatalf("%v", err)
		}
	})
}

func TestUsers(t *testing.T) {
	s := secureServer(t, 3072) // two bytes of padding size
	pki := &PKI{Folder: t.TempDir()}
	if err := pki.Trust(s.Endpoints()[0].ServerCertificate); err != nil {
		t.Fatal(err)
	}
	empty := &PKI{Folder: t.TempDir()}
	for _, c := range []struct {
		name string
		cfg  Config
		pki  *PKI
		want string
	}{
		{"anonymous", Config{Security: "Basic256Sha256/Sign"}, pki, ""},
		{"right", Config{Security: "Basic256Sha256/SignAndEncrypt", User: User{Name: "u", Password: "right"}}, pki, ""},
		{"wrong", Config{Security: "Basic256Sha256/SignAndEncrypt", User: User{Name: "u", Password: "wrong"}}, pki, "BadUserAccessDenied"},
		{"encrypted without security", Config{Security: "None", User: User{Name: "u", Password: "right"}}, pki, ""},
		{"encrypted for a stranger", Config{Security: "None", User: User{Name: "u", Password: "right"}}, empty, "not trusted"},
		{"no certificates", Config{Security: "None", User: User{Name: "u", Password: "right"}}, nil, "needs a folder for certificates"},
		{"no certificates at all", Config{Security: "Basic256Sha256/Sign"}, nil, "needs a folder for certificates"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := secureDevice(t, s, c.pki, c.cfg)
			err := d.Connect(t.Context())
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if r := poll(t, d); r.Readings[0].Value != plant.Integer(42) {
					t.Errorf("%v", r.Readings)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "right") {
				t.Errorf("connect: %v, want %q", err, c.want)
			}
		})
	}
}

func TestTokenChoice(t *testing.T) {
	encrypted, _ := parseSecurity("Basic256Sha256/SignAndEncrypt")
	signed, _ := parseSecurity("Basic256Sha256/Sign")
	none, _ := parseSecurity("None")
	user := func(policy string) *ua.UserTokenPolicy {
		return &ua.UserTokenPolicy{PolicyID: "u:" + policy, TokenType: ua.UserTokenTypeUserName, SecurityPolicyURI: policy}
	}
	for _, c := range []struct {
		name   string
		sec    security
		offers []*ua.UserTokenPolicy
		plain  bool
		want   string
	}{
		{"plain over encryption", encrypted, []*ua.UserTokenPolicy{user(ua.SecurityPolicyURINone)}, false, ""},
		{"plain over signing", signed, []*ua.UserTokenPolicy{user(ua.SecurityPolicyURINone)}, false, "unencrypted"},
		{"plain over nothing", none, []*ua.UserTokenPolicy{user("")}, false, "unencrypted"},
		{"plain over nothing, allowed", none, []*ua.UserTokenPolicy{user("")}, true, ""},
		{"withdrawn policy", encrypted, []*ua.UserTokenPolicy{user(ua.SecurityPolicyURIBasic128Rsa15)}, false, "not safe"},
		{"only users", none, []*ua.UserTokenPolicy{{TokenType: ua.UserTokenTypeCertificate}}, false, "takes no user names"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &session{opt: options{security: c.sec, user: User{Name: "u", Password: "p", Plain: c.plain}}, endpoint: &ua.EndpointDescription{UserIdentityTokens: c.offers}}
			tok, _, err := s.identityToken(&ua.CreateSessionResponse{}, nil)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				return
			}
			if u, ok := tok.(*ua.UserNameIdentityToken); err != nil || !ok || string(u.Password) != "p" {
				t.Errorf("%+v %v", tok, err)
			}
		})
	}
	s := &session{opt: options{security: none}, endpoint: &ua.EndpointDescription{UserIdentityTokens: []*ua.UserTokenPolicy{user("")}}}
	if _, _, err := s.identityToken(nil, nil); err == nil || !strings.Contains(err.Error(), "without a user") {
		t.Errorf("anonymous where users are wanted: %v", err)
	}
}

func TestServerThatIsNotWhatItSaid(t *testing.T) {
	cert, key := serverIdentity(t, "real", 2048)
	other, _ := serverIdentity(t, "other", 2048)
	pki := &PKI{Folder: t.TempDir()}
	for _, der := range [][]byte{cert, other} {
		if err := pki.Trust(der); err != nil {
			t.Fatal(err)
		}
	}
	var s *testServer
	var announced []byte
	var change func(*ua.CreateSessionResponse)
	endpoints := func(_ *uasc.SecureChannel, r ua.Request, _ uint32) (res ua.Response, err error) {
		s.with(func() {
			res = &ua.GetEndpointsResponse{ResponseHeader: header(r, 0), Endpoints: []*ua.EndpointDescription{{
				SecurityPolicyURI: ua.SecurityPolicyURIBasic256Sha256, SecurityMode: ua.MessageSecurityModeSign, ServerCertificate: announced,
				Server: &ua.ApplicationDescription{ApplicationName: &ua.LocalizedText{}}}}}
		})
		return res, nil
	}
	session := func(sc *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
		req := r.(*ua.CreateSessionRequest)
		sig, alg, err := sc.NewSessionSignature(req.ClientCertificate, req.ClientNonce)
		if err != nil {
			return nil, err
		}
		res := &ua.CreateSessionResponse{ResponseHeader: header(req, 0), SessionID: ua.NewTwoByteNodeID(1), AuthenticationToken: ua.NewTwoByteNodeID(2), ServerCertificate: cert,
			ServerNonce: make([]byte, 32), ServerSignature: &ua.SignatureData{Algorithm: alg, Signature: sig}}
		s.with(func() { change(res) })
		return res, nil
	}
	s = startServer(t, serverOptions{cert: cert, key: key, more: []server.Option{server.EnableSecurity("Basic256Sha256", ua.MessageSecurityModeSign)},
		handlers: map[uint16]server.Handler{id.GetEndpointsRequest_Encoding_DefaultBinary: endpoints, id.CreateSessionRequest_Encoding_DefaultBinary: session}})
	for _, c := range []struct {
		name     string
		announce []byte
		change   func(*ua.CreateSessionResponse)
		want     string
	}{
		{"another certificate announced", other, func(*ua.CreateSessionResponse) {}, "another certificate than it had announced"},
		{"another certificate for the session", cert, func(r *ua.CreateSessionResponse) { r.ServerCertificate = other }, "not the one that the server had announced"},
		{"a forged signature", cert, func(r *ua.CreateSessionResponse) { r.ServerSignature.Signature[7] ^= 1 }, "signature is wrong"},
		{"no signature", cert, func(r *ua.CreateSessionResponse) { r.ServerSignature.Signature = nil }, "signature is wrong"},
		{"fewer endpoints", cert, func(r *ua.CreateSessionResponse) {
			r.ServerEndpoints = []*ua.EndpointDescription{{SecurityPolicyURI: ua.SecurityPolicyURINone, SecurityMode: ua.MessageSecurityModeNone, Server: &ua.ApplicationDescription{ApplicationName: &ua.LocalizedText{}}}}
		}, "not those it had announced"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.with(func() { announced, change = c.announce, c.change })
			d := secureDevice(t, s, pki, Config{Security: "Basic256Sha256/Sign"})
			if err := d.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("connect: %v, want %q", err, c.want)
			}
		})
	}
}

func TestPKI(t *testing.T) {
	var logged bytes.Buffer
	p := &PKI{Folder: filepath.Join(t.TempDir(), "pki"), Name: "edge 1", Log: slog.New(slog.NewTextHandler(&logged, nil))}
	first, err := p.Own()
	if err != nil {
		t.Fatal(err)
	}
	if first.URI != "urn:linetwin:gateway:edge%201" || len(first.Fingerprint) != 64 || first.To.Sub(first.From) < 5*364*24*time.Hour {
		t.Errorf("%+v", first)
	}
	if info, err := os.Stat(filepath.Join(p.Folder, "own", "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v %v", info.Mode(), err)
	}
	again := &PKI{Folder: p.Folder, Log: p.Log}
	if fp, err := again.Fingerprint(); err != nil || fp != first.Fingerprint {
		t.Errorf("a second start has another certificate: %v %v", fp, err)
	}
	if uri, err := again.URI(); err != nil || uri != first.URI {
		t.Errorf("a second start has another name: %v %v", uri, err)
	}
	t.Run("it ends", func(t *testing.T) {
		later := time.Now().Add(ownLives - 24*time.Hour)
		if own, err := again.load(later); err != nil || fingerprint(own.der) != first.Fingerprint || !strings.Contains(logged.String(), "ends soon") {
			t.Errorf("near its end: %v, log %s", err, logged.String())
		}
		own, err := again.load(time.Now().Add(ownLives + time.Hour))
		if err != nil || fingerprint(own.der) == first.Fingerprint || own.uri != "urn:linetwin:gateway:"+hostName(t) && own.uri != first.URI {
			t.Errorf("after its end: %v", err)
		}
		if !strings.Contains(logged.String(), "made anew") {
			t.Errorf("log %s", logged.String())
		}
	})
	t.Run("damaged", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(p.Folder, "own", "key.pem"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (&PKI{Folder: p.Folder}).Own(); err == nil || !strings.Contains(err.Error(), "key.pem: no private key in PEM") {
			t.Errorf("error %v", err)
		}
	})
	if _, err := (&PKI{}).Own(); err == nil || !strings.Contains(err.Error(), "no folder") {
		t.Errorf("without a folder: %v", err)
	}
}

func hostName(t *testing.T) string {
	h, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTrust(t *testing.T) {
	now := time.Now()
	a, _ := serverIdentity(t, "plc", 2048)
	b, _ := serverIdentity(t, "plc", 2048) // the same name, another key
	p := &PKI{Folder: t.TempDir()}
	if err := p.verify(peer{der: a}, now); err == nil || strings.Contains(err.Error(), "changed") {
		t.Errorf("a stranger: %v", err)
	}
	if err := p.verify(peer{der: a}, now); err == nil {
		t.Error("a stranger is let in at the second try")
	}
	if err := p.Trust(a); err != nil {
		t.Fatal(err)
	}
	if rejected, err := p.Rejected(); err != nil || len(rejected) != 0 {
		t.Errorf("still rejected: %v %v", rejected, err)
	}
	if err := p.verify(peer{der: a}, now); err != nil {
		t.Errorf("trusted: %v", err)
	}
	if err := p.verify(peer{der: append(bytes.Clone(a), b...)}, now); err != nil {
		t.Errorf("trusted, with a chain: %v", err)
	}
	if err := p.verify(peer{der: a}, now.Add(24*time.Hour)); err != nil {
		t.Errorf("trusted by name and out of date: %v", err)
	}
	fp, _ := describe("", a)
	if err := p.verify(peer{der: b}, now); err == nil || !strings.Contains(err.Error(), "it has changed: trusted until now was SHA-256 "+fp.Fingerprint) {
		t.Errorf("a changed certificate: %v", err)
	}
	if _, err := p.Promote("0123"); err == nil {
		t.Error("promoted by four digits")
	}
	if _, err := p.Promote("ffffffffffffffff"); err == nil || !strings.Contains(err.Error(), "none of the 1 certificates") {
		t.Errorf("promote what is not there: %v", err)
	}
	bc, _ := describe("", b)
	if c, err := p.Promote(strings.ToUpper(bc.Thumbprint[:2] + ":" + bc.Thumbprint[2:])); err != nil || c.Fingerprint != bc.Fingerprint {
		t.Errorf("promote by SHA-1: %v", err)
	}
	if err := p.Trust([]byte("no certificate")); err == nil {
		t.Error("trusts what is no certificate")
	}
	if err := p.verify(peer{der: []byte("no certificate")}, now); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("no certificate: %v", err)
	}
	t.Run("the folder is not filled up", func(t *testing.T) {
		for i := range mostRejected {
			if err := os.WriteFile(p.path("rejected", strings.Repeat("x", i+1)+".der"), a, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c, _ := serverIdentity(t, "one more", 2048)
		if err := p.verify(peer{der: c}, now); err == nil || !strings.Contains(err.Error(), "could not be kept") {
			t.Errorf("%v", err)
		}
	})
	if err := os.WriteFile(p.path("trusted", "broken.der"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.verify(peer{der: a}, now); err == nil || !strings.Contains(err.Error(), "broken.der") {
		t.Errorf("a broken file among the trusted: %v", err)
	}
}

func TestParseSecurity(t *testing.T) {
	for in, want := range map[string]string{
		"None": "None", "None/None": "None", "Basic256Sha256/Sign": "Basic256Sha256/Sign", "Aes128_Sha256_RsaOaep/SignAndEncrypt": "Aes128_Sha256_RsaOaep/SignAndEncrypt",
		"Aes256-Sha256-RsaPss/Sign": "Aes256_Sha256_RsaPss/Sign", "Aes256_Sha256_RsaPss/Sign": "Aes256_Sha256_RsaPss/Sign", "": "", "none": "", "Basic256Sha256": "", "Basic256Sha256/None": "", "Basic128Rsa15/Sign": "", "None/Sign": "", "Basic256Sha256/Sign/x": "",
	} {
		got, err := parseSecurity(in)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v %v, want %q", in, got, err, want)
		}
	}
}

// The padding of a message encrypted for a key of any length is found again.
func TestChunksSealAndOpen(t *testing.T) {
	for _, bits := range []int{2048, 3072, 4096} {
		_, clientKey := serverIdentity(t, "client", 2048)
		cert, key := serverIdentity(t, "server", bits)
		for _, p := range policies {
			sec := security{p.uri, ua.MessageSecurityModeSignAndEncrypt}
			out, err := asymmetric(sec, &identity{key: clientKey}, cert)
			if err != nil {
				t.Fatal(err)
			}
			in := serverKeys(t, p.uri, key, &clientKey.PublicKey)
			for _, n := range []int{0, 1, 50, 131, 132, 133, 500} {
				body := make([]byte, n)
				rand.Read(body)
				b := append(putSequence(putPrefix(nil, "OPN", 'F', 1), 1, 7), body...)
				sealed, err := out.seal(b, prefixSize)
				if err != nil {
					t.Fatal(err)
				}
				if size := binary.LittleEndian.Uint32(sealed[4:]); int(size) != len(sealed) {
					t.Fatalf("%s %d bits, %d bytes: says %d, has %d", p.name, bits, n, size, len(sealed))
				}
				plain, err := in.open(sealed, prefixSize)
				if err != nil {
					t.Fatalf("%s %d bits, %d bytes: %v", p.name, bits, n, err)
				}
				if request, got, err := takeSequence(plain); err != nil || request != 7 || !bytes.Equal(got, body) {
					t.Fatalf("%s %d bits, %d bytes: %d %v", p.name, bits, n, request, err)
				}
				sealed[len(sealed)-5] ^= 1
				if _, err := in.open(sealed, prefixSize); err == nil {
					t.Fatalf("%s: a changed message is taken", p.name)
				}
			}
		}
	}
}

// serverKeys are those of the other side.
func serverKeys(t testing.TB, policy string, key *rsa.PrivateKey, client *rsa.PublicKey) keys {
	t.Helper()
	a, err := uapolicy.Asymmetric(policy, key, client)
	if err != nil {
		t.Fatal(err)
	}
	return keys{a, true, true}
}

package opcua

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// peerProcess is a child with servers of another make; see testdata/peer.js.
type peerProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	folder string
	count  int
}

// message is a command to the child, or the fields of its answer.
type message map[string]any

func startPeer(t *testing.T) *peerProcess {
	t.Helper()
	npm := os.Getenv("LINETWIN_NPM_TESTS")
	if npm == "" {
		t.Skip("LINETWIN_NPM_TESTS names no folder with npm's node-opcua@2.165.1 installed")
	}
	p := &peerProcess{cmd: exec.Command("node", "testdata/peer.js", npm), folder: t.TempDir()}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("node: %v", err)
	}
	t.Cleanup(func() {
		p.in.Close() // ends it
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("node: %v", err)
		}
	})
	return p
}

// ask has the child do something and gives its answer.
func (p *peerProcess) ask(t *testing.T, do string, m message) message {
	t.Helper()
	p.count++
	m["id"], m["do"] = p.count, do
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		t.Fatal(err)
	}
	if !p.out.Scan() {
		t.Fatalf("%s: the child ended: %v", do, p.out.Err())
	}
	var answer message
	if err := json.Unmarshal(p.out.Bytes(), &answer); err != nil || answer["id"] != float64(p.count) {
		t.Fatalf("%s: %v in %s", do, err, p.out.Bytes())
	}
	if why := answer["error"]; why != nil {
		t.Fatalf("%s: %v", do, why)
	}
	return answer
}

func (p *peerProcess) number(t *testing.T, do, field string, m message) int {
	t.Helper()
	return int(p.ask(t, do, m)[field].(float64))
}

// foreignServer is one server of the child.
type foreignServer struct {
	*peerProcess
	name  string
	setup message
	port  int
	cert  []byte // DER, with those of its issuers
	uri   string
}

// issued is a certificate with its key.
type issued struct {
	x   *x509.Certificate
	key *rsa.PrivateKey
}

// issue makes a certificate for an application, signed by an authority or by
// itself.
func issue(t *testing.T, name string, by *issued, change func(*x509.Certificate)) *issued {
	t.Helper()
	uri, _ := url.Parse("urn:linetwin:test:" + name)
	x := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, URIs: []*url.URL{uri},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(x)
	}
	key := testKey(t, 2048)
	parent, signer := x, key
	if by != nil {
		parent, signer = by.x, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if x, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &issued{x, key}
}

// authority makes an issued certificate one that may sign others.
func authority(x *x509.Certificate) {
	x.IsCA, x.URIs, x.ExtKeyUsage, x.KeyUsage = true, nil, nil, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

// write puts blocks of PEM into a file.
func write(t *testing.T, file string, blocks ...*pem.Block) string {
	t.Helper()
	var b []byte
	for _, block := range blocks {
		b = append(b, pem.EncodeToMemory(block)...)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func certBlock(c *issued) *pem.Block { return &pem.Block{Type: "CERTIFICATE", Bytes: c.x.Raw} }

func keyBlock(c *issued) *pem.Block {
	return &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(c.key)}
}

// server prepares a server of the child, with a certificate that has been made
// here. setup is what the child is told beside that.
func (p *peerProcess) server(t *testing.T, name string, chain []*issued, setup message) *foreignServer {
	t.Helper()
	folder := filepath.Join(p.folder, name)
	s := &foreignServer{peerProcess: p, name: name, setup: setup, uri: chain[0].x.URIs[0].String()}
	var blocks []*pem.Block
	for _, c := range chain {
		blocks = append(blocks, certBlock(c))
		s.cert = append(s.cert, c.x.Raw...)
	}
	setup["name"], setup["uri"] = name, s.uri
	setup["certificate"] = write(t, filepath.Join(folder, "certificate.pem"), blocks...)
	setup["key"] = write(t, filepath.Join(folder, "key.pem"), keyBlock(chain[0]))
	for _, store := range []string{"pki", "userPKI"} {
		setup[store] = filepath.Join(folder, store)
		write(t, filepath.Join(folder, store, "own", "private", "private_key.pem"), keyBlock(chain[0])) // it would make one
	}
	return s
}

func (s *foreignServer) start(t *testing.T) {
	t.Helper()
	s.setup["port"] = s.port
	s.port = s.number(t, "start", "port", s.setup)
}

func (s *foreignServer) url() string {
	return "opc.tcp://127.0.0.1:" + big.NewInt(int64(s.port)).String()
}

func (s *foreignServer) set(t *testing.T, node, kind string, value any, more message) {
	t.Helper()
	m := message{"name": s.name, "node": node, "type": kind, "value": value}
	for k, v := range more {
		m[k] = v
	}
	s.ask(t, "set", m)
}

func (s *foreignServer) device(t *testing.T, pki *PKI, cfg Config, signals ...Signal) *Device {
	t.Helper()
	cfg.URL = s.url()
	if cfg.Security == "" {
		cfg.Security = "None"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second // RSA is slow where tests run
	}
	d, err := New("m", 20*time.Millisecond, cfg, signals, testLog(t), pki)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

const foreignSpace = "urn:linetwin:foreign"

func foreignNode(name string) string { return "nsu=" + foreignSpace + ";s=" + name }

// Another maker's server, in one process that serves all cases: its start
// takes seconds.
func TestForeign(t *testing.T) {
	p := startPeer(t)
	user := issue(t, "operator", nil, nil)
	main := p.server(t, "main", []*issued{issue(t, "main", nil, nil)}, message{"accept": true, "users": map[string]string{"edge": "right"},
		"limits":     map[string]int{"maxNodesPerRead": 5, "maxMonitoredItemsPerCall": 3, "maxNodesPerTranslateBrowsePathsToNodeIds": 2},
		"namespaces": []string{"urn:other"}, "space": foreignSpace, "nodes": foreignNodes()})
	write(t, filepath.Join(p.folder, "main", "userPKI", "trusted", "certs", "operator.pem"), certBlock(user))
	main.start(t)
	t.Run("policies", func(t *testing.T) { foreignPolicies(t, main) })
	t.Run("users", func(t *testing.T) { foreignUsers(t, main, user) })
	t.Run("attacked", func(t *testing.T) { foreignAttacked(t, main) })
	t.Run("poll", func(t *testing.T) { foreignPoll(t, main) })
	t.Run("subscribe", func(t *testing.T) { foreignSubscribe(t, main) })
	t.Run("frozen", func(t *testing.T) { foreignFrozen(t, main) })
	t.Run("small", func(t *testing.T) { foreignSmall(t, p) })
}

func trusting(t *testing.T, der []byte) *PKI {
	t.Helper()
	pki := &PKI{Folder: t.TempDir(), Name: "edge-1"}
	if err := pki.Trust(der); err != nil {
		t.Fatal(err)
	}
	return pki
}

func foreignPolicies(t *testing.T, s *foreignServer) {
	pki := trusting(t, s.cert)
	for _, sec := range []string{"None", "Basic256Sha256/Sign", "Basic256Sha256/SignAndEncrypt", "Aes128-Sha256-RsaOaep/Sign",
		"Aes128_Sha256_RsaOaep/SignAndEncrypt", "Aes256_Sha256_RsaPss/Sign", "Aes256-Sha256-RsaPss/SignAndEncrypt"} {
		t.Run(strings.ReplaceAll(sec, "/", " "), func(t *testing.T) {
			d := s.device(t, pki, Config{Security: sec}, Signal{Name: "a", Node: foreignNode("int32"), Type: "int32"})
			if err := d.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := d.session.renew(t.Context(), 20*time.Second); err != nil {
				t.Errorf("renew: %v", err)
			}
			if r := poll(t, d); r.Readings[0].Value != plant.Integer(-3) {
				t.Errorf("%+v", r.Readings)
			}
		})
	}
}

func foreignUsers(t *testing.T, s *foreignServer, operator *issued) {
	folder := t.TempDir()
	file := func(name string, blocks ...*pem.Block) string {
		return write(t, filepath.Join(folder, name), blocks...)
	}
	stranger := issue(t, "stranger", nil, nil)
	good := User{Certificate: file("operator.pem", certBlock(operator)), Key: file("operator.key", keyBlock(operator))}
	bad := User{Certificate: file("stranger.pem", certBlock(stranger)), Key: file("stranger.key", keyBlock(stranger))}
	pki := trusting(t, s.cert)
	const strong = "Aes256_Sha256_RsaPss/SignAndEncrypt"
	for _, c := range []struct {
		name string
		sec  string
		user User
		want []string
	}{
		{"anonymous", strong, User{}, nil},
		{"password", strong, User{Name: "edge", Password: "right"}, nil},
		{"password, signed only", "Basic256Sha256/Sign", User{Name: "edge", Password: "right"}, nil},
		{"password without security", "None", User{Name: "edge", Password: "right"}, nil},
		{"wrong password", strong, User{Name: "edge", Password: "wr0ng"}, []string{"activate session: the server says BadUserAccessDenied: name or password of user \"edge\" is wrong"}},
		{"certificate", strong, good, nil},
		{"certificate, Aes128", "Aes128_Sha256_RsaOaep/Sign", good, nil},
		{"certificate, Basic256Sha256", "Basic256Sha256/SignAndEncrypt", good, nil},
		{"certificate without security", "None", good, nil},
		{"a stranger's certificate", strong, bad, []string{"BadIdentityTokenRejected", "stranger.pem: trust it on the server"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := s.device(t, pki, Config{Security: c.sec, User: c.user}, Signal{Name: "a", Node: foreignNode("int32"), Type: "int32"})
			err := d.Connect(t.Context())
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				if r := poll(t, d); r.Readings[0].Value != plant.Integer(-3) {
					t.Errorf("%+v", r.Readings)
				}
				return
			}
			again := d.Connect(t.Context())
			if err == nil || again == nil || err.Error() != again.Error() || strings.Contains(err.Error(), "wr0ng") {
				t.Fatalf("connect: %v, then %v", err, again)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("connect: %v, want %q", err, want)
				}
			}
		})
	}
}

// How a password may travel is taken from what the server has signed, not from
// what was announced before, even where the settings would have it plain.
func foreignAttacked(t *testing.T, s *foreignServer) {
	a := startAttacker(t, strings.TrimPrefix(s.url(), "opc.tcp://"), func(r *ua.GetEndpointsResponse) {
		for _, e := range r.Endpoints {
			for _, u := range e.UserIdentityTokens {
				u.SecurityPolicyURI = ua.SecurityPolicyURINone
			}
		}
	})
	d := s.device(t, trusting(t, s.cert), Config{Security: "Basic256Sha256/Sign", User: User{Name: "edge", Password: "right", Plain: true}},
		Signal{Name: "a", Node: foreignNode("int32"), Type: "int32"})
	d.link.opt.url = "opc.tcp://" + a.listener.Addr().String()
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if a.saw("right") || !a.saw("edge") {
		t.Error("the password was sent in the clear")
	}
}

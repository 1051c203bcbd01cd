package opcua

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/gopcua/opcua/ua"
)

// attacker stands between client and server and changes what the server
// announces, which nothing protects.
type attacker struct {
	listener net.Listener
	change   func(*ua.GetEndpointsResponse)

	mu   sync.Mutex
	sent bytes.Buffer // by the client
	wg   sync.WaitGroup
}

func startAttacker(t *testing.T, server string, change func(*ua.GetEndpointsResponse)) *attacker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{listener: l, change: change}
	a.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			a.wg.Go(func() { io.Copy(out, io.TeeReader(client, a)); out.Close() })
			a.wg.Go(func() { a.answer(client, out); client.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); a.wg.Wait() })
	return a
}

// Write notes what the client sent.
func (a *attacker) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent.Write(b)
}

func (a *attacker) saw(s string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return bytes.Contains(a.sent.Bytes(), []byte(s))
}

// answer passes the server's chunks on, with what it announces changed.
func (a *attacker) answer(client, server net.Conn) {
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		b := append(head, make([]byte, binary.LittleEndian.Uint32(head[4:])-8)...)
		if _, err := io.ReadFull(server, b[8:]); err != nil {
			return
		}
		const header = prefixSize + tokenSize + sequenceSize
		if string(b[:4]) == "MSGF" {
			if res, err := decodeMessage(b[header:]); err == nil {
				if e, ok := res.(*ua.GetEndpointsResponse); ok {
					a.change(e)
					body, err := ua.Encode(e)
					if err != nil {
						return
					}
					b = append(b[:header+4], body...) // the type's node id has four bytes
					binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
				}
			}
		}
		if _, err := client.Write(b); err != nil {
			return
		}
	}
}

// Whatever is announced, a device has the security of its settings or none.
func TestNoFallBack(t *testing.T) {
	s := secureServer(t, 2048)
	pki := &PKI{Folder: t.TempDir()}
	if err := pki.Trust(s.Endpoints()[0].ServerCertificate); err != nil {
		t.Fatal(err)
	}
	mine, _ := serverIdentity(t, "attacker", 2048)
	each := func(do func(*ua.EndpointDescription)) func(*ua.GetEndpointsResponse) {
		return func(r *ua.GetEndpointsResponse) {
			for _, e := range r.Endpoints {
				do(e)
			}
		}
	}
	for _, c := range []struct {
		name   string
		cfg    Config
		change func(*ua.GetEndpointsResponse)
		want   string // of the error; empty for a connection that is as it should be
	}{
		{"nothing changed", Config{Security: "Basic256Sha256/SignAndEncrypt"}, each(func(*ua.EndpointDescription) {}), ""},
		{"only None", Config{Security: "Basic256Sha256/SignAndEncrypt"}, each(func(e *ua.EndpointDescription) {
			e.SecurityPolicyURI, e.SecurityMode = ua.SecurityPolicyURINone, ua.MessageSecurityModeNone
		}), `does not offer Basic256Sha256/SignAndEncrypt, only ["None"]: set security to one of these`},
		{"only Sign", Config{Security: "Basic256Sha256/SignAndEncrypt"}, each(func(e *ua.EndpointDescription) {
			e.SecurityMode = ua.MessageSecurityModeSign
		}), "does not offer"},
		{"only what is withdrawn", Config{Security: "Aes256_Sha256_RsaPss/Sign"}, each(func(e *ua.EndpointDescription) {
			e.SecurityPolicyURI = ua.SecurityPolicyURIBasic128Rsa15
		}), "does not offer"},
		{"nothing at all", Config{Security: "Basic256Sha256/Sign"}, func(r *ua.GetEndpointsResponse) { r.Endpoints = nil }, "nor anything else"},
		{"its own certificate", Config{Security: "Basic256Sha256/Sign"}, each(func(e *ua.EndpointDescription) { e.ServerCertificate = mine }), "not trusted: CN=attacker"},
		{"the password in the clear", Config{Security: "Basic256Sha256/Sign"}, each(func(e *ua.EndpointDescription) {
			for _, u := range e.UserIdentityTokens {
				u.SecurityPolicyURI = ua.SecurityPolicyURINone
			}
		}), "would have the password unencrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := startAttacker(t, s.address, c.change)
			c.cfg.User = User{Name: "u", Password: "right"}
			d := secureDevice(t, s, pki, c.cfg)
			d.link.opt.url = "opc.tcp://" + a.listener.Addr().String()
			err := d.Connect(t.Context())
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("connect: %v, want %q", err, c.want)
			}
			d.Close()
			if !strings.HasPrefix(c.want, "would have") && c.want != "" && a.saw("linetwin-") { // the name of a session in the clear
				t.Error("a session was asked for")
			}
			if a.saw("right") {
				t.Error("the password was sent in the clear")
			}
		})
	}
}

package opcua

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

func TestConfigFaults(t *testing.T) {
	const good = "url: opc.tcp://plc\nsecurity: None\n"
	for _, c := range []struct{ name, yaml, want string }{
		{"the least", good, ""},
		{"everything", "url: opc.tcp://plc:4841/a\nsecurity: Basic256Sha256/SignAndEncrypt\nuser: {name: u, password: p}\nmode: subscribe\ntimeout: 1s\nbatch: 50\npublishing: 1s\nsampling: 100ms\nqueue: 5\nheartbeat: ns=3;s=Beat\n", ""},
		{"nothing", "{}", "url: missing, allowed: opc.tcp://host:port/path; security: missing, allowed: None, or Basic256Sha256, Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss with /Sign or /SignAndEncrypt"},
		{"scheme", "url: tcp://plc\nsecurity: None", `url: found "tcp://plc"`},
		{"port", "url: opc.tcp://plc:99999\nsecurity: None", `url: found "opc.tcp://plc:99999"`},
		{"password in url", "url: opc.tcp://u:p@plc\nsecurity: None", "url: found"},
		{"policy", good + "mode: subscribe\n", ""},
		{"weak policy", "url: opc.tcp://plc\nsecurity: Basic256/Sign", `security: found "Basic256/Sign"`},
		{"mode", good + "mode: push", `mode: found "push", allowed: poll or subscribe`},
		{"timeout", good + "timeout: 1ms", "timeout: found 1ms, allowed: 50ms to 1m0s"},
		{"publishing", good + "publishing: 1ms", "publishing: found 1ms, allowed: 10ms to 1m0s"},
		{"sampling", good + "sampling: 2h", "sampling: found 2h0m0s"},
		{"batch", good + "batch: -1", "batch: found -1"},
		{"queue", good + "queue: 99999", "queue: found 99999"},
		{"backfill", good + "backfill: always", `backfill: found "always", allowed: auto or never`},
		{"backfill_max", good + "backfill_max: 1s", "backfill_max: found 1s, allowed: 1m0s to 720h0m0s"},
		{"heartbeat", good + "heartbeat: x", `heartbeat: found "x"`},
		{"certificate", good + "user: {certificate: a.pem, key: a.key}", ""},
		{"certificate and name", good + "user: {name: u, password: p, certificate: a.pem, key: a.key}", `user.certificate: found "a.pem", allowed: either name and password, or certificate and key`},
		{"certificate and password", good + "user: {password: p, certificate: a.pem, key: a.key}", `user.name: missing`},
		{"certificate without key", good + "user: {certificate: a.pem}", "user.key: missing, allowed: a file; certificate and key go together"},
		{"key without certificate", good + "user: {key: a.key}", "user.certificate: missing, allowed: a file"},
		{"plain certificate", "url: opc.tcp://plc\nsecurity: Basic256Sha256/Sign\nuser: {certificate: a.pem, key: a.key, plain: true}", "user.plain: found true, allowed: only with a password"},
		{"policy as in profiles", "url: opc.tcp://plc\nsecurity: Aes128-Sha256-RsaOaep/Sign", ""},
		{"password without name", good + "user: {password: p}", "user.name: missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cfg Config
			if err := yaml.Unmarshal([]byte(c.yaml), &cfg); err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, f := range cfg.Check() {
				all = append(all, f.String())
			}
			if got := strings.Join(all, "; "); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSignalFaults(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"good", "{name: a.b, node: i=1, type: int32, scale: 0.1, offset: -3, index: 0}", ""},
		{"short type names", "{name: a, node: i=1, type: double}", ""},
		{"nothing", "{}", "name: missing, allowed: 1 to 64 of a-z A-Z 0-9 . _ -; node: missing, allowed: " + nodeForms + "; type: missing, allowed: boolean, int8"},
		{"name", "{name: a/b, node: i=1, type: int32}", `name: found "a/b"`},
		{"node", "{name: a, node: s1, type: int32}", `node: found "s1"`},
		{"type", "{name: a, node: i=1, type: INT}", `type: found "INT"`},
		{"index", "{name: a, node: i=1, type: int32, index: -1}", "index: found -1"},
		{"scaled text", "{name: a, node: i=1, type: string, scale: 2, offset: 1}", "scale: found 2, allowed: nothing: string is no number; offset: found 1"},
		{"scale of 0", "{name: a, node: i=1, type: int32, scale: 0}", "scale: found 0"},
		{"offset", "{name: a, node: i=1, type: int32, offset: .inf}", "offset: found +Inf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Signal
			if err := yaml.Unmarshal([]byte(c.yaml), &s); err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, f := range s.Check() {
				all = append(all, f.String())
			}
			if got := strings.Join(all, "; "); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	twice := checkSignals([]Signal{{Name: "a", Node: "i=1", Type: "int32"}, {Name: "a", Node: "i=2", Type: "int32"}}, nil)
	if len(twice) != 1 || twice[0].Key != "signals[1].name" {
		t.Errorf("a name given twice: %v", twice)
	}
}

func TestDefaults(t *testing.T) {
	c := Config{}.filled(100 * time.Millisecond)
	if c.Mode != ModePoll || c.Timeout != 2*time.Second || c.Publishing != 500*time.Millisecond || c.Sampling != 100*time.Millisecond || c.Queue != 7 || c.Heartbeat != "i=2258" {
		t.Errorf("%+v", c)
	}
	u, err := endpointURL("opc.tcp://[fe80::1]/x")
	if err != nil || u.String() != "opc.tcp://[fe80::1]:4840/x" {
		t.Errorf("%v %v", u, err)
	}
}

func TestSecretsStaySecret(t *testing.T) {
	const secret = "S3cr3t!"
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := useServer(t)
	cfg := Config{URL: s.url(), Security: "None", User: User{Name: "u", Password: secret}}
	d, err := NewPool(nil, log).Device("m", time.Second, cfg, []Signal{{Name: "a", Node: "i=2258", Type: "datetime"}})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Connect(t.Context())
	fmt.Fprintf(&out, "%v %+v %#v %v %s", err, cfg, cfg.User, d.link.opt, d.Endpoint())
	b, merr := yaml.Marshal(cfg)
	out.Write(b)
	if err == nil || merr != nil || strings.Contains(out.String(), secret) {
		t.Errorf("%v %v: %s", err, merr, out.String())
	}
}

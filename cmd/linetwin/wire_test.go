package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linetwin/connectors/broker"
	"linetwin/connectors/sparkplug"
	"linetwin/plant"
)

// nobody is a sink that forgets.
type nobody struct{}

func (nobody) Birth(plant.GatewayBirth)         {}
func (nobody) Death(string, string, plant.Time) {}
func (nobody) Status(plant.GatewayStatus)       {}
func (nobody) Batch(*plant.Batch)               {}

// wired runs an embedded broker with TLS and a host at it.
func wired(t *testing.T, cert, key string) (*broker.Broker, *sparkplug.Host) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b, err := broker.New(broker.Config{Listen: "127.0.0.1:0", Folder: t.TempDir(), TLS: broker.TLS{Cert: cert, Key: key},
		Users: []broker.User{{Name: "edge-1", Password: "sesame open", Gateway: "hall-1/edge-1"}}}, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	user, password := b.Local()
	h, err := sparkplug.NewHost(sparkplug.HostConfig{Connection: sparkplug.Connection{Brokers: []string{"tls://" + b.Addr()},
		User: user, Password: password, TLS: sparkplug.TLS{CA: cert, ServerName: "localhost"}}}, nobody{}, log)
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	eventually(t, "host online", h.Online)
	return b, h
}

// TestProbeWire: from a settings file, the way to a broker is checked, then
// tried; what fails is told at its step and by the exit code.
func TestProbeWire(t *testing.T) {
	cert, key := selfSigned(t)
	b, _ := wired(t, cert, key)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	file := filepath.Join(dir, "gateway.yaml")
	write := func(gateway, password string, mode os.FileMode) {
		_ = os.Remove(secret)
		for name, text := range map[string]string{secret: password, file: fmt.Sprintf(`site: test
area: hall-1
gateway: %s
wire:
  brokers: ["tls://%s"]
  user: edge-1
  password: "${file:%s}"
  tls: {ca: %s, server_name: localhost}
devices:
  - machine: press
    modbus: {url: "tcp://127.0.0.1:502", unit: 1}
    signals: [{name: state, address: "holding:0", type: uint16}]
`, gateway, b.Addr(), secret, cert)} {
			if err := os.WriteFile(name, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	linetwin := func(args ...string) (out string, err error) {
		var stdout, stderr bytes.Buffer
		err = run(t.Context(), args, &stdout, &stderr)
		if all := stdout.String() + stderr.String(); strings.Contains(all, "sesame") {
			t.Errorf("the password shows:\n%s", all)
		}
		return stdout.String() + stderr.String(), err
	}
	probe := func() (last string, err error) {
		out, err := linetwin("probe", file, "--wire", "--output", "json")
		var steps []struct{ Step, Result, Found string }
		if e := json.NewDecoder(strings.NewReader(out)).Decode(&steps); e != nil {
			t.Fatalf("%v\n%s", e, out)
		}
		for _, s := range steps {
			last = s.Step + " " + s.Result
			if s.Result == sparkplug.StepFailed {
				return last + ": " + s.Found, err
			}
		}
		return last, err
	}

	write("edge-1", "sesame open", 0o644)
	out, err := linetwin("check", file)
	if want := "which every user of this computer may read (mode 0644)"; err != nil || !strings.Contains(out, want) || !strings.Contains(out, "wire.tls.ca: found "+cert+", whose certificate (CN=broker) expires on") {
		t.Errorf("check: %v\n%s", err, out)
	}
	if last, err := probe(); err != nil || last != "answer ok" {
		t.Errorf("%s, %v", last, err)
	}

	// The broker takes a certificate that is renewed, and so does the probe.
	renewed, renewedKey := selfSigned(t)
	for from, to := range map[string]string{renewedKey: key, renewed: cert} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if last, err := probe(); err != nil || last != "answer ok" {
		t.Errorf("after the renewal: %s, %v", last, err)
	}

	write("edge-1", "sesame shut", 0o600)
	if last, err := probe(); err == nil || !strings.HasPrefix(last, `connect failed: the broker refuses user "edge-1" or its password`) {
		t.Errorf("%s, %v", last, err)
	}
	write("edge-2", "sesame open", 0o600)
	if last, err := probe(); err == nil || last != `subscribe failed: subscribe at tls://`+b.Addr()+`: the broker does not let user "edge-1" hear spBv1.0/hall-1/NCMD/edge-2: see its access list` {
		t.Errorf("%s, %v", last, err)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	out, err = linetwin("check", file)
	if want := file + ":8: wire.tls.ca: found " + cert + ", which is not there, allowed: a file that is there"; err == nil || !strings.Contains(out, want) {
		t.Errorf("check: %v\n%s\nwant %s", err, out, want)
	}
	if out, err := linetwin("check", file, "--without-secrets"); err != nil {
		t.Errorf("check of another computer's file: %v\n%s", err, out)
	}
	if last, err := probe(); err == nil || !strings.HasPrefix(last, "tls failed: tls.ca: found "+cert+", which is not there") {
		t.Errorf("%s, %v", last, err)
	}
}

// TestWireWatch: a twin tells of its broker in a notice, in readiness and in
// metrics.
func TestWireWatch(t *testing.T) {
	cert, key := selfSigned(t)
	_, h := wired(t, cert, key)
	w := &wireWatch{}
	ready := func() (bool, []string) { return w.ready(func() (bool, []string) { return true, nil })() }
	if _, text, _ := w.notice(); text != "" {
		t.Errorf("before the wire is up: %s", text)
	}
	w.follow(h)
	if _, text, _ := w.notice(); !strings.Contains(text, "the broker's certificate (CN=broker) expires on") {
		t.Errorf("the certificate ends within the hour, and the notice is %q", text)
	}
	if ok, why := ready(); !ok {
		t.Error(why)
	}
	m := newMeters()
	rec := httptest.NewRecorder()
	m.handler(idle{}, w).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"linetwin_wire_online 1", `linetwin_wire_certificate_not_after_timestamp_seconds{area="",gateway="",of="broker",subject="CN=broker"} 1.`} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, rec.Body.String())
		}
	}

	lost, err := sparkplug.NewHost(sparkplug.HostConfig{Connection: sparkplug.Connection{Brokers: []string{"tcp://127.0.0.1:1"}}}, nobody{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- lost.Run(ctx) }()
	defer func() { cancel(); <-done }()
	w.follow(lost)
	want := "connect tcp://127.0.0.1:1: nothing listens there (connection refused): is the broker running, and is 1 its port?"
	eventually(t, want, func() bool { _, text, n := w.notice(); return text == want && n > 0 })
	if ok, why := ready(); ok || len(why) != 1 || why[0] != "broker: "+want {
		t.Errorf("ready %v, %q", ok, why)
	}
}

// idle is a plant where nothing is.
type idle struct{}

func (idle) Snapshot() plant.Snapshot   { return plant.Snapshot{} }
func (idle) History() plant.HistoryLive { return plant.HistoryLive{} }

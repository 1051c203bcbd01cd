package deploy_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/sparkplug"
)

// block gives the text of the document's first block of a kind.
func block(t *testing.T, file, kind string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, file), "```"+kind+"\n")
	text, _, closed := strings.Cut(rest, "\n```")
	if !ok || !closed {
		t.Fatalf("%s has no block of %s", file, kind)
	}
	return text + "\n"
}

// TestDocumentedTLS: the ten lines of docs/security.md make certificates with
// which Mosquitto, as documented, lets a gateway in, and nobody without one.
func TestDocumentedTLS(t *testing.T) {
	binary := program(t, "mosquitto")
	program(t, "openssl")
	folder := t.TempDir()
	cmd := exec.Command("sh", "-e", "-c", block(t, "../docs/security.md", "tls"))
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{"ca.key", "broker.key", "edge-1.key", "twin.key"} {
		info, err := os.Stat(filepath.Join(folder, file))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	conf := strings.NewReplacer("/etc/mosquitto/", folder+"/", "listener 8883", fmt.Sprintf("listener %d 127.0.0.1", port)).
		Replace(block(t, "../docs/security.md", "mosquitto"))
	write(t, filepath.Join(folder, "mosquitto.conf"), conf+"allow_anonymous true\nuser root\n", 0o600)
	run := exec.Command(binary, "-c", filepath.Join(folder, "mosquitto.conf"))
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Process.Kill(); _ = run.Wait() })
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("mosquitto does not listen")
		}
	}
	// The certificate is for localhost, and mqtt.plant is not in the DNS here.
	probe := func(tls sparkplug.TLS) string {
		tls.ServerName = "mqtt.plant"
		steps, err := sparkplug.ProbeEdge(t.Context(), sparkplug.EdgeConfig{Area: "hall-1", Gateway: "edge-1", Acknowledge: sparkplug.AcknowledgeBroker,
			Connection: sparkplug.Connection{Brokers: []string{"tls://" + addr}, TLS: tls}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.Result != sparkplug.StepOK {
				return s.Name + ": " + s.Text
			}
		}
		return "good"
	}
	in := func(name string) string { return filepath.Join(folder, name) }
	if got := probe(sparkplug.TLS{CA: in("ca.pem"), Cert: in("edge-1.pem"), Key: in("edge-1.key")}); got != "good" {
		t.Error(got)
	}
	if got := probe(sparkplug.TLS{CA: in("ca.pem")}); !strings.HasPrefix(got, "connect: the broker wants a certificate of ours") {
		t.Errorf("without a certificate: %s", got)
	}
}

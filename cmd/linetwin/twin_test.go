package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"linetwin/configs"
	"linetwin/connectors/broker"
	"linetwin/connectors/influx"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
)

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err1 := x509.CreateCertificate(rand.Reader, leaf, leaf, &private.PublicKey, private)
	pkcs8, err2 := x509.MarshalPKCS8PrivateKey(private)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(err1, err2,
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// awaitRetained waits until the twin's broker keeps the state of a line.
func awaitRetained(t *testing.T, role *twinRole) {
	t.Helper()
	user, password := role.broker.Local()
	opts := mqtt.NewClientOptions().AddBroker("tcp://" + role.broker.Addr()).SetClientID("listener").SetUsername(user).SetPassword(password.Reveal()).SetAutoReconnect(false)
	c := mqtt.NewClient(opts)
	if token := c.Connect(); !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatalf("connect: %v", token.Error())
	}
	defer c.Disconnect(0)
	kept := make(chan []byte, 100)
	area := role.cfg.Areas[0]
	token := c.Subscribe(plant.RetainedRoot+area.ID+"/"+area.Lines[0].ID+"/state", 1, func(_ mqtt.Client, m mqtt.Message) { kept <- m.Payload() })
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatalf("subscribe: %v", token.Error())
	}
	select {
	case raw := <-kept:
		var line plant.LineNow
		if err := json.Unmarshal(raw, &line); err != nil || line.Site != role.cfg.Site || line.Line != area.Lines[0].ID {
			t.Errorf("kept %s: %v", raw, err)
		}
	case <-time.After(time.Minute):
		t.Fatal("no line's state is kept")
	}
}

// TestEmbeddedBroker: whatever its listener demands, the twin gets in itself.
func TestEmbeddedBroker(t *testing.T) {
	cert, key := selfSigned(t)
	for name, c := range map[string]broker.Config{
		"open":        {},
		"with users":  {Users: []broker.User{{Name: "edge-1", Password: "sesame"}}},
		"TLS":         {TLS: broker.TLS{Cert: cert, Key: key}, Users: []broker.User{{Name: "edge-1", Password: "sesame"}}},
		"mutual TLS ": {TLS: broker.TLS{Cert: cert, Key: key, CA: cert}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			demo, err := configs.LoadDemo()
			if err != nil {
				t.Fatal(err)
			}
			cfg := demo.Twin
			c.Listen, c.Folder = "127.0.0.1:0", filepath.Join(dir, "broker")
			if faults := c.Check(); len(faults) > 0 {
				t.Fatal(faults)
			}
			cfg.Broker.Embedded = &c
			cfg.History.Embedded.Folder, cfg.Ledger.SQLite, cfg.Web.Listen = dir, filepath.Join(dir, "ledger.db"), "127.0.0.1:0"
			ctx, cancel := context.WithCancel(t.Context())
			role, err := newTwin(ctx, &cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer role.close()
			ended := make(chan error, 1)
			go func() { ended <- role.run(ctx, func(string) {}) }()
			eventually(t, "the twin is connected to its broker", func() bool {
				host := role.meters.hostStats()
				return host != nil && host().Connects > 0
			})
			if c.TLS.Cert == "" {
				awaitRetained(t, role)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestQuarantineOutlivesTheTwin: an audit counts also what was refused before
// the twin started.
func TestQuarantineOutlivesTheTwin(t *testing.T) {
	dir := t.TempDir()
	for name, cfg := range map[string]configs.History{
		"embedded": {Embedded: &sqlite.HistoryConfig{Folder: dir}},
		"influxdb": {Influx: &influx.Config{URL: "http://127.0.0.1:1", Org: "o", Bucket: "b", Token: "t", Quarantine: filepath.Join(dir, "quarantine.db")}},
	} {
		t.Run(name, func(t *testing.T) {
			open := func() (*twinRole, history) {
				t.Helper()
				role := &twinRole{cfg: &configs.Twin{History: cfg}, log: slog.New(slog.DiscardHandler), meters: newMeters()}
				store, err := role.openHistory(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return role, store
			}
			role, _ := open()
			want := plant.Refused{Reading: plant.Reading{Machine: "oven", Signal: "temperature", Value: plant.Integer(7), Time: 1000 * plant.Millisecond}, Kind: plant.KindInteger, Why: "another kind", Seen: 2000 * plant.Millisecond}
			if err := role.aside.SetAside(t.Context(), []plant.Refused{want}); err != nil {
				t.Fatal(err)
			}
			if err := role.close(); err != nil {
				t.Fatal(err)
			}
			role, store := open()
			defer role.close()
			set, err := store.Quarantine(t.Context(), 10)
			if err != nil || len(set) != 1 || set[0].Machine != "oven" || set[0].Value != want.Value || set[0].Why != want.Why {
				t.Errorf("%+v %v", set, err)
			}
		})
	}
}

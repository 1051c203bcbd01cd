package sparkplug

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"linetwin/plant"
)

// A broker that is frozen (the socket is open, nobody reads) must not hold up
// the gateway, and must be noticed.
func TestFrozenBroker(t *testing.T) {
	b := newMosquitto(t, false)
	b.start(t)
	node := newNode(theBirth())
	conn := connection(b.url)
	conn.WriteTimeout = 300 * time.Millisecond
	e, _ := runEdge(t, EdgeConfig{Connection: conn, Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	if err := b.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	batch := theBatch(7)
	batch.Readings[3].Value = plant.Text(strings.Repeat("x", 100_000))
	published := 0
	var err error
	for began := time.Now(); err == nil; published++ {
		before := time.Now()
		err = e.Publish(batch)
		if took := time.Since(before); took > patience/2 {
			t.Errorf("one call took %v", took)
		}
		if time.Since(began) > patience {
			t.Fatal("a frozen broker goes unnoticed")
		}
		batch.Sequence++
	}
	if !errors.Is(err, plant.ErrOffline) {
		t.Errorf("%v, want %v", err, plant.ErrOffline)
	}
	if await(t, "loss", node.linked) {
		t.Error("still linked")
	}
	// What was written but not received must not count as delivered.
	for len(node.acks) > 0 {
		if a := <-node.acks; a.Through > 7 || len(a.Beyond) > 0 {
			t.Errorf("a frozen broker acknowledged %+v", a)
		}
	}
	if err := b.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !await(t, "link", node.linked) {
		t.Error("not linked again")
	}
}

// certificate makes a certificate for 127.0.0.1 that is its own authority.
func certificate(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTLS(t *testing.T) {
	serverCert, serverKey := certificate(t, "broker")
	clientCert, clientKey := certificate(t, "edge")
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	text, err := os.ReadFile(clientCert)
	if err != nil {
		t.Fatal(err)
	}
	clients.AppendCertsFromPEM(text)
	s, err := server.NewServer(&server.Options{ServerName: "test", DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT, TLSTimeout: 5,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("not ready")
	}
	state, err := s.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("tls://127.0.0.1:%d", state.MQTT.Port)
	for _, c := range []struct {
		name, want string
		tls        TLS
	}{
		{"unknown authority", "connect " + url + ": tls: failed to verify certificate: x509: certificate signed by unknown authority", TLS{Cert: clientCert, Key: clientKey}},
		{"another name", "connect " + url + ": tls: failed to verify certificate: x509: certificate is not valid for any names, but wanted to match broker.plant", TLS{CA: serverCert, ServerName: "broker.plant", Cert: clientCert, Key: clientKey}},
		{"no certificate of ours", "remote error: tls: certificate required", TLS{CA: serverCert}},
		{"file missing", "connect " + url + ": read tls.ca: open /nowhere: no such file or directory", TLS{CA: "/nowhere"}},
		{"file without certificates", "connect " + url + ": read tls.ca: " + serverKey + " holds no certificate in PEM", TLS{CA: serverKey}},
	} {
		conn := connection(url)
		conn.TLS = c.tls
		e, stop := runEdge(t, EdgeConfig{Connection: conn}, newNode(theBirth()))
		until(t, c.name+": "+c.want, func() bool { err := e.Err(); return err != nil && strings.Contains(err.Error(), c.want) })
		stop()
	}
	conn := connection(url)
	conn.TLS = TLS{CA: serverCert, Cert: clientCert, Key: clientKey}
	runHost(t, HostConfig{Connection: conn}, newSink())
	node := newNode(theBirth())
	runEdge(t, EdgeConfig{Connection: conn}, node)
	await(t, "link", node.linked)
}

func TestNextBroker(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	conn := connection(fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t)))
	conn.Brokers = append(conn.Brokers, b.url)
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: conn, Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	if err := e.Err(); err != nil {
		t.Errorf("online, and yet %v", err)
	}
}

// However often it is asked, a gateway is born again at most once a second.
func TestManyRebirthRequests(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url), Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	p := newPeer(t, b.url, "host", "spBv1.0/+/NBIRTH/+")
	began := time.Now()
	for range 50 {
		p.publish("spBv1.0/assembly/NCMD/edge-1", appendRebirth(nil, 1))
	}
	await(t, "NBIRTH", p.received)
	if most := 2 + uint64(time.Since(began)/rebirthPause); e.Stats().Births > most {
		t.Errorf("%d births in %v, want at most %d", e.Stats().Births, time.Since(began), most)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	c := EdgeConfig{Area: "a", Gateway: "g", Connection: Connection{User: "u", Password: "hunter2"}}
	if s := fmt.Sprintf("%v %+v %#v %v", c, c, c, faultsError(c.Check())); strings.Contains(s, "hunter2") {
		t.Errorf("the password shows: %s", s)
	}
}

// A host that is not ours must not hear data of a device that it was told is
// dead; what it was told is delivered all the same.
func TestDeadDeviceIsSilent(t *testing.T) {
	b := newNATS(t, false)
	b.start(t)
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url), Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	p := newPeer(t, b.url, "host", "spBv1.0/+/DDATA/+/+", "spBv1.0/+/NDATA/+")
	bad := plant.Reading{Machine: "welding", Signal: "state", Time: t0, Quality: plant.Bad, Reason: "no answer"}
	good := plant.Reading{Machine: "welding", Signal: "state", Time: t0, Value: plant.Integer(1)}
	for i, readings := range [][]plant.Reading{{bad}, {}, {good}} {
		if err := e.Publish(&plant.Batch{Machine: "welding", Sequence: uint64(7 + i), Readings: readings}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Status(&plant.GatewayStatus{Time: t0}); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(p.kinds(2)), "[DDATA welding NDATA]"; got != want {
		t.Errorf("heard %s, want %s", got, want)
	}
	until(t, "all three delivered", func() bool {
		select {
		case a := <-node.acks:
			return a.Through == 9
		default:
			return false
		}
	})
}

// A value of another kind than its signal's in a birth must not change what
// later values are taken for.
func TestOddLastValue(t *testing.T) {
	sink := newSink()
	g := newGateway(offline(t, sink), "assembly", "edge-1")
	e := edgeOf(t)
	d := e.device("m", []plant.Signal{{Name: "state", Kind: plant.KindInteger}})
	g.take(message{kind: kindNBirth, payload: appendSeq(e.appendNBirth(nil, 0, &plant.GatewayBirth{Session: "s"}), 0), session: 1})
	last := []plant.Reading{{Machine: "m", Signal: "state", Time: t0, Value: plant.Text("EXECUTE")}}
	g.take(message{kind: kindDBirth, device: "m", payload: appendSeq(d.appendBirth(appendHead(nil, 1), 1, last), 1), session: 1})
	for i, v := range []plant.Value{plant.Integer(6), plant.Text("HELD"), plant.Float(1.5)} {
		batch := &plant.Batch{Machine: "m", Sequence: uint64(i + 1), Readings: []plant.Reading{{Machine: "m", Signal: "state", Time: t0, Value: v}}}
		g.take(message{kind: kindDData, device: "m", payload: appendSeq(appendBatch(nil, 1, d, batch), uint8(i+2)), session: 1})
		if got := sink.nextBatch(t).Readings[0]; got.Value != v || got.Quality != plant.Good {
			t.Errorf("%v came as %+v", v, got)
		}
	}
}

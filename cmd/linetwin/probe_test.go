package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	vetter "github.com/simonvetter/modbus"

	"linetwin/simulator"
)

// slave is a Modbus device with fixed registers; what is not there is refused.
type slave map[uint16]uint16

func (s slave) HandleHoldingRegisters(r *vetter.HoldingRegistersRequest) ([]uint16, error) {
	if r.IsWrite {
		return nil, errors.New("somebody writes")
	}
	all := make([]uint16, r.Quantity)
	for i := range all {
		v, ok := s[r.Addr+uint16(i)]
		if !ok {
			return nil, vetter.ErrIllegalDataAddress
		}
		all[i] = v
	}
	return all, nil
}

func (s slave) HandleInputRegisters(*vetter.InputRegistersRequest) ([]uint16, error) {
	return nil, vetter.ErrIllegalFunction
}

func (s slave) HandleCoils(r *vetter.CoilsRequest) ([]bool, error) {
	if r.IsWrite {
		return nil, errors.New("somebody writes")
	}
	return make([]bool, r.Quantity), nil
}

func (s slave) HandleDiscreteInputs(*vetter.DiscreteInputsRequest) ([]bool, error) {
	return nil, vetter.ErrIllegalFunction
}

func startSlave(t *testing.T, s slave) (address string) {
	t.Helper()
	address = freePort(t)
	server, err := vetter.NewServer(&vetter.ServerConfiguration{URL: "tcp://" + address, MaxClients: 20, Logger: log.New(io.Discard, "", 0)}, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	return address
}

var press = slave{0: 6, 1: 0, 2: 41000, 3: 12, 9: 1, 10: 0, 11: 0x41C8, 12: 0x999A, 20: 0x4241}

var clock = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}|\d{4}-\d\d-\d\dT[0-9:.]+Z`)

// still takes what differs from run to run out of a text.
func still(text string, addresses ...string) string {
	for i, a := range addresses {
		text = strings.ReplaceAll(text, a, fmt.Sprintf("device-%d:1", i+1))
	}
	return clock.ReplaceAllString(text, "TIME")
}

func TestProbeAddresses(t *testing.T) {
	at := startSlave(t, press)
	for name, args := range map[string][]string{
		"one":   {"holding:10", "float32"},
		"bit":   {"holding:0", "--bit", "1"},
		"coil":  {"coil:3"},
		"count": {"holding:0", "--count", "5"},
		"mixed": {"40001", "holding:10", "float32", "--order", "CDAB", "holding:20", "string", "--length", "2"},
		"input": {"input:0", "int32"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, err := command(t.Context(), append([]string{"probe", "tcp://" + at}, args...)...)
			good := name != "count" && name != "input"
			if (err == nil) != good || err != nil && !strings.Contains(errs, "bad") {
				t.Errorf("got %v, %s", err, errs)
			}
			golden(t, "probe-"+name+".txt", still(out, at)+still(errs, at))
		})
	}
}

func TestProbeRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"found no address":              {"tcp://127.0.0.1:1"},
		"--output: found \"xml\"":       {"tcp://127.0.0.1:1", "holding:0", "--output", "xml"},
		"--count: found 0":              {"tcp://127.0.0.1:1", "holding:0", "--count", "0"},
		"signals[0].type":               {"tcp://127.0.0.1:1", "holding:0", "flaot"},
		"modbus.url: found udp://x":     {"udp://x", "holding:0"},
		"allowed: table or json":        {"tcp://127.0.0.1:1", "holding:0", "--orders", "-o", "csv"},
		"the variable NO_SUCH is":       {"opc.tcp://127.0.0.1:1", "i=1", "--security", "None", "--user", "a", "--password-env", "NO_SUCH"},
		"--user: missing":               {"opc.tcp://127.0.0.1:1", "i=1", "--security", "None", "--password-env", "HOME"},
		"--password-file: open nowhere": {"opc.tcp://127.0.0.1:1", "i=1", "--security", "None", "--user", "a", "--password-file", "nowhere"},
		"no such file":                  {"nowhere.yaml"},
		"has no signal":                 {"../../configs/demo.yaml", "--machine", "nobody"},
		"after the file":                {"../../configs/demo.yaml", "holding:0"},
	} {
		if _, errs, err := command(t.Context(), append([]string{"probe"}, args...)...); err == nil || !strings.Contains(errs, want) {
			t.Errorf("%v: got %q, want %q", args, errs, want)
		}
	}
}

// gatewayFile writes a gateway's settings with these devices.
func gatewayFile(t *testing.T, devices string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := "site: s\narea: a\ngateway: g\nwire: {brokers: [\"tcp://127.0.0.1:1\"]}\ncertificates: " + t.TempDir() + "\n" + devices
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A file's machines, one of them gone, one wrong by a byte order.
func TestProbeFile(t *testing.T) {
	at, gone := startSlave(t, press), freePort(t)
	file := gatewayFile(t, fmt.Sprintf(`
devices:
  - machine: press
    modbus: {url: "tcp://%s"}
    signals:
      - {name: state, address: "holding:0", type: uint16}
      - {name: temperature, address: "holding:10", type: float32, unit: "°C"}
      - {name: missing, address: "holding:4", type: uint16}
  - machine: oven
    modbus: {url: "tcp://%s"}
    signals:
      - {name: state, address: "holding:0", type: uint16}
      - {name: heat, address: "holding:1", type: uint16}
  - machine: saw
    modbus: {url: "tcp://%s", unit: 2}
    signals:
      - {name: state, address: "holding:0", type: uint16}
`, at, gone, at))
	for _, form := range []string{outTable, outJSON, outCSV} {
		out, errs, err := command(t.Context(), "probe", file, "--output", form)
		if err == nil || !strings.Contains(errs, "3 of 6 signals of 3 machines are good, 3 bad") {
			t.Errorf("got %v, %s", err, errs)
		}
		golden(t, "probe-file."+form, still(out, at, gone))
	}
	out, errs, err := command(t.Context(), "probe", file, "--machine", "press,saw", "--signal", "state")
	if err != nil || !strings.Contains(errs, "2 of 2 signals of 2 machines are good") || strings.Contains(out, "temperature") {
		t.Errorf("got %v, %s%s", err, out, errs)
	}
	out, _, _ = command(t.Context(), "probe", file, "--orders", "--signal", "temperature", "-o", "json")
	var rows []struct {
		Hint  string
		Views []struct {
			Order     string
			Value     float64
			Plausible []string
		}
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 || len(rows[0].Views) < 8 || rows[0].Hint == "" {
		t.Errorf("got %v, %s", err, out)
	}
}

// What a file's devices do not need may be missing; a password that they need
// may not, and its name is never sent in its place.
func TestProbeWithoutSecrets(t *testing.T) {
	at := startSlave(t, press)
	file := gatewayFile(t, fmt.Sprintf(`
devices:
  - machine: press
    modbus: {url: "tcp://%s"}
    signals: [{name: state, address: "holding:0", type: uint16}]
  - machine: oven
    opcua: {url: "opc.tcp://127.0.0.1:1", security: None, user: {name: a, password: "${env:NO_SUCH_VARIABLE}"}}
    signals: [{name: heat, node: "i=2258", type: datetime}]
`, at))
	if _, errs, err := command(t.Context(), "probe", file); err == nil || !strings.Contains(errs, "password of machine oven is not here") {
		t.Errorf("got %v, %s", err, errs)
	}
	if out, errs, err := command(t.Context(), "probe", file, "--machine", "press"); err != nil {
		t.Errorf("got %v, %s%s", err, out, errs)
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, began: time.Now()}
	p.tell("machine %d of %d", 1, 12) // too early
	p.began = p.began.Add(-patience)
	p.tell("machine %d of %d (压机)", 10, 12)
	p.tell("at once")
	p.told = time.Time{}
	p.tell("short")
	p.done()
	if got, want := b.String(), "\rmachine 10 of 12 (压机)\rshort"+strings.Repeat(" ", 18)+"\r"+strings.Repeat(" ", 5)+"\r"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if q := (&app{stderr: &b}).progress(); q.w != nil {
		t.Error("progress is told to what is no terminal")
	}
}

// Told to stop, it stops, and says what it has.
func TestProbeInterrupted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Read(make([]byte, 12))
		cancel()
		io.Copy(io.Discard, conn)
	}()
	out, errs, err := command(ctx, "probe", "tcp://"+l.Addr().String(), "holding:0", "--timeout", "1m")
	if err == nil || !strings.Contains(errs, "interrupted: 0 of 1 signals are good") || !strings.Contains(out, "holding:0") {
		t.Errorf("got %v, %s%s", err, out, errs)
	}
}

// startPlant runs a simulated plant in this process, and gives the URL of its
// OPC UA server.
func startPlant(t *testing.T) string {
	t.Helper()
	p, err := simulator.New(simulator.Config{OPCUA: "127.0.0.1:0", Modbus: "127.0.0.1:0", Continuous: true, Folder: t.TempDir(), Seed: 1, Speed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	select {
	case <-p.Ready():
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	for _, e := range p.Endpoints() {
		if strings.HasPrefix(e.URL, "opc.tcp://") {
			return e.URL
		}
	}
	t.Fatal("no OPC UA server")
	return ""
}

func TestProbeAndBrowseServer(t *testing.T) {
	url := startPlant(t)
	pki := filepath.Join(t.TempDir(), "pki")
	const secure = "Basic256Sha256/SignAndEncrypt"
	t.Run("offers", func(t *testing.T) {
		out, errs, err := command(t.Context(), "probe", url)
		if err != nil || !strings.Contains(out, secure) || !strings.Contains(out, "anonymous name") || !strings.Contains(errs, "--security") {
			t.Errorf("got %v, %s%s", err, out, errs)
		}
	})
	t.Run("security must be chosen", func(t *testing.T) {
		for _, args := range [][]string{{"probe", url, "i=2258"}, {"browse", url}} {
			if _, errs, err := command(t.Context(), args...); err == nil || !strings.Contains(errs, "--security: missing; this server offers: None, Basic256Sha256/Sign") {
				t.Errorf("got %v, %s", err, errs)
			}
		}
	})
	t.Run("what is not offered", func(t *testing.T) {
		out, _, err := command(t.Context(), "probe", url, "--security", "Aes128_Sha256_RsaOaep/Sign", "--certificates", pki, "i=2258")
		if err == nil || !strings.Contains(out, "does not offer Aes128_Sha256_RsaOaep/Sign, only") {
			t.Errorf("got %v, %s", err, out)
		}
	})
	t.Run("nodes", func(t *testing.T) {
		out, _, err := command(t.Context(), "probe", url, "--security", "None", "i=2258", "nsu=urn:linetwin:simulator;s=A.Calibration.State", "-o", "json")
		var rows []map[string]any
		if err != nil || json.Unmarshal([]byte(out), &rows) != nil || rows[0]["sent"] != "datetime" || rows[1]["sent"] != "int32" || rows[1]["status"] != "Good" || rows[1]["time"] == nil {
			t.Errorf("got %v, %s", err, out)
		}
	})
	t.Run("trust", func(t *testing.T) {
		args := []string{"probe", url, "--security", secure, "--certificates", pki, "i=2258"}
		out, _, err := command(t.Context(), args...)
		trust := regexp.MustCompile(`linetwin (trust --certificates \S+ [0-9a-f]{16})`).FindStringSubmatch(out)
		if err == nil || trust == nil || !strings.Contains(out, "SHA-256") {
			t.Fatalf("got %v, %s", err, out)
		}
		if _, errs, err := command(t.Context(), strings.Fields(trust[1])...); err != nil {
			t.Fatalf("%s: %v, %s", trust[1], err, errs)
		}
		if out, _, err := command(t.Context(), args...); err != nil {
			t.Errorf("got %v, %s", err, out)
		}
	})
	t.Run("browse and check", func(t *testing.T) { browseAndCheck(t, url, pki, secure) })
	t.Run("filter", func(t *testing.T) {
		out, errs, err := command(t.Context(), "browse", url, "--security", "None", "--filter", "CALIB.*temp", "-o", "csv")
		if err != nil || strings.Count(out, "\r\n") != 3 || !strings.Contains(errs, "2 variables") {
			t.Errorf("got %v, %s%s", err, out, errs)
		}
		if _, errs, err := command(t.Context(), "browse", url, "--security", "None", "--filter", "[nothing"); err == nil || !strings.Contains(errs, "no variable was found") {
			t.Errorf("got %v, %s", err, errs)
		}
	})
	t.Run("limit", func(t *testing.T) {
		out, errs, err := command(t.Context(), "browse", url, "--security", "None", "--limit", "5")
		if err != nil || strings.Count(out, "- {name") != 5 || !strings.Contains(out, "# cut: there are more than 5 variables") || !strings.Contains(errs, "cut") {
			t.Errorf("got %v, %s%s", err, out, errs)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		if _, errs, err := command(ctx, "browse", url, "--security", "None"); err == nil || !strings.Contains(errs, "interrupted") {
			t.Errorf("got %v, %s", err, errs)
		}
	})
	t.Run("interrupted in between", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out := &stopper{word: "- {name", stop: cancel}
		var errs bytes.Buffer
		err := run(ctx, []string{"browse", url, "--security", "None"}, out, &errs)
		if n := strings.Count(out.String(), "- {name"); err == nil || n == 0 || n >= 85 || !strings.Contains(out.String(), "# partial: interrupted after") {
			t.Errorf("got %v, %d signals, %s%s", err, n, out.String(), errs.String())
		}
		if out, errs, err := command(t.Context(), "check", gatewayFile(t, out.String())); err != nil {
			t.Errorf("what was found is no settings: %v, %s%s", err, out, errs)
		}
	})
}

// stopper stops what writes to it once a word has come.
type stopper struct {
	bytes.Buffer
	word string
	stop func()
}

func (s *stopper) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(s.word)) {
		s.stop()
	}
	return s.Buffer.Write(b)
}

// browseAndCheck puts what browse wrote into a gateway's file as it is: check
// accepts it, and every signal in it can be read.
func browseAndCheck(t *testing.T, url, pki, security string) {
	devices, _, err := command(t.Context(), "browse", url, "--security", security, "--certificates", pki, "--machine", "plant")
	if err != nil || strings.Count(devices, "- {name") < 80 {
		t.Fatalf("got %v, %s", err, devices)
	}
	file := gatewayFile(t, devices)
	if out, errs, err := command(t.Context(), "check", file); err != nil {
		t.Fatalf("got %v, %s%s", err, out, errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^certificates: .*$`).ReplaceAll(text, []byte("certificates: "+pki))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, err := command(t.Context(), "probe", file); err != nil {
		t.Errorf("got %v, %s%s", err, out, errs)
	}
}

package modbus

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Servers and slaves by others hold what testdata/peer.* say.

func TestAgainstNPM(t *testing.T) {
	folder := os.Getenv("LINETWIN_NPM_TESTS")
	if folder == "" {
		t.Skip("LINETWIN_NPM_TESTS names no folder with npm's modbus-serial@8.0.25 installed")
	}
	t.Run("tcp", func(t *testing.T) {
		address := freeAddress(t)
		_, port, _ := net.SplitHostPort(address)
		foreign(t, "tcp://"+address, exec.Command("node", "testdata/peer.js", folder, "tcp", port))
	})
	t.Run("rtu", func(t *testing.T) {
		far, path := cable(t)
		foreign(t, "rtu://"+path+"?baud=115200", exec.Command("node", "testdata/peer.js", folder, "rtu", far))
	})
}

func TestAgainstPymodbus(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if out, err := exec.Command(python, "-c", "import pymodbus, serial").CombinedOutput(); err != nil {
		t.Skipf("Debian's python3-pymodbus and python3-serial are not installed: %v %s", err, bytes.TrimSpace(out))
	}
	for _, kind := range []string{"rtu", "ascii"} {
		t.Run(kind, func(t *testing.T) {
			far, path := cable(t)
			foreign(t, kind+"://"+path+"?baud=115200&data_bits=8", exec.Command(python, "testdata/peer.py", kind, far))
		})
	}
}

// cable joins two terminals, and gives both their ends.
func cable(t *testing.T) (one, other string) {
	t.Helper()
	a, one := newPTY(t)
	b, other := newPTY(t)
	var wg sync.WaitGroup
	pass := func(from, to *os.File) {
		buf := make([]byte, 1024)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			to.Write(buf[:n])
		}
	}
	wg.Go(func() { pass(a, b) })
	wg.Go(func() { pass(b, a) })
	t.Cleanup(func() { a.Close(); b.Close(); wg.Wait() })
	return one, other
}

// foreign reads everything from a server that cmd runs.
func foreign(t *testing.T, url string, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Skip("cannot run it here:", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("it said: %s", &said)
		}
	})
	cfg := Config{URL: url, Timeout: time.Second}
	line, err := NewLine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var all []*Device
	for cfg.Unit = 1; cfg.Unit <= 2; cfg.Unit++ {
		all = append(all, newDevice(t, cfg, line,
			register("first", 0), Signal{Name: "temperature", Address: "40011", Type: "float32"},
			Signal{Name: "input", Address: "input:7", Type: "uint16"}, Signal{Name: "wide", Address: "holding:20", Type: "uint32", Order: "CDAB"},
			Signal{Name: "on", Address: "coil:9"}, Signal{Name: "off", Address: "coil:10"}, Signal{Name: "far", Address: "coil:99"},
			Signal{Name: "switch", Address: "discrete:4"}, register("last", 499), register("gone", 500)))
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = all[0].Connect(t.Context()); err == nil {
			if _, err = all[0].Poll(t.Context(), nil); err == nil {
				break
			}
		}
		if all[0].Close(); time.Now().After(end) {
			t.Fatal(err)
		}
	}
	for range 3 {
		for _, d := range all {
			got := poll(t, connect(t, d))
			for name, want := range map[string]string{
				"first": "1000", "temperature": "123.45600128173828", "input": "60007", "wide": fmt.Sprint(1021<<16 | 1020), "on": "true", "off": "false",
				"far": "true", "switch": "true", "last": "1499", "gone": "bad: " + exceptions[2],
			} {
				if value(got[name]) != want {
					t.Errorf("%s reads %s, want %s", name, value(got[name]), want)
				}
			}
		}
	}
	if n := all[0].Connects(); n == 0 {
		t.Error("no connection was counted")
	}
}

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"linetwin/configs"
	"linetwin/plant"
	"linetwin/simulator"
)

// hearer is a host that notes what it hears of each machine.
type hearer struct {
	receiver
	mu      sync.Mutex
	births  map[string]plant.DeviceBirth
	heard   map[string]map[string]int // machine, signal: good readings
	broken  []string                  // claims that do not follow the one before
	through map[string]plant.Time
	last    plant.GatewayStatus
}

func (h *hearer) Birth(b plant.GatewayBirth) {
	h.receiver.Birth(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range b.Devices {
		h.births[d.Machine] = d
	}
}

func (h *hearer) Status(s plant.GatewayStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = s
}

func (h *hearer) Batch(b *plant.Batch) {
	h.receiver.Batch(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.heard[b.Machine] == nil {
		h.heard[b.Machine] = map[string]int{}
	}
	if was, ok := h.through[b.Machine]; ok && was != b.Complete.From {
		h.broken = append(h.broken, b.Machine)
	}
	h.through[b.Machine] = b.Complete.To
	for i := range b.Readings {
		if b.Readings[i].Quality == plant.Good {
			h.heard[b.Machine][b.Readings[i].Signal]++
		}
	}
}

func (h *hearer) status() plant.GatewayStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// flows waits until a signal gives something new.
func (h *hearer) flows(t *testing.T, machine, signal string) {
	t.Helper()
	count := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.heard[machine][signal]
	}
	from := count()
	eventually(t, signal+" of "+machine+" arrives", func() bool { return count() >= from+2 })
}

// TestGatewayReload edits a gateway's settings while it runs as a process.
func TestGatewayReload(t *testing.T) {
	folder := t.TempDir()
	bulk, err := simulator.Bulk(simulator.BulkConfig{Signals: 10, Every: 50 * time.Millisecond, Folder: filepath.Join(folder, "bulk")})
	if err != nil {
		t.Fatal(err)
	}
	running(t, bulk.Run)
	<-bulk.Ready()
	broker := launchMosquitto(t)
	h := &hearer{births: map[string]plant.DeviceBirth{}, heard: map[string]map[string]int{}, through: map[string]plant.Time{}}
	h.runAs(t, broker, "linetwin", h)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}

	opcua, modbus := bulk.URLs()
	device := func(machine string, signals ...string) map[string]any {
		d := map[string]any{"machine": machine, "every": "100ms"}
		var list []any
		for i, s := range signals {
			if machine == "server" {
				list = append(list, map[string]any{"name": s, "node": bulk.Node(i), "type": "uint32"})
			} else {
				_, address := bulk.Address(i)
				list = append(list, map[string]any{"name": s, "address": address, "type": "uint16"})
			}
		}
		d["signals"] = list
		if machine == "server" {
			d["opcua"] = map[string]any{"url": opcua, "security": "None", "mode": "subscribe", "publishing": "100ms"}
		} else {
			d["modbus"] = map[string]any{"url": modbus, "timeout": "10s"}
		}
		return d
	}
	file := filepath.Join(folder, "gateway.yaml")
	settings := func(keepAlive string, devices ...any) {
		t.Helper()
		write(t, file+".new", map[string]any{
			"site": "test", "area": "assembly", "gateway": "edge-1", "devices": devices, "certificates": filepath.Join(folder, "pki"),
			"wire":   map[string]any{"brokers": []string{"tcp://" + broker}, "keep_alive": keepAlive},
			"buffer": map[string]any{"folder": filepath.Join(folder, "buffer")},
		})
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	same, server := device("same", "value"), device("server", "value")
	settings("10s", same, server, device("other", "value"))
	g := spawn(t, "gateway", path, "gateway", file)
	for _, m := range []string{"same", "server", "other"} {
		h.flows(t, m, "value")
	}

	// One machine gets a signal.
	settings("10s", same, server, device("other", "value", "new"))
	h.flows(t, "other", "new")
	g.says(`msg="settings are taken"`)
	g.says(`added=[] changed=[other] removed=[] unchanged=2`)

	// A file that is wrong, in two places, and one that wants a restart.
	if err := os.WriteFile(file, []byte(strings.Replace(mustRead(t, file), "type: uint16", "type: word", 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status tells what is wrong", func() bool { return strings.Count(h.status().SettingsError, ".type: found word") == 2 })
	for _, want := range []string{file + ":", "devices[0].signals[0].type: found word, allowed: bool"} {
		if got := h.status().SettingsError; !strings.Contains(got, want) {
			t.Errorf("status %q lacks %q", got, want)
		}
		g.says(want)
	}
	settings("20s", same, server)
	eventually(t, "the status tells of the restart", func() bool {
		return strings.Contains(h.status().SettingsError, "a restart is needed to change wire.keep_alive;")
	})
	h.flows(t, "same", "value")
	h.flows(t, "other", "new")

	// A machine is taken out, another one comes.
	settings("10s", same, server, device("more", "value"))
	h.flows(t, "more", "value")
	eventually(t, "the machine is gone", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return !h.births["other"].Online
	})
	eventually(t, "the status is without an error", func() bool {
		s := h.status()
		return s.SettingsError == "" && len(s.Devices) == 3 && !slices.ContainsFunc(s.Devices, func(d plant.DeviceStatus) bool { return d.Machine == "other" })
	})

	// Asked by a signal, it reads the file although it is the same.
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.says(`added=[] changed=[] removed=[] unchanged=3`)
	h.flows(t, "same", "value")
	h.flows(t, "server", "value")
	for _, d := range h.status().Devices {
		if d.Failures != 0 || d.Connects != 1 && d.Machine != "more" {
			t.Errorf("device %+v", d)
		}
	}
	h.mu.Lock()
	if slices.Contains(h.broken, "same") || slices.Contains(h.broken, "server") {
		t.Errorf("claims do not follow each other: %v", h.broken)
	}
	h.mu.Unlock()
	if s := h.host.Stats(); s.Births != 1 || s.Gaps != 0 || s.Unresolved != 0 {
		t.Errorf("wire %+v", s)
	}
	if err := g.end(syscall.SIGTERM); err != nil {
		t.Errorf("end: %v", err)
	}
}

// TestGatewayKeepsSettingsAsRead: what the parts make of the settings is no
// change of the file.
func TestGatewayKeepsSettingsAsRead(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "gateway.yaml")
	write(t, file, map[string]any{
		"site": "test", "area": "assembly", "gateway": "edge-1", "certificates": filepath.Join(folder, "pki"),
		"wire":   map[string]any{"brokers": []string{"tcp://127.0.0.1:1"}, "acknowledge": "broker"},
		"buffer": map[string]any{"folder": filepath.Join(folder, "buffer")},
		"devices": []any{map[string]any{"machine": "tester", "modbus": map[string]any{"url": "tcp://127.0.0.1:1"},
			"signals": []any{map[string]any{"name": "value", "address": "holding:0", "type": "uint16"}}}},
	})
	read := func() *configs.Gateway {
		t.Helper()
		cfg, err := configs.LoadGateway(file)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	running := read()
	if running.Wire.Hold() <= running.Delivery.Resend {
		t.Fatalf("held for %v, sent again after %v: nothing to change", running.Wire.Hold(), running.Delivery.Resend)
	}
	if _, err := newGateway(running, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if keys := running.NeedsRestart(read()); len(keys) > 0 {
		t.Errorf("the same file differs in %v", keys)
	}
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

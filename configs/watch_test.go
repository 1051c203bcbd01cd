package configs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatch writes files as editors and tools do: each change is told, once it
// is whole, and nothing else.
func TestWatch(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(file, text string) { must(os.WriteFile(file, []byte(text), 0o600)) }
	beside := func(file string) string { return filepath.Join(filepath.Dir(file), ".new") }
	for _, c := range []struct {
		name   string
		atomic bool                      // there is never anything but old and new
		before func(folder, file string) // makes the file with "old"
		change func(folder, file string) // makes it hold "new"
	}{
		{"renamed over", true, nil, func(_, f string) { write(beside(f), "new"); must(os.Rename(beside(f), f)) }},
		{"truncated, then written in steps", false, nil, func(_, f string) {
			out, err := os.OpenFile(f, os.O_WRONLY|os.O_TRUNC, 0)
			must(err)
			for _, part := range []string{"n", "e", "w"} {
				time.Sleep(settled / 4) // no wait for anything: a slow writer
				_, err = out.WriteString(part)
				must(err)
			}
			must(out.Close())
		}},
		{"kept aside and written anew", false, nil, func(_, f string) { must(os.Rename(f, f+"~")); write(f, "new") }},
		{"removed and written anew", false, nil, func(_, f string) { must(os.Remove(f)); write(f, "new") }},
		{"links of a ConfigMap", true, func(folder, f string) {
			must(os.Mkdir(filepath.Join(folder, "..1"), 0o700))
			write(filepath.Join(folder, "..1", "gateway.yaml"), "old")
			must(os.Symlink("..1", filepath.Join(folder, "..data")))
			must(os.Symlink(filepath.Join("..data", "gateway.yaml"), f))
		}, func(folder, _ string) {
			must(os.Mkdir(filepath.Join(folder, "..2"), 0o700))
			write(filepath.Join(folder, "..2", "gateway.yaml"), "new")
			must(os.Symlink("..2", filepath.Join(folder, "..data_tmp")))
			must(os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
			must(os.RemoveAll(filepath.Join(folder, "..1")))
		}},
		{"a link to another folder", false, func(folder, f string) {
			must(os.Mkdir(filepath.Join(folder, "real"), 0o700))
			write(filepath.Join(folder, "real", "g.yaml"), "old")
			must(os.Symlink(filepath.Join(folder, "real", "g.yaml"), f))
		}, func(folder, _ string) { write(filepath.Join(folder, "real", "g.yaml"), "new") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			file := filepath.Join(folder, "gateway.yaml")
			if c.before == nil {
				write(file, "old")
			} else {
				c.before(folder, file)
			}
			told := watched(t, file, MarkOf(file))
			// Neither a neighbour nor the same text again is a change: what is told
			// first is the change.
			write(filepath.Join(folder, "other.yaml"), "x")
			if c.before == nil {
				write(beside(file), "old")
				must(os.Rename(beside(file), file))
			}
			c.change(folder, file)
			got := <-told
			for !c.atomic && got != "new" {
				got = <-told // a writer that was held up for long
			}
			if got != "new" {
				t.Errorf("told of %q, want new", got)
			}
		})
	}
}

// watched gives what the file holds each time when a change is told.
func watched(t *testing.T, file string, seen Mark) <-chan string {
	told, ended := make(chan string, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		Watch(ctx, file, seen, func() {
			raw, _ := os.ReadFile(file)
			told <- string(raw)
		}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return told
}

func TestWatchTellsWhatChangedBeforeItBegan(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-watched(t, file, "the mark of what was read"); got != "new" {
		t.Errorf("told of %q", got)
	}
}

func TestNeedsRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := `{site: s, area: a, gateway: g, wire: {brokers: ["tcp://h:1883"], user: u, password: p}, devices: [
  {machine: m, modbus: {url: "tcp://h:502"}, signals: [{name: n, address: "holding:0", type: int16}]},
  {machine: o, modbus: {url: "tcp://h:502"}, signals: [{name: n, address: "holding:0", type: int16}]}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(change func(g *Gateway)) *Gateway {
		g, err := LoadGateway(file)
		if err != nil {
			t.Fatal(err)
		}
		change(g)
		return g
	}
	same := load(func(*Gateway) {})
	for _, c := range []struct {
		want   string
		change func(g *Gateway)
	}{
		{"[]", func(*Gateway) {}},
		{"[]", func(g *Gateway) { g.Devices = g.Devices[:1]; g.Version = "v9" }},
		{"[gateway]", func(g *Gateway) { g.Gateway, g.Config.Gateway, g.Wire.Gateway = "x", "x", "x" }},
		{"[wire.brokers wire.password wire.tls.ca]", func(g *Gateway) {
			g.Wire.Brokers = append([]string{"tcp://x:1"}, g.Wire.Brokers...)
			g.Wire.Password, g.Wire.TLS.CA = "other", "ca.pem"
		}},
		{"[area buffer.max_bytes certificates delivery.heartbeat site]", func(g *Gateway) {
			g.Site, g.Area, g.Certificates, g.Buffer.MaxBytes, g.Delivery.Heartbeat = "x", "x", "x", 1<<21, time.Minute
		}},
	} {
		if got := fmt.Sprint(same.NeedsRestart(load(c.change))); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/connectors/sparkplug"
	"linetwin/plant"
)

// The benchmarks of this package measure the program as it is shipped: roles
// are processes of their own, and each runs once (-benchtime 1x), for as long
// as its figures need. docs/performance.md tells what the figures mean.

// scope is a part of a benchmark that ends on its own.
type scope struct {
	testing.TB
	ends []func()
}

// Cleanup has f called at the part's end.
func (s *scope) Cleanup(f func()) { s.ends = append(s.ends, f) }

// TempDir gives a folder that goes with the part.
func (s *scope) TempDir() string {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			s.Error(err)
		}
	})
	return folder
}

func (s *scope) end() {
	for _, f := range slices.Backward(s.ends) {
		f()
	}
}

// child is a process of a benchmark.
type child struct {
	cmd *exec.Cmd
	log *lockedBuffer
}

// launch starts a program that is killed at the benchmark's end. env is added
// to the environment.
func launch(b testing.TB, env []string, path string, args ...string) *child {
	b.Helper()
	c := &child{cmd: exec.Command(path, args...), log: &lockedBuffer{}}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		b.Fatalf("start %s: %v", path, err)
	}
	b.Cleanup(func() {
		_ = c.cmd.Process.Kill() // fails only where it has ended
		_ = c.cmd.Wait()
		if b.Failed() {
			b.Logf("last words of %s %s:\n%s", filepath.Base(path), strings.Join(args, " "), tail(c.log.String(), 4000))
		}
	})
	return c
}

// end sends a signal and waits until the process is gone.
func (c *child) end(b testing.TB, sig os.Signal) {
	b.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		b.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		b.Fatalf("%s: %v\n%s", c.cmd.Path, err, tail(c.log.String(), 4000))
	}
}

// cpu gives the time for which all threads of a process have run. It is what
// utime and stime of /proc/PID/stat add up to, without their steps of 10 ms.
// The Go runtime ends no thread, so none is missing.
func (c *child) cpu(b testing.TB) time.Duration {
	b.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		b.Fatalf("no schedstat of %s: %v\n%s", c.cmd.Path, err, tail(c.log.String(), 4000))
	}
	var sum int64
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		ran, _, _ := strings.Cut(string(raw), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			b.Fatalf("%s: %q", f, raw)
		}
		sum += ns
	}
	return time.Duration(sum)
}

// memory gives a process's resident memory now and at its greatest, in MB of
// 1,000,000 bytes.
func (c *child) memory(b testing.TB) (now, most float64) {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch key {
		case "VmRSS":
			now = kib * 1024 / 1e6
		case "VmHWM":
			most = kib * 1024 / 1e6
		}
	}
	if now == 0 || most == 0 {
		b.Fatalf("no memory of %s in\n%s", c.cmd.Path, raw)
	}
	return now, most
}

// program gives the path of the program, built as it is shipped.
func program(b testing.TB) string {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	return path
}

// until waits until ok.
func until(b testing.TB, what string, ok func() bool) {
	b.Helper()
	for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("still not: %s", what)
		}
	}
}

// freeAddress gives a loopback address where nobody listens.
func freeAddress(b testing.TB) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// write writes a settings file.
func write(b testing.TB, path string, settings any) {
	b.Helper()
	raw, err := yaml.Dump(settings)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		b.Fatal(err)
	}
}

// launchMosquitto starts a broker of its own process and gives its address.
func launchMosquitto(b testing.TB) string {
	b.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path = "/usr/sbin/mosquitto"; !executable(path) {
			b.Skip("no mosquitto found: apt-get install mosquitto")
		}
	}
	address := freeAddress(b)
	_, port, _ := net.SplitHostPort(address)
	file := filepath.Join(b.TempDir(), "mosquitto.conf")
	// Without nodelay every second message waits 40 ms for a delayed
	// acknowledgement of TCP (Nagle's algorithm in the broker).
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n", port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	launch(b, nil, path, "-c", file)
	until(b, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return address
}

// running runs jobs until the benchmark's end.
func running(b testing.TB, jobs ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, job := range jobs {
		group.Go(func() {
			if err := job(ctx); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		})
	}
	b.Cleanup(func() {
		cancel()
		group.Wait()
	})
}

// receiver is a host that acknowledges at once. It notes how old each batch is
// when it arrives, and hands statuses on.
type receiver struct {
	host     *sparkplug.Host
	statuses chan plant.GatewayStatus // at most one a second and gateway

	silent bool                      // acknowledges nothing, beside another host
	source func(machine string) bool // whose batches' ages count from the newest reading, not from when the look began

	mu       sync.Mutex
	sessions map[string]string
	measures bool
	readings int64
	ages     map[string][]float64 // by machine: ms from when the look began to here
}

// run runs the receiver on a broker, as the host of that id.
func (r *receiver) run(b testing.TB, broker, host string) {
	b.Helper()
	r.runAs(b, broker, host, r)
}

// runAs runs the host with another sink, which hands on to r what it likes.
func (r *receiver) runAs(b testing.TB, broker, host string, sink sparkplug.Sink) {
	b.Helper()
	r.statuses, r.sessions = make(chan plant.GatewayStatus, 1024), map[string]string{}
	var err error
	r.host, err = sparkplug.NewHost(sparkplug.HostConfig{
		Site: "bench", Host: host, Connection: sparkplug.Connection{Brokers: []string{"tcp://" + broker}},
	}, sink, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	running(b, r.host.Run)
}

// measure begins anew to count and to note ages, or ends it.
func (r *receiver) measure(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.measures = on; on {
		r.readings, r.ages = 0, map[string][]float64{}
	}
}

// noted gives what was measured.
func (r *receiver) noted() (readings int64, ages map[string][]float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readings, r.ages
}

// Birth implements sparkplug.Sink.
func (r *receiver) Birth(b plant.GatewayBirth) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[b.Gateway] = b.Session
}

// Death implements sparkplug.Sink.
func (r *receiver) Death(string, string, plant.Time) {}

// Status implements sparkplug.Sink.
func (r *receiver) Status(s plant.GatewayStatus) {
	select {
	case r.statuses <- s:
	default: // nobody measures
	}
}

// Batch implements sparkplug.Sink.
func (r *receiver) Batch(p *plant.Batch) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.measures && len(p.Readings) > 0 {
		r.readings += int64(len(p.Readings))
		from := p.Complete.To
		if r.source(p.Machine) {
			from = 0
			for i := range p.Readings {
				from = max(from, p.Readings[i].Time)
			}
		}
		age := now.Sub(from.Std())
		r.ages[p.Machine] = append(r.ages[p.Machine], float64(age.Microseconds())/1000)
	}
	if r.silent {
		return
	}
	_ = r.host.Acknowledge(plant.Acknowledgement{Gateway: p.Gateway, Session: r.sessions[p.Gateway], Through: p.Sequence})
}

// quantile gives the least value that a share q of the values does not exceed
// (nearest rank).
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return -1
	}
	return s[min(len(s)-1, max(0, int(q*float64(len(s))+0.999999)-1))]
}

package main

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"linetwin/plant"
	"linetwin/simulator"
)

// Times of BenchmarkCut.
const (
	cutBefore = 10 * time.Second
	cutLasts  = 15 * time.Second
	cutAfter  = 10 * time.Second // live, once the backlog has drained
	cutKilled = 2 * time.Second  // the gateway is away in the middle of the cut
)

// BenchmarkCut takes the broker away for 15 s while 100,000 readings a second
// are made, with the settings as shipped; once more with the gateway killed and
// started again in the middle. Everything that was read is there once at the
// end, and what comes live meanwhile is as young as ever.
func BenchmarkCut(b *testing.B) {
	for _, kill := range []bool{false, true} {
		name := "cut"
		if kill {
			name = "kill"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				benchCut(b, kill)
			}
		})
	}
}

func benchCut(bench *testing.B, kill bool) {
	b := &scope{TB: bench}
	defer b.end()
	folder := b.TempDir()
	w := workload{"modbus", 100_000, 100, 10, time.Second}
	bulk, err := simulator.Bulk(simulator.BulkConfig{Signals: w.signals, Every: w.every / 2, Folder: filepath.Join(folder, "bulk"), NoOPCUA: true, Servers: w.servers})
	if err != nil {
		b.Fatal(err)
	}
	running(b, bulk.Run)
	<-bulk.Ready()
	broker := freeAddress(b)
	up := mosquittoAt(b, broker)
	k := newKeeper()
	k.runAs(b, broker, "linetwin", k)
	until(b, "the host is online", k.host.Online)
	file := filepath.Join(folder, "gateway.yaml")
	write(b, file, bulkSettings(bulk, folder, broker, w))
	g := launch(b, nil, program(b), "gateway", file)
	until(b, "data flows", func() bool { return flows(k.status(), w.machines) })

	k.phase(0)
	time.Sleep(cutBefore)
	k.phase(-1)
	up.end(b, syscall.SIGTERM)
	if kill {
		time.Sleep(cutLasts/2 - cutKilled/2)
		k.killed = plant.At(time.Now())
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		time.Sleep(cutKilled)
		g = launch(b, nil, program(b), "gateway", file)
		time.Sleep(cutLasts/2 - cutKilled/2)
	} else {
		time.Sleep(cutLasts)
	}
	mosquittoAt(b, broker)
	k.phase(1)
	until(b, "the backlog has drained", k.drained)
	k.phase(2)
	time.Sleep(cutAfter)
	g.end(b, syscall.SIGTERM)
	until(b, "all that was sent has come", func() bool { return time.Since(k.last()) > 2*time.Second })
	k.report(bench, w)
}

// mosquittoAt starts a broker at an address, with nothing but the defaults.
func mosquittoAt(b testing.TB, address string) *child {
	b.Helper()
	path := "/usr/sbin/mosquitto"
	if !executable(path) {
		b.Skip("no mosquitto found: apt-get install mosquitto")
	}
	_, port, _ := net.SplitHostPort(address)
	file := filepath.Join(b.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n", port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	c := launch(b, nil, path, "-c", file)
	until(b, "mosquitto listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return c
}

// sequenced is a batch of a gateway's session.
type sequenced struct {
	session string
	number  uint64
}

// keeper is a host that acknowledges at once, and keeps which looks it was told
// of, each batch once.
type keeper struct {
	receiver

	kept     sync.Mutex
	now      int // part of the benchmark
	latest   plant.GatewayStatus
	looks    map[string]map[plant.Time]int // by machine and time of reading: readings
	taken    map[sequenced]bool
	stored   map[string]plant.Spans // by session: numbers, as [n, n+1)
	repeated int                    // batches
	ages     [3][]float64           // of live batches, ms, by part
	backlog  int                    // readings that came as backlog
	first    time.Time              // backlog came
	drains   []time.Duration        // from first on, at each batch of backlog
	came     time.Time              // the last batch
	killed   plant.Time             // when the gateway was killed, if it was
	skipped  map[plant.Time]uint64  // looks that a gateway, by its start, left out
}

func newKeeper() *keeper {
	return &keeper{
		looks: map[string]map[plant.Time]int{}, taken: map[sequenced]bool{},
		stored: map[string]plant.Spans{}, skipped: map[plant.Time]uint64{}, now: -1,
	}
}

// Status implements sparkplug.Sink.
func (k *keeper) Status(s plant.GatewayStatus) {
	k.kept.Lock()
	defer k.kept.Unlock()
	k.latest = s
	k.skipped[s.Started] = 0
	for _, d := range s.Devices {
		k.skipped[s.Started] += d.Skipped + d.Failures
	}
}

// Birth implements sparkplug.Sink.
func (k *keeper) Birth(b plant.GatewayBirth) {
	k.receiver.Birth(b)
	k.kept.Lock()
	defer k.kept.Unlock()
	s := k.stored[b.Session]
	s.Add(plant.Span{To: plant.Time(b.First)})
	k.stored[b.Session] = s
}

// Batch implements sparkplug.Sink.
func (k *keeper) Batch(b *plant.Batch) {
	now := time.Now()
	k.receiver.mu.Lock()
	session := k.receiver.sessions[b.Gateway]
	k.receiver.mu.Unlock()
	k.kept.Lock()
	defer k.kept.Unlock()
	k.came = now
	if b.Historical {
		if k.first.IsZero() {
			k.first = now
		}
		k.backlog += len(b.Readings)
		k.drains = append(k.drains, now.Sub(k.first))
	} else if k.now >= 0 && len(b.Readings) > 0 {
		k.ages[k.now] = append(k.ages[k.now], float64(now.Sub(b.Complete.To.Std()).Microseconds())/1000)
	}
	if id := (sequenced{session, b.Sequence}); k.taken[id] {
		k.repeated++
	} else {
		k.taken[id] = true
		m := k.looks[b.Machine]
		if m == nil {
			m = map[plant.Time]int{}
			k.looks[b.Machine] = m
		}
		// A look is one batch. What a killed process had sent comes again under
		// another number, and history has it once.
		in := map[plant.Time]int{}
		for i := range b.Readings {
			in[b.Readings[i].Time]++
		}
		for at, n := range in {
			m[at] = max(m[at], n)
		}
	}
	_ = k.host.Acknowledge(k.acknowledgement(b.Gateway, session, b.Sequence))
}

// acknowledgement is that of everything which came of a session, up to number.
func (k *keeper) acknowledgement(gateway, session string, number uint64) plant.Acknowledgement {
	s := k.stored[session]
	s.Add(plant.Span{From: plant.Time(number), To: plant.Time(number) + 1})
	k.stored[session] = s
	a := plant.Acknowledgement{Gateway: gateway, Session: session, Through: uint64(s[0].To) - 1}
	for _, r := range s[1:min(len(s), 33)] {
		a.Beyond = append(a.Beyond, plant.Range{First: uint64(r.From), Last: uint64(r.To) - 1})
	}
	return a
}

func (k *keeper) status() plant.GatewayStatus {
	k.kept.Lock()
	defer k.kept.Unlock()
	return k.latest
}

func (k *keeper) phase(n int) {
	k.kept.Lock()
	defer k.kept.Unlock()
	k.now = n
	if n < 0 {
		k.backlog, k.first, k.drains = 0, time.Time{}, nil
	}
}

func (k *keeper) last() time.Time {
	k.kept.Lock()
	defer k.kept.Unlock()
	return k.came
}

// backlogCame gives how many readings came as backlog.
func (k *keeper) backlogCame() int {
	k.kept.Lock()
	defer k.kept.Unlock()
	return k.backlog
}

// drained tells whether backlog came, and then none for a while.
func (k *keeper) drained() bool {
	k.kept.Lock()
	defer k.kept.Unlock()
	return len(k.drains) > 0 && time.Since(k.first)-k.drains[len(k.drains)-1] > 2*time.Second
}

// report holds what came against what was to be read: each machine is looked at
// each second, and each look has all its signals.
func (k *keeper) report(b *testing.B, w workload) {
	k.kept.Lock()
	defer k.kept.Unlock()
	readings, torn, missing := 0, 0, 0
	longest := time.Duration(0)
	for _, looks := range k.looks {
		times := slices.Sorted(maps.Keys(looks))
		for i, at := range times {
			readings += looks[at]
			if i == 0 {
				continue
			}
			gap := at.Sub(times[i-1])
			longest = max(longest, gap)
			if times[i-1] < k.killed && at >= k.killed {
				continue // it was down, or starting
			}
			// The looks after the first are on a grid: the second may come so soon
			// that not all has changed.
			if looks[at] != w.signals/w.machines && gap >= w.every*3/4 {
				torn++
			}
			missing += max(int((gap+w.every/2)/w.every)-1, 0)
		}
		if k.killed != 0 {
			i, _ := slices.BinarySearch(times, k.killed)
			missing += max(int((k.killed.Sub(times[i-1])-w.every/2)/w.every), 0)
		}
	}
	skipped := 0
	for _, n := range k.skipped {
		skipped += int(n)
	}
	for session, s := range k.stored {
		if len(s) != 1 || s[0].From != 0 {
			b.Errorf("batches of session %s are missing: %v came", session, s)
		}
	}
	b.Logf("%d looks are not whole, %d are not there; the gateway tells of %d that failed or were left out", torn, missing, skipped)
	if d := k.latest.Dropped; d > 0 || k.latest.BufferError != "" {
		b.Errorf("gateway dropped %d readings: %s", d, k.latest.BufferError)
	}
	took := k.drains[len(k.drains)-1].Seconds()
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(float64(readings), "readings")
	b.ReportMetric(float64(max(missing-skipped, 0)*w.signals/w.machines), "lost")
	b.ReportMetric(float64(skipped), "looks-left-out")
	b.ReportMetric(float64(k.repeated), "batches-twice-on-the-wire")
	b.ReportMetric(longest.Seconds(), "longest-gap-s")
	b.ReportMetric(float64(k.backlog), "backlog")
	b.ReportMetric(float64(k.backlog)/took, "drain/s")
	b.ReportMetric(float64(k.backlog)/took/(float64(w.signals)/w.every.Seconds()), "drain-to-live")
	for i, name := range []string{"before", "draining", "after"} {
		b.ReportMetric(quantile(k.ages[i], 0.5), "live-"+name+"-p50-ms")
		b.ReportMetric(quantile(k.ages[i], 0.99), "live-"+name+"-p99-ms")
	}
}

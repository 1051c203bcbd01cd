package gateway

import (
	"runtime"
	"testing"
	"time"

	"linetwin/plant"
)

func benchBuffer(b *testing.B, cfg Config) *buffer {
	b.Helper()
	q, err := openBuffer(cfg, quiet())
	if err != nil {
		b.Fatal(err)
	}
	return q
}

// BenchmarkAppendCommit is the way of readings to the synced disk: numbered,
// written to the tail, encoded, committed each MiB in memory.
func BenchmarkAppendCommit(b *testing.B) {
	cfg := testConfig(b.TempDir())
	cfg.Buffer.MaxBytes = 64 << 20
	q := benchBuffer(b, cfg)
	batches := machineLike(1000)
	var space []byte
	readings := 0
	for b.Loop() {
		for i := range batches {
			one := batches[i]
			q.append(&one, false)
			readings += len(one.Readings)
			if i%64 == 63 {
				space = q.flushTail(q.disk.enc, space)
			}
			if q.disk.hurry() {
				if err := q.disk.commit(time.Now(), false); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
	if err := q.close(); err != nil {
		b.Fatal(err)
	}
}

// big fills a folder with about bytes of backlog and gives the readings in it.
func big(b *testing.B, cfg Config, bytes int64) int {
	b.Helper()
	q := benchBuffer(b, cfg)
	batches := machineLike(5000)
	readings := 0
	for q.stored < bytes {
		for i := range batches {
			one := batches[i]
			q.append(&one, false)
			readings += len(one.Readings)
			if i%1000 == 999 {
				if err := q.disk.commit(time.Now(), false); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	if err := q.close(); err != nil {
		b.Fatal(err)
	}
	return readings
}

// BenchmarkDrain is the codec's and the buffer's work on a backlog of batches
// of about five readings: choose, read, decode, account. No wire, no limit of
// rate, no deleting.
func BenchmarkDrain(b *testing.B) {
	cfg := testConfig(b.TempDir())
	readings := 0
	for b.Loop() {
		b.StopTimer()
		n := big(b, cfg, 1<<20)
		q := benchBuffer(b, cfg)
		q.linked(true)
		p := &publisher{buffer: q, cfg: cfg, log: quiet(), backlog: make(chan sending)}
		d := &drainer{publisher: p, pack: q.disk.pack, paid: time.Now()}
		b.StartTimer()
		for sent := uint64(0); ; {
			c, ok := q.candidate(cfg.Delivery.Window)
			if !ok {
				break
			}
			if err := d.load(c); err != nil {
				b.Fatal(err)
			}
			q.sent(c.number, len(d.batch.Readings))
			if sent++; sent%8 == 0 {
				q.acknowledge(plant.Acknowledgement{Through: c.number})
			}
			if sent%10_000 == 0 {
				q.disk.settle()
			}
		}
		readings += n
		b.StopTimer()
		q.acknowledge(plant.Acknowledgement{Through: q.next - 1})
		if err := q.close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
}

// BenchmarkBigBacklog opens a buffer of 200 MB and tells what it keeps in
// memory, with a window in flight.
func BenchmarkBigBacklog(b *testing.B) {
	cfg := testConfig(b.TempDir())
	readings := big(b, cfg, 200<<20)
	var before, after runtime.MemStats
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		q := benchBuffer(b, cfg)
		b.StopTimer()
		q.linked(true)
		d := &drainer{publisher: &publisher{buffer: q, cfg: cfg}, pack: q.disk.pack}
		for {
			c, ok := q.candidate(cfg.Delivery.Window)
			if !ok {
				break
			}
			if err := d.load(c); err != nil {
				b.Fatal(err)
			}
			q.sent(c.number, 1)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/1e6, "heap-MB")
		b.ReportMetric(float64(len(q.blocks)), "blocks")
		b.ReportMetric(float64(q.stored)/float64(readings), "B/reading")
		if q.waiting != uint64(readings) {
			b.Fatalf("%d of %d readings", q.waiting, readings)
		}
		if err := q.close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkPoll is a round of 100 signals of which 20 changed: filtered, made a
// batch, numbered and queued.
func BenchmarkPoll(b *testing.B) {
	source := newSource()
	d := Device{Machine: "press", Source: source}
	var r plant.Round
	for i := range 100 {
		name := "signal-" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		d.Signals = append(d.Signals, plant.Signal{Name: name, Kind: plant.KindFloat})
		r.Readings = append(r.Readings, plant.Reading{Signal: name, Value: plant.Float(0)})
	}
	g, err := New(testConfig(b.TempDir()), []Device{d}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		r.Through = start.Add(time.Duration(n) * time.Millisecond)
		for i := range 20 {
			r.Readings[i].Value = plant.Float(float64(n))
		}
		g.devices[0].take(r, time.Now())
		if n%1000 == 0 {
			g.buffer.acknowledge(plant.Acknowledgement{Through: g.buffer.next - 1})
		}
	}
	b.ReportMetric(float64(n*100)/b.Elapsed().Seconds(), "readings/s")
}

package opcua

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

const benchSignals = 1000

func benchDevice(b *testing.B, cfg Config) (*testServer, *Device) {
	b.Helper()
	s := useServer(b)
	signals := make([]Signal, benchSignals)
	for i := range signals {
		s.space.set(fmt.Sprintf("i=%d", 1000+i), float64(i))
		signals[i] = Signal{Name: fmt.Sprintf("s%d", i), Node: nsu(fmt.Sprintf("i=%d", 1000+i)), Type: "float64"}
	}
	return s, connected(b, s, cfg, signals...)
}

// cpu gives the processor time that this process, the server included, has
// taken.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPoll reads 1,000 signals a round. The server runs in this process
// and takes more of the time than the client.
func BenchmarkPoll(b *testing.B) {
	_, d := benchDevice(b, Config{Batch: 500})
	var into []plant.Reading
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		r, err := d.Poll(b.Context(), into[:0])
		if err != nil || len(r.Readings) != benchSignals {
			b.Fatal(err, len(r.Readings))
		}
		into = r.Readings
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N*benchSignals)*1e6, "cpu-s/Mreading")
}

// BenchmarkClient is the client's share of a round of 1,000 signals: an answer
// of two messages is decoded and stamped, without a network.
func BenchmarkClient(b *testing.B) {
	d := benchClient(b)
	now := time.Now()
	res := &ua.ReadResponse{ResponseHeader: header(&ua.ReadRequest{RequestHeader: &ua.RequestHeader{}}, 0)}
	for i := range benchSignals / 2 {
		dv := &ua.DataValue{Value: ua.MustVariant(float64(i)), SourceTimestamp: now, ServerTimestamp: now}
		dv.UpdateMask()
		res.Results = append(res.Results, dv)
	}
	body, err := ua.Encode(res)
	if err != nil {
		b.Fatal(err)
	}
	message := append([]byte{1, 0, 0x7A, 0x02}, body...) // ReadResponse, i=634
	into := make([]plant.Reading, 0, benchSignals)
	b.ReportAllocs()
	for b.Loop() {
		d.stamper.begin(plant.At(time.Now()), true)
		into = into[:0]
		for half := range 2 {
			got, err := decodeMessage(message)
			if err != nil {
				b.Fatal(err)
			}
			for i, dv := range got.(*ua.ReadResponse).Results {
				d.targets[half*benchSignals/2+i].data = dv
			}
		}
		for i := range d.signals {
			into = d.tell(into, i)
		}
		d.stamper.claimed(d.stamper.bound)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*benchSignals)*1e6, "s/Mreading")
}

// BenchmarkReport is the client's share of a subscription: a report of 1,000
// changes is stamped; it was decoded as BenchmarkClient's answers are.
func BenchmarkReport(b *testing.B) {
	d := benchClient(b)
	n := note{}
	for i := range benchSignals {
		n.items = append(n.items, &ua.MonitoredItemNotification{ClientHandle: uint32(i) + 1, Value: &ua.DataValue{Value: ua.MustVariant(float64(i))}})
	}
	into := make([]plant.Reading, 0, benchSignals)
	s := &session{}
	b.ReportAllocs()
	for b.Loop() {
		now := time.Now()
		n.server, n.at = now, now
		for _, item := range n.items {
			item.Value.SourceTimestamp = now
		}
		into, _ = d.report(s, &feed{}, &n, into[:0])
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*benchSignals)*1e6, "s/Mreading")
}

func benchClient(b *testing.B) *Device {
	signals := make([]Signal, benchSignals)
	for i := range signals {
		signals[i] = Signal{Name: fmt.Sprintf("s%d", i), Node: fmt.Sprintf("ns=2;i=%d", 1000+i), Type: "float64"}
	}
	d, err := New("m", time.Second, Config{URL: "opc.tcp://127.0.0.1", Security: "None"}, signals, quiet(), nil)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkSubscribe has 1,000 signals change and counts until all changes
// came. The server runs in this process and takes more of the time than the
// client.
func BenchmarkSubscribe(b *testing.B) {
	s, d := benchDevice(b, Config{Mode: ModeSubscribe, Publishing: 10 * time.Millisecond, Sampling: 10 * time.Millisecond, Batch: 500})
	var into []plant.Reading
	take := func(want int) {
		for got := 0; got < want; {
			r, err := d.Poll(b.Context(), into[:0])
			if err != nil {
				b.Fatal(err)
			}
			into = r.Readings
			got += len(r.Readings)
			if len(r.Readings) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	take(benchSignals)
	before, n := cpu(b), 0
	for b.Loop() {
		n++
		for i := range benchSignals {
			s.space.set(fmt.Sprintf("i=%d", 1000+i), float64(n*benchSignals+i))
		}
		take(benchSignals * 9 / 10) // the server's queue of 1 may merge changes
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N*benchSignals)*1e6, "cpu-s/Mreading")
}

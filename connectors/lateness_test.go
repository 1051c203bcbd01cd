package connectors

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"linetwin/connectors/modbus"
	"linetwin/plant"
)

// echoing serves Modbus TCP on port 0 until the test ends: every register
// holds its address. It takes a millisecond for a request, as a PLC does.
func echoing(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				request, answer := make([]byte, 12), make([]byte, 0, 260)
				for {
					if _, err := io.ReadFull(conn, request); err != nil {
						return
					}
					time.Sleep(time.Millisecond)
					at, n := binary.BigEndian.Uint16(request[8:]), binary.BigEndian.Uint16(request[10:])
					answer = append(append(answer[:0], request[:8]...), byte(2*n))
					binary.BigEndian.PutUint16(answer[4:], 3+2*n)
					for i := range n {
						answer = binary.BigEndian.AppendUint16(answer, at+i)
					}
					conn.Write(answer)
				}
			})
		}
	})
	b.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// timed notes when each look begins.
type timed struct {
	Device
	began time.Time
}

func (d *timed) Poll(ctx context.Context, into []plant.Reading) (plant.Round, error) {
	d.began = time.Now()
	return d.Device.Poll(ctx, into)
}

// BenchmarkLateness looks at 60 Modbus devices behind 10 endpoints each 10 to
// 100 ms for five seconds, and tells how long after their time on the grid
// looks began and were done; with looks spread over the interval as they are,
// and with all of one endpoint at the same instant.
func BenchmarkLateness(b *testing.B) {
	for _, c := range []struct {
		name   string
		spread bool
	}{{"spread", true}, {"together", false}} {
		b.Run(c.name, func(b *testing.B) {
			var cfgs []Config
			for endpoint := range 10 {
				address := echoing(b)
				for unit := range 6 {
					cfg := Config{Machine: fmt.Sprintf("m-%d-%d", endpoint, unit), Every: time.Duration(10*(endpoint+1)) * time.Millisecond,
						Modbus: &modbus.Config{URL: "tcp://" + address, Unit: unit + 1, Timeout: 5 * time.Second}}
					for i := range 50 {
						cfg.Signals = append(cfg.Signals, Signal{Name: fmt.Sprintf("s%d", i), Address: fmt.Sprintf("holding:%d", i), Type: "uint16"})
					}
					cfgs = append(cfgs, cfg)
				}
			}
			all, err := Open(cfgs, Options{})
			if err != nil {
				b.Fatal(err)
			}
			var began, done []float64
			for b.Loop() {
				late, over := lateness(b, all, c.spread)
				began, done = append(began, late...), append(done, over...)
			}
			for _, s := range all {
				s.Close()
			}
			slices.Sort(began)
			slices.Sort(done)
			for _, m := range []struct {
				name string
				of   []float64
				q    float64
			}{{"late-p50-ms", began, 0.5}, {"late-p99-ms", began, 0.99}, {"done-p50-ms", done, 0.5}, {"done-p99-ms", done, 0.99}} {
				b.ReportMetric(m.of[int(m.q*float64(len(m.of)-1))], m.name)
			}
			b.ReportMetric(float64(len(began))/b.Elapsed().Seconds(), "looks/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// lateness looks at all devices for five seconds, and gives in milliseconds
// how late each look but the first began and was done.
func lateness(b *testing.B, all []*Supervisor, spread bool) (began, done []float64) {
	ctx, cancel := context.WithCancel(b.Context())
	defer time.AfterFunc(5*time.Second, cancel).Stop()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, s := range all {
		if !spread {
			s.grid.phase = 0
		}
		s.grid.next = time.Time{}
		d := &timed{Device: s.device}
		s.device = d
		wg.Go(func() {
			var late, over []float64
			var into []plant.Reading
			for {
				planned := s.grid.next
				round, err := s.Next(ctx, into[:0])
				if err != nil {
					break
				}
				if into = round.Readings; !planned.IsZero() {
					late = append(late, float64(d.began.Sub(planned))/1e6)
					over = append(over, float64(time.Since(planned))/1e6)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			began, done = append(began, late...), append(done, over...)
		})
	}
	wg.Wait()
	for _, s := range all {
		if st := s.Status(); st.Failures > 0 {
			b.Errorf("%+v", st)
		}
	}
	return began, done
}

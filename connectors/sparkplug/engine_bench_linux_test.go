package sparkplug

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/rules"
	"linetwin/twin"
)

// nowhere is a history that takes everything at once and keeps nothing: what a
// store costs is measured by itself.
type nowhere struct{}

func (nowhere) Write(context.Context, []*plant.Batch) error { return nil }
func (nowhere) Record(context.Context, string, []string, plant.Span) (plant.Record, error) {
	return plant.Record{}, nil
}
func (nowhere) Before(context.Context, string, []string, plant.Time) ([]plant.Reading, error) {
	return nil, nil
}
func (nowhere) Chart(context.Context, string, string, plant.Span, int) ([]plant.Bucket, error) {
	return nil, nil
}

const engineMachines = 10

// engineSite is a line of ten machines, each with ten rules.
func engineSite(b *testing.B) (twin.Config, rules.Config) {
	l := twin.LineConfig{ID: "line", Calendar: "all", Bottleneck: "m0", Product: "P"}
	p := twin.ProductConfig{ID: "P", IdealCycle: map[string]time.Duration{}}
	for i := range engineMachines {
		id := fmt.Sprintf("m%d", i)
		l.Flow = append(l.Flow, id)
		p.IdealCycle[id] = 2 * time.Second
		l.Machines = append(l.Machines, twin.MachineConfig{ID: id, Roles: map[plant.Role]string{
			plant.RoleState: "signal_00", plant.RoleGood: "signal_05", plant.RoleReject: "signal_10", plant.RoleFault: "signal_15"}})
	}
	cfg := twin.Config{Site: "site", Zone: "Asia/Shanghai", Products: []twin.ProductConfig{p}, Areas: []twin.AreaConfig{{ID: "assembly", Lines: []twin.LineConfig{l}}},
		Calendars: map[string]plant.Calendar{"all": {Shifts: []plant.Shift{{Name: "all", Start: "00:00", Length: 24 * time.Hour}}}}}
	if faults := cfg.Check(); len(faults) > 0 {
		b.Fatal(faults)
	}
	var r rules.Config
	most := 1e9
	for i := range 10 {
		r.Limits = append(r.Limits, rules.Limit{ID: fmt.Sprintf("r%d", i), Signal: fmt.Sprintf("signal_%02d", 20+3*i), Above: &most, For: time.Second})
	}
	return cfg, r
}

// engine is a host whose sink is a twin, with a gateway that was born.
type engine struct {
	gateway  *gateway
	devices  []*edgeDevice
	clock    atomic.Int64
	sequence uint64
	looks    int64
}

func newEngine(b *testing.B) *engine {
	e := &engine{}
	e.clock.Store(int64(t0))
	cfg, limits := engineSite(b)
	ledger, err := sqlite.OpenLedger(b.Context(), b.TempDir()+"/ledger.db")
	if err != nil {
		b.Fatal(err)
	}
	t, err := twin.New(cfg, twin.Options{History: nowhere{}, Ledger: ledger, Rules: limits, Log: quiet(), Clock: func() time.Time { return plant.Time(e.clock.Load()).Std() }})
	if err != nil {
		b.Fatal(err)
	}
	h, err := NewHost(HostConfig{Connection: connection("tcp://127.0.0.1:1")}, t, quiet())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- t.Run(ctx, h) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		_ = ledger.Close()
	})
	edge := edgeOf(b)
	birth, _ := fifty()
	signals := birth.Devices[0].Signals
	birth.Devices = nil
	for i := range engineMachines {
		birth.Devices = append(birth.Devices, plant.DeviceBirth{Machine: fmt.Sprintf("m%d", i), Online: true, Signals: signals})
	}
	e.gateway = newGateway(h, "assembly", "edge-1")
	e.gateway.take(message{kind: kindNBirth, payload: appendSeq(edge.appendNBirth(nil, 0, &birth), 0), session: 1})
	for i := range birth.Devices {
		d := edge.device(birth.Devices[i].Machine, signals)
		e.devices = append(e.devices, d)
		e.gateway.take(message{kind: kindDBirth, device: birth.Devices[i].Machine, payload: appendSeq(d.appendBirth(appendHead(nil, 1), 1, nil), uint8(i+1)), session: 1})
	}
	return e
}

// payloads encodes what ten machines say in so many looks, one each second:
// fifty readings each, a stop once in ten minutes.
func (e *engine) payloads(looks int) [][]byte {
	var all [][]byte
	_, batch := fifty()
	for range looks {
		e.looks++
		at := t0.Add(time.Duration(e.looks) * time.Second)
		for i, d := range e.devices {
			e.sequence++
			batch.Machine, batch.Sequence, batch.Complete = fmt.Sprintf("m%d", i), e.sequence, plant.Span{From: at.Add(-time.Second), To: at}
			for j := range batch.Readings {
				r := &batch.Readings[j]
				r.Machine, r.Time = batch.Machine, at
				switch j {
				case 0:
					r.Value = plant.Integer(6)
					if e.looks%600 < 60 {
						r.Value = plant.Integer(11)
					}
				case 5:
					r.Value = plant.Integer(e.looks / 2)
				case 10, 15:
					r.Value = plant.Integer(e.looks / 600)
				}
			}
			all = append(all, appendBatch(nil, uint64(at.Milli()), d, batch))
		}
	}
	return all
}

// processTime is the CPU time that the process has used.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEngine is a line of ten machines with ten rules each, from the bytes
// of DDATA messages to states, pieces, OEE each second and alerts, on what
// cores it is given. Only the broker before it and the store behind it are left
// out.
func BenchmarkEngine(b *testing.B) {
	const looks = 600
	e := newEngine(b)
	readings := 0
	var machines []string
	for i := range e.devices {
		machines = append(machines, fmt.Sprintf("m%d", i))
	}
	var before, after runtime.MemStats
	var allocs uint64
	var used time.Duration
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		all := e.payloads(looks)
		e.clock.Store(int64(t0.Add(time.Duration(e.looks) * time.Second)))
		runtime.ReadMemStats(&before)
		began := processTime(b)
		b.StartTimer()
		for i, p := range all {
			e.gateway.take(message{kind: kindDData, device: machines[i%engineMachines], payload: p, session: 1})
		}
		b.StopTimer()
		used += processTime(b) - began
		runtime.ReadMemStats(&after)
		allocs += after.Mallocs - before.Mallocs
		readings += 50 * len(all)
		b.StartTimer()
	}
	if n := e.gateway.host.Stats().Readings; n != uint64(readings) {
		b.Fatalf("%d readings of %d", n, readings)
	}
	b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
	b.ReportMetric(float64(readings)/used.Seconds(), "readings/CPU-s") // says more where others use the cores
	b.ReportMetric(float64(allocs)/float64(readings), "allocs/reading")
}

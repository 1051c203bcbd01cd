package modbus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	vetter "github.com/simonvetter/modbus"

	"linetwin/plant"
)

func register(name string, at int) Signal {
	return Signal{Name: name, Address: fmt.Sprintf("holding:%d", at), Type: "uint16"}
}

func newDevice(t testing.TB, cfg Config, line *Line, signals ...Signal) *Device {
	t.Helper()
	d, err := New("press", cfg, signals, line)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func connect(t testing.TB, d *Device) *Device {
	t.Helper()
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// poll gives a round's readings by signal.
func poll(t testing.TB, d *Device) map[string]plant.Reading {
	t.Helper()
	round, err := d.Poll(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]plant.Reading{}
	for _, r := range round.Readings {
		if r.Time != round.Through || r.Time%plant.Millisecond != 0 || r.Machine != "press" {
			t.Errorf("reading %+v in a round through %v", r, round.Through)
		}
		if _, twice := got[r.Signal]; twice {
			t.Errorf("%s read twice", r.Signal)
		}
		got[r.Signal] = r
	}
	if len(got) != len(d.Signals()) {
		t.Errorf("%d signals read, want %d", len(got), len(d.Signals()))
	}
	return got
}

// value gives a reading in short: its value, or why there is none.
func value(r plant.Reading) string {
	if r.Quality != plant.Good {
		return r.Quality.String() + ": " + r.Reason
	}
	return r.Value.String()
}

func TestPollReadsAllTables(t *testing.T) {
	s := newSlave(t)
	s.set(0, 7, 0xFFFE, 0xE666, 0x42F6, 0x8000)
	s.set(20, 0x4E42, 0x312D, 0x3633, 0)
	s.input[3] = 42
	s.coils[9] = true
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address, Unit: 5}, nil,
		register("state", 0),
		Signal{Name: "offset", Address: "40002", Type: "int16", Scale: ptr(0.5)},
		Signal{Name: "temperature", Address: "holding:2", Type: "float32", Order: "CDAB", Unit: "°C"},
		Signal{Name: "door", Address: "holding:4", Type: "bool", Bit: ptr(15)},
		Signal{Name: "product", Address: "holding:20", Type: "string", Length: 8},
		Signal{Name: "count", Address: "input:3", Type: "uint16", Counter: 16},
		Signal{Name: "lamp", Address: "coil:9"}, Signal{Name: "horn", Address: "00011"},
		Signal{Name: "switch", Address: "discrete:0"}))
	got := poll(t, d)
	for name, want := range map[string]string{
		"state": "7", "offset": "-1", "temperature": "123.44999694824219", "door": "true", "product": "NB1-63",
		"count": "42", "lamp": "true", "horn": "false", "switch": "bad: " + exceptions[1],
	} {
		if value(got[name]) != want {
			t.Errorf("%s reads %s, want %s", name, value(got[name]), want)
		}
	}
	if signals := d.Signals(); signals[2] != (plant.Signal{Name: "temperature", Kind: plant.KindFloat, Unit: "°C"}) || signals[5].Counter != 16 {
		t.Errorf("signals %+v", signals)
	}
	if want := "tcp://" + s.address + " unit 5"; d.Endpoint() != want {
		t.Errorf("endpoint %s, want %s", d.Endpoint(), want)
	}
	if asked := s.asked(); len(asked) != 2 || asked[0].UnitId != 5 || asked[0].Quantity != 5 || asked[1].Quantity != 4 {
		t.Errorf("asked %+v, want two requests of 5 and 4 registers to unit 5", asked)
	}
}

func TestIllegalAddressIsFoundOnceAndRemembered(t *testing.T) {
	s := newSlave(t)
	s.illegal[37] = true
	var signals []Signal
	for i := range 100 {
		s.set(uint16(i), uint16(1000+i))
		signals = append(signals, register(fmt.Sprintf("r%d", i), i))
	}
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, signals...))
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	d.now = func() time.Time { return now }
	check := func(bad string) {
		t.Helper()
		for name, r := range poll(t, d) {
			want := fmt.Sprintf("1%03s", strings.TrimPrefix(name, "r"))
			if name == bad {
				want = "bad: " + exceptions[2]
			}
			if value(r) != want {
				t.Errorf("%s reads %s, want %s", name, value(r), want)
			}
		}
	}
	check("r37")
	if n := len(s.asked()); n > 20 {
		t.Errorf("finding it took %d requests, want a bisection", n)
	}
	check("r37")
	split := len(s.asked())
	if split > 8 {
		t.Errorf("%d requests once it is known", split)
	}
	now = now.Add(59 * time.Second)
	check("r37")
	if n := len(s.asked()); n != split {
		t.Errorf("%d requests before the retry is due, want %d", n, split)
	}
	now = now.Add(2 * time.Second)
	check("r37")
	if n := len(s.asked()); n != split+1 {
		t.Errorf("%d requests when the retry is due, want %d", n, split+1)
	}
	s.mu.Lock()
	delete(s.illegal, 37)
	s.mu.Unlock()
	now = now.Add(61 * time.Second)
	check("")
	s.asked()
	check("")
	if n := len(s.asked()); n != 1 {
		t.Errorf("%d requests after it came back, want the one of the plan", n)
	}
}

func TestDeviceThatReadsFewRegistersAtOnce(t *testing.T) {
	s := newSlave(t)
	s.limit = 16
	var signals []Signal
	for i := range 100 {
		s.set(uint16(i), uint16(i))
		signals = append(signals, register(fmt.Sprintf("r%d", i), i))
	}
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, signals...))
	for range 2 {
		for name, r := range poll(t, d) {
			if "r"+value(r) != name {
				t.Errorf("%s reads %s", name, value(r))
			}
		}
	}
}

func TestHoleInAGapHurtsNobody(t *testing.T) {
	s := newSlave(t)
	s.illegal[2] = true
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, register("a", 0), register("b", 4)))
	for name, r := range poll(t, d) {
		if value(r) != "0" {
			t.Errorf("%s reads %s", name, value(r))
		}
	}
}

func TestDeviceThatRefusesAllIsStillInTime(t *testing.T) {
	s := newSlave(t)
	s.fault = vetter.ErrIllegalDataAddress
	var signals []Signal
	for i := range 100 {
		signals = append(signals, register(fmt.Sprintf("r%d", i), i))
	}
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, signals...))
	for range 10 {
		for name, r := range poll(t, d) {
			if value(r) != "bad: "+exceptions[2] {
				t.Errorf("%s reads %s", name, value(r))
			}
		}
		if n := len(s.asked()); n > 2*splitsPerPoll {
			t.Errorf("%d requests in one poll", n)
		}
	}
	if poll(t, d); len(s.asked()) != 0 {
		t.Error("a device that refuses all is still asked in each poll")
	}
}

func TestExceptions(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  error
		reason string // of the readings
		failed string // the whole poll fails with this
	}{
		{"device failure", vetter.ErrServerDeviceFailure, exceptions[4], ""},
		{"busy", vetter.ErrServerDeviceBusy, exceptions[6], ""},
		{"parity", vetter.ErrMemoryParityError, exceptions[8], ""},
		{"no path", vetter.ErrGWPathUnavailable, "", "read holding 0 to 0 of unit 1: " + exceptions[10]},
		{"unit silent", vetter.ErrGWTargetFailedToRespond, "", "read holding 0 to 0 of unit 1: " + exceptions[11]},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSlave(t)
			s.fault = c.fault
			d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil, register("a", 0)))
			round, err := d.Poll(t.Context(), nil)
			if c.failed != "" {
				if err == nil || err.Error() != c.failed || len(round.Readings) != 0 {
					t.Errorf("round %+v, error %v, want %s", round, err, c.failed)
				}
				return
			}
			if err != nil || len(round.Readings) != 1 || round.Readings[0].Reason != c.reason || round.Readings[0].Quality != plant.Bad {
				t.Fatalf("round %+v, error %v", round, err)
			}
			s.mu.Lock()
			s.fault = nil
			s.mu.Unlock()
			if r := poll(t, d)["a"]; value(r) != "0" {
				t.Errorf("after the exception it reads %s", value(r))
			}
		})
	}
}

// TestUnitsShareOneConnection: many units polled at the same time over one
// line, one of them dead behind the gateway, read what is theirs.
func TestUnitsShareOneConnection(t *testing.T) {
	s := newSlave(t)
	s.deadUnit = 3
	for i := range 8 {
		s.set(uint16(i), uint16(100+i))
	}
	cfg := Config{URL: "tcp://" + s.address, Timeout: 5 * time.Second}
	line, err := NewLine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for unit := 1; unit <= 5; unit++ {
		cfg.Unit = unit
		d := connect(t, newDevice(t, cfg, line, register("a", unit)))
		wg.Go(func() {
			for range 50 {
				round, err := d.Poll(t.Context(), nil)
				if unit == 3 {
					if err == nil {
						t.Error("the dead unit answers")
					}
					continue
				}
				if err != nil || len(round.Readings) != 1 || round.Readings[0].Value != plant.Integer(int64(100+unit)) {
					t.Errorf("unit %d: %+v, %v", unit, round, err)
				}
			}
		})
	}
	wg.Wait()
	if line.users != 5 {
		t.Errorf("%d users of the line", line.users)
	}
}

func TestLineClosesWithItsLastDevice(t *testing.T) {
	s := newSlave(t)
	cfg := Config{URL: "tcp://" + s.address}
	line, err := NewLine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := connect(t, newDevice(t, cfg, line, register("a", 0)))
	b := connect(t, newDevice(t, cfg, line, register("b", 0)))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	poll(t, b)
	if _, err := a.Poll(t.Context(), nil); err == nil {
		t.Error("a closed device reads")
	}
	b.Close()
	if line.carrier.(*tcp).conn != nil {
		t.Error("the line is open without a device")
	}
}

func TestNewRefusesFaults(t *testing.T) {
	if _, err := New("press", Config{URL: "tcp://a"}, []Signal{{Name: "a", Address: "holding:0", Type: "x"}}, nil); err == nil || !strings.Contains(err.Error(), "signals[0].type") {
		t.Errorf("error %v, want one that names the setting", err)
	}
	if _, err := New("press", Config{URL: "a"}, nil, nil); err == nil || !strings.Contains(err.Error(), "url") {
		t.Errorf("error %v, want one that names the setting", err)
	}
}

func TestPollEndsWithItsContext(t *testing.T) {
	s := newSlave(t)
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address, Timeout: time.Minute}, nil, register("a", 0)))
	s.delay = 200 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(20*time.Millisecond, cancel)
	defer timer.Stop()
	began := time.Now()
	if _, err := d.Poll(ctx, nil); err == nil {
		t.Error("no error from a poll that was called off")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	s.mu.Lock()
	s.delay = 0
	s.mu.Unlock()
	if r := poll(t, d)["a"]; value(r) != "0" {
		t.Errorf("the next poll reads %s", value(r))
	}
}

func BenchmarkPoll(b *testing.B) {
	s := newSlave(b)
	var signals []Signal
	for i := range 1000 {
		s.set(uint16(i), uint16(i))
		signals = append(signals, register(fmt.Sprintf("r%d", i), i))
	}
	d := connect(b, newDevice(b, Config{URL: "tcp://" + s.address}, nil, signals...))
	into := make([]plant.Reading, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		s.requests = s.requests[:0]
		round, err := d.Poll(b.Context(), into[:0])
		if err != nil || len(round.Readings) != 1000 {
			b.Fatal(err)
		}
	}
}

// quiet answers every request at once from one buffer, so that what a poll
// itself costs can be measured.
type quiet struct{}

func (q *quiet) open(context.Context) error { return nil }
func (q *quiet) ready() bool                { return true }
func (q *quiet) close(bool) error           { return nil }
func (q *quiet) exchange(_ context.Context, _ time.Time, request, into []byte) ([]byte, error) {
	n := copy(into, request[:8])
	size := 2 * int(request[11])
	into[4], into[5], into[n] = 0, byte(3+size), byte(size)
	return into[:n+1+size], nil
}

// BenchmarkPoll10000Registers measures plan, library and decoding without a
// network: 10,000 registers in 80 requests.
func BenchmarkPoll10000Registers(b *testing.B) {
	var signals []Signal
	for i := range 10000 {
		signals = append(signals, register(fmt.Sprintf("r%d", i), i))
	}
	tcpLine, err := NewLine(Config{URL: "tcp://127.0.0.1:502"})
	if err != nil {
		b.Fatal(err)
	}
	line := newLine("quiet", &quiet{}, tcpLine.packager)
	d := connect(b, newDevice(b, Config{URL: "tcp://127.0.0.1:502"}, line, signals...))
	into := make([]plant.Reading, 0, 10000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Poll(b.Context(), into[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

package modbus

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// TestLyingDevice: whatever a device answers, a poll gives the right value or
// an error, and the poll after it, once the device tells the truth again, the
// right value.
func TestLyingDevice(t *testing.T) {
	hang := func(net.Conn, []byte, []byte) {}
	for _, c := range []struct {
		name   string
		lie    func(conn net.Conn, request, right []byte)
		reason string // of the error; empty when the answer is right after all
	}{
		{"silent", hang, "no answer within"},
		{"half an answer", func(c net.Conn, _, right []byte) { c.Write(right[:10]) }, "no answer within"},
		{"half a header", func(c net.Conn, _, right []byte) { c.Write(right[:3]) }, "no answer within"},
		{"hangs up", func(c net.Conn, _, _ []byte) { c.Close() }, "closed the connection"},
		{"half, then hangs up", func(c net.Conn, _, right []byte) { c.Write(right[:10]); c.Close() }, "closed the connection"},
		{"other transaction", func(c net.Conn, _, right []byte) {
			right[1]--
			c.Write(right)
		}, "another request"},
		{"other protocol", func(c net.Conn, _, right []byte) { right[3] = 1; c.Write(right) }, "not Modbus TCP"},
		{"other unit", func(c net.Conn, _, right []byte) { right[6]++; c.Write(right) }, "from unit 2"},
		{"other function", func(c net.Conn, _, right []byte) { right[7] = 4; c.Write(right) }, "function 4"},
		{"exception of another function", func(c net.Conn, _, right []byte) { c.Write([]byte{right[0], right[1], 0, 0, 0, 3, right[6], 0x84, 2}) }, "function 132"},
		{"exception too long", func(c net.Conn, _, right []byte) {
			c.Write([]byte{right[0], right[1], 0, 0, 0, 4, right[6], 0x83, 2, 0})
		}, "exception of 3 bytes"},
		{"exception without code", func(c net.Conn, _, right []byte) { c.Write([]byte{right[0], right[1], 0, 0, 0, 2, right[6], 0x83}) }, "claims 2 bytes"},
		{"one register too few", func(c net.Conn, _, right []byte) {
			binary.BigEndian.PutUint16(right[4:], 5)
			right[8] = 2
			c.Write(right[:11])
		}, "want 4"},
		{"count lies", func(c net.Conn, _, right []byte) { right[8] = 2; c.Write(right) }, "want 4"},
		{"length zero", func(c net.Conn, _, right []byte) { right[5] = 0; c.Write(right[:7]) }, "claims 0 bytes"},
		{"length of 64 kB", func(c net.Conn, _, right []byte) { right[4], right[5] = 0xFF, 0xFF; c.Write(right) }, "claims 65535 bytes"},
		{"twice", func(c net.Conn, _, right []byte) { c.Write(append(right, right...)) }, "nobody asked for"},
		{"not Modbus at all", func(c net.Conn, _, _ []byte) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n")) }, "not Modbus TCP"},
		{"byte by byte", func(c net.Conn, _, right []byte) {
			for i := range right {
				c.Write(right[i : i+1])
				time.Sleep(time.Millisecond)
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			liar := newLiar(t, func(n int, conn net.Conn, request, right []byte) {
				if n == 2 {
					c.lie(conn, request, right)
					return
				}
				conn.Write(right)
			})
			timeout := 10 * time.Second
			if strings.HasPrefix(c.reason, "no answer") {
				timeout = 100 * time.Millisecond
			}
			d := connect(t, newDevice(t, Config{URL: "tcp://" + liar.address, Timeout: timeout}, nil,
				register("a", 300), register("b", 301)))
			for n := 1; n <= 4; n++ {
				round, err := d.Poll(t.Context(), nil)
				if n == 2 && c.reason != "" {
					if err == nil || !strings.Contains(err.Error(), c.reason) {
						t.Errorf("the lie gives %+v, error %v; want %q", round.Readings, err, c.reason)
					}
					continue
				}
				if err != nil {
					if n > 2 && timeout < time.Second { // the machine that runs this is slow
						continue
					}
					t.Fatalf("poll %d: %v", n, err)
				}
				checkOwn(t, round)
			}
		})
	}
}

// checkOwn checks the readings of two registers that hold their own address.
func checkOwn(t *testing.T, round plant.Round) {
	t.Helper()
	if len(round.Readings) != 2 || round.Readings[0].Value != plant.Integer(300) || round.Readings[1].Value != plant.Integer(301) {
		t.Errorf("readings %+v", round.Readings)
	}
}

// TestLateAnswersNeverCount: a device that always answers just after the time
// is up never gives another register's value.
func TestLateAnswersNeverCount(t *testing.T) {
	liar := newLiar(t, func(n int, conn net.Conn, _, right []byte) {
		if n%3 == 0 {
			time.Sleep(60 * time.Millisecond)
		}
		conn.Write(right)
	})
	d := connect(t, newDevice(t, Config{URL: "tcp://" + liar.address, Timeout: 50 * time.Millisecond}, nil,
		register("a", 100), register("b", 200), register("c", 300), register("d", 400)))
	want := map[string]int64{"a": 100, "b": 200, "c": 300, "d": 400}
	failed := 0
	for range 20 {
		round, err := d.Poll(t.Context(), nil)
		if err != nil {
			failed++
		}
		for _, r := range round.Readings {
			if r.Value != plant.Integer(want[r.Signal]) {
				t.Errorf("%s reads %v", r.Signal, r.Value)
			}
		}
	}
	if failed == 0 {
		t.Error("no poll failed: the device was never late")
	}
}

// TestLateAnswerInPieces: an answer that comes too late, half of it between two
// looks and half of it in front of another unit's answer, harms nobody.
// Anything else that lies there costs the connection, and no value.
func TestLateAnswerInPieces(t *testing.T) {
	for _, c := range []struct {
		name        string
		between     func(late []byte) []byte // what comes between the looks
		inFront     func(late []byte) []byte // what comes in front of the next answer
		connections int
	}{
		{"whole between", func(late []byte) []byte { return late }, func([]byte) []byte { return nil }, 1},
		{"half and half", func(late []byte) []byte { return late[:9] }, func(late []byte) []byte { return late[9:] }, 1},
		{"a byte, the rest", func(late []byte) []byte { return late[:1] }, func(late []byte) []byte { return late[1:] }, 1},
		{"whole in front", func([]byte) []byte { return nil }, func(late []byte) []byte { return late }, 1},
		{"never", func([]byte) []byte { return nil }, func([]byte) []byte { return nil }, 1},
		{"garbage", func([]byte) []byte { return []byte("HTTP/1.1 400 Bad Request") }, func([]byte) []byte { return nil }, 2},
		{"another unit's", func(late []byte) []byte { late[6] = 1; return late }, func([]byte) []byte { return nil }, 2},
		{"another size", func(late []byte) []byte { late[5], late[8] = 5, 2; return late[:11] }, func([]byte) []byte { return nil }, 2},
		{"twice", func(late []byte) []byte { return append(late, late...) }, func([]byte) []byte { return nil }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			type gave struct {
				conn net.Conn
				late []byte
			}
			first := make(chan gave, 1)
			var late []byte
			liar := newLiar(t, func(n int, conn net.Conn, _, right []byte) {
				switch n {
				case 1:
					first <- gave{conn, right}
				case 2:
					if c.connections == 1 {
						right = append(c.inFront(late), right...)
					}
					conn.Write(right)
				default:
					conn.Write(right)
				}
			})
			cfg := Config{URL: "tcp://" + liar.address, Timeout: 100 * time.Millisecond, Unit: 3}
			line, err := NewLine(cfg)
			if err != nil {
				t.Fatal(err)
			}
			slow := connect(t, newDevice(t, cfg, line, register("a", 7), register("b", 8)))
			cfg.Unit, cfg.Timeout = 1, 10*time.Second
			well := connect(t, newDevice(t, cfg, line, register("a", 300), register("b", 301)))
			if _, err := slow.Poll(t.Context(), nil); err == nil {
				t.Fatal("no error though no answer came")
			}
			g := <-first
			late = append([]byte(nil), g.late...)
			g.conn.Write(c.between(g.late))
			time.Sleep(20 * time.Millisecond) // through the loopback
			for range 3 {
				round, err := well.Poll(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				checkOwn(t, round)
			}
			if n := len(liar.accepts); n != c.connections {
				t.Errorf("%d connections, want %d", n, c.connections)
			}
		})
	}
}

// TestStrayBytesAreDrained: what comes in between two polls is no answer.
func TestStrayBytesAreDrained(t *testing.T) {
	strayed := make(chan struct{}, 10)
	liar := newLiar(t, func(n int, conn net.Conn, request, right []byte) {
		conn.Write(right)
		if n == 1 {
			go func() { // once the answer has been read
				time.Sleep(50 * time.Millisecond)
				next := append([]byte(nil), right...)
				next[1]++ // the very number that the next request will have
				next[10]++
				conn.Write(next)
				strayed <- struct{}{}
			}()
		}
	})
	d := connect(t, newDevice(t, Config{URL: "tcp://" + liar.address, Timeout: 10 * time.Second}, nil, register("a", 300), register("b", 301)))
	round, err := d.Poll(t.Context(), nil)
	if err != nil {
		t.Skip("the stray bytes came too early on this machine:", err)
	}
	checkOwn(t, round)
	<-strayed
	time.Sleep(20 * time.Millisecond) // through the loopback
	if round, err = d.Poll(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	checkOwn(t, round)
	if n := len(liar.accepts); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestIdleConnectionClosedByDevice: a device that hangs up between polls costs
// no reading.
func TestIdleConnectionClosedByDevice(t *testing.T) {
	closed := make(chan struct{}, 10)
	liar := newLiar(t, func(_ int, conn net.Conn, _, right []byte) {
		conn.Write(right)
		conn.Close()
		closed <- struct{}{}
	})
	d := connect(t, newDevice(t, Config{URL: "tcp://" + liar.address, Timeout: 10 * time.Second}, nil, register("a", 300), register("b", 301)))
	for range 3 {
		round, err := d.Poll(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		checkOwn(t, round)
		<-closed
		time.Sleep(20 * time.Millisecond) // through the loopback
	}
}

func TestConnectTellsWhy(t *testing.T) {
	d := newDevice(t, Config{URL: "tcp://" + freeAddress(t)}, nil, register("a", 0))
	err := d.Connect(t.Context())
	if err == nil || err.Error() != "connect: connect: connection refused" && err.Error() != "connect: connection refused" {
		t.Errorf("error %q", err)
	}
}

// TestFailedDialIsShared: units that waited while another unit's dial failed
// do not dial again.
func TestFailedDialIsShared(t *testing.T) {
	slow := &slowDial{}
	line := newLine("slow", slow, nil)
	errs := make(chan error, 5)
	for range 5 {
		go func() { errs <- line.join(t.Context(), time.Second) }()
	}
	for range 5 {
		if err := <-errs; err == nil || err.Error() != "connect: no answer within 2s" {
			t.Errorf("error %v", err)
		}
	}
	if slow.dials > 2 {
		t.Errorf("%d dials for 5 units, want one (two if one came late)", slow.dials)
	}
}

// TestStopCostsOthersNothing: a unit that is stopped while it is asked leaves
// the line to the others as it is; one alone does not wait for its answer.
func TestStopCostsOthersNothing(t *testing.T) {
	for _, shared := range []bool{true, false} {
		asked, answer := make(chan struct{}), make(chan struct{})
		liar := newLiar(t, func(n int, conn net.Conn, _, right []byte) {
			if n == 1 {
				close(asked)
				<-answer
			}
			conn.Write(right)
		})
		cfg := Config{URL: "tcp://" + liar.address, Timeout: 30 * time.Second}
		line, err := NewLine(cfg)
		if err != nil {
			t.Fatal(err)
		}
		stopped := connect(t, newDevice(t, cfg, line, register("a", 0)))
		var other *Device
		if shared {
			other = connect(t, newDevice(t, cfg, line, register("b", 1)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := stopped.Poll(ctx, nil)
			ended <- err
		}()
		<-asked
		cancel()
		if !shared {
			if err := <-ended; err == nil {
				t.Error("a poll that was stopped gave something")
			}
			close(answer)
			continue
		}
		close(answer)
		<-ended
		stopped.Close()
		if r := poll(t, other)["b"]; r.Value.Integer() != 1 {
			t.Errorf("other unit: %+v", r)
		}
		if line.dials.Load() != 1 {
			t.Errorf("%d connections", line.dials.Load())
		}
	}
}

type slowDial struct{ dials int }

func (s *slowDial) open(context.Context) error {
	s.dials++
	time.Sleep(300 * time.Millisecond)
	return context.DeadlineExceeded
}
func (s *slowDial) ready() bool      { return false }
func (s *slowDial) close(bool) error { return nil }
func (s *slowDial) exchange(context.Context, time.Time, []byte, []byte) ([]byte, error) {
	return nil, nil
}

func FuzzAnswer(f *testing.F) {
	request := []byte{0, 9, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2}
	f.Add([]byte{0, 9, 0, 0, 0, 7, 1, 3, 4, 1, 2, 3, 4})
	f.Add([]byte{0, 9, 0, 0, 0, 3, 1, 0x83, 2})
	f.Add([]byte{0, 9, 0, 0, 0, 5, 1, 3, 2, 1, 2})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) < headerSize+1 || checkHeader(request, answer[:headerSize]) != nil {
			return
		}
		whole := headerSize - 1 + int(binary.BigEndian.Uint16(answer[4:]))
		if len(answer) != whole || checkReply(request[headerSize:], answer[headerSize:]) != nil {
			return
		}
		exception := len(answer) == 9 && answer[7] == 0x83
		data := len(answer) == 13 && answer[7] == 3 && answer[8] == 4
		if !exception && !data {
			t.Errorf("% x passes as an answer", answer)
		}
	})
}

package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"linetwin/plant"
)

// event is one server-sent event as it was read.
type event struct{ id, name, data string }

// run starts a server and stops it when the test ends.
func run(t *testing.T) (*fixture, string, func() error) {
	t.Helper()
	s, f := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return f, "http://" + s.Addr(), stop
}

// listen opens the stream; next gives its events, false at its end.
func listen(t *testing.T, url string) (next func() (event, bool)) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close(); transport.CloseIdleConnections() })
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("content type %q", got)
	}
	lines := bufio.NewReader(response.Body)
	return func() (event, bool) {
		var e event
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return e, false
			}
			k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch k {
			case "id":
				e.id = v
			case "event":
				e.name = v
			case "data":
				e.data = v
			case "":
				if v == "" && e.name != "" {
					return e, true
				}
			}
		}
	}
}

func TestEventsInOrder(t *testing.T) {
	f, base, _ := run(t)
	next := listen(t, base+"/api/v1/events?machine=a-riveting")
	first, _ := next()
	var snapshot struct {
		Site  string
		Lines []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(first.data), &snapshot); err != nil || first.name != "snapshot" || first.id != "1" || snapshot.Site != "songjiang" || len(snapshot.Lines) != 5 {
		t.Fatalf("first event is %s %s, %v", first.id, first.name, err)
	}
	s := f.Snapshot()
	signals, _ := f.Signals("a-riveting")
	others, _ := f.Signals("b-riveting")
	f.send(plant.Change{Line: &s.Lines[1]})
	f.send(plant.Change{Gateway: &s.Gateways[0]})
	f.send(plant.Change{Alert: &s.Alerts[0]})
	f.send(plant.Change{Signals: others}) // of a machine that nobody watches
	f.send(plant.Change{Signals: append(others[:1:1], signals[:2]...)})
	f.send(plant.Change{Plant: &s.Plant})
	f.send(plant.Change{Backlog: &plant.BacklogReport{Gateway: "edge-1"}})
	f.send(plant.Change{Notices: []plant.Notice{{Kind: "history", Count: 2}}})
	f.send(plant.Change{Snapshot: &s})
	for i, want := range []struct{ name, part string }{
		{"line", `"id":"mcb-b"`}, {"gateway", `"gateway":"edge-1"`}, {"alert", `"id":"feeder-jam/a-riveting/1"`}, {"signals", `[{"name":"temperature"`},
		{"plant", `"planned_s"`}, {"backlog", `"waiting":0`}, {"notices", `[{"kind":"history"`}, {"snapshot", `"site":"songjiang"`},
	} {
		e, ok := next()
		if !ok || e.name != want.name || e.id != strconv.Itoa(i+2) || !strings.Contains(e.data, want.part) {
			t.Fatalf("event %d: got %s %s %.100s, want %s with %s", i+2, e.id, e.name, e.data, want.name, want.part)
		}
		if want.name == "signals" && strings.Contains(e.data, "b-riveting") {
			t.Error("signals of another machine")
		}
	}
}

func TestEventsOfOneLine(t *testing.T) {
	f, base, _ := run(t)
	next := listen(t, base+"/api/v1/events?line=mcb-b")
	first, _ := next()
	if strings.Contains(first.data, `"id":"mcb-a"`) || strings.Contains(first.data, "feeder-jam") || !strings.Contains(first.data, `"id":"mcb-b"`) {
		t.Errorf("snapshot is not of the line: %.300s", first.data)
	}
	s := f.Snapshot()
	signals, _ := f.Signals("b-riveting")
	f.send(plant.Change{Line: &s.Lines[0]})
	f.send(plant.Change{Alert: &s.Alerts[0]})
	f.send(plant.Change{Signals: signals})
	f.send(plant.Change{Line: &s.Lines[1]})
	if e, ok := next(); !ok || e.name != "line" || e.id != "2" || !strings.Contains(e.data, `"id":"mcb-b"`) {
		t.Errorf("got %s %s %.80s", e.id, e.name, e.data)
	}
	if len(f.Snapshot().Lines) != 5 {
		t.Error("the view changed the plant's own snapshot")
	}
}

func TestSlowReaderIsDropped(t *testing.T) {
	f, base, _ := run(t)
	next := listen(t, base+"/api/v1/events")
	if _, ok := next(); !ok {
		t.Fatal("no snapshot")
	}
	f.mu.Lock()
	for ch := range f.subs { // what a Live does to a reader that is too slow
		delete(f.subs, ch)
		close(ch)
	}
	f.mu.Unlock()
	if e, ok := next(); ok {
		t.Errorf("got %s after the stream was to end", e.name)
	}
	again := listen(t, base+"/api/v1/events")
	if e, ok := again(); !ok || e.name != "snapshot" || e.id != "1" {
		t.Errorf("a new stream begins with %s %s", e.id, e.name)
	}
}

func TestStopEndsStreams(t *testing.T) {
	f, base, stop := run(t)
	next := listen(t, base+"/api/v1/events")
	if _, ok := next(); !ok {
		t.Fatal("no snapshot")
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, ok := next(); ok {
		t.Error("the stream goes on")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("stopping took %s", took)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subs) != 0 || f.closed != 1 {
		t.Errorf("%d subscriptions left, %d cancelled", len(f.subs), f.closed)
	}
}

// pipe is a response whose reader takes nothing more once it is full.
type pipe struct {
	header   http.Header
	text     strings.Builder
	full     bool
	deadline time.Time
}

func (p *pipe) Header() http.Header                { return p.header }
func (p *pipe) WriteHeader(int)                    {}
func (p *pipe) Flush()                             {}
func (p *pipe) SetWriteDeadline(t time.Time) error { p.deadline = t; return nil }
func (p *pipe) Write(b []byte) (int, error) {
	if p.full {
		time.Sleep(time.Until(p.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	return p.text.Write(b)
}

func TestHeartbeatAndDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := serve(t)
		p := &pipe{header: http.Header{}}
		ended := make(chan time.Time, 1)
		go func() { s.stream(t.Context(), p, view{}); ended <- time.Now() }()
		synctest.Wait()
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if got := strings.Count(p.text.String(), ": alive\n\n"); got != 2 {
			t.Errorf("%d heartbeats in 25 s, want 2", got)
		}
		p.full = true
		line := f.Snapshot().Lines[0]
		began := time.Now()
		f.send(plant.Change{Line: &line})
		if took := (<-ended).Sub(began); took != writeTimeout {
			t.Errorf("a reader that takes nothing was held for %s, want %s", took, writeTimeout)
		}
	})
}

func TestDataThatCannotBeEncoded(t *testing.T) {
	p := &pipe{header: http.Header{}}
	e := eventWriter{w: p, control: http.NewResponseController(p)}
	if err := e.event("line", func() {}); err == nil || !strings.HasPrefix(err.Error(), "encode event line: ") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkLineEvent(b *testing.B) {
	line := newFixture(noon).Snapshot().Lines[0]
	p := &pipe{header: http.Header{}}
	e := eventWriter{w: p, control: http.NewResponseController(p)}
	for b.Loop() {
		p.text.Reset()
		if err := e.change(plant.Change{Line: &line}); err != nil {
			b.Fatal(err)
		}
	}
}

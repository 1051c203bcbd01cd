package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"linetwin/plant"
)

const (
	heartbeat    = 10 * time.Second // a comment, so that proxies and browsers notice a dead stream
	writeTimeout = 5 * time.Second  // a browser that takes longer for one event is gone
)

type eventsInput struct {
	Line    string `query:"line" doc:"only this line, its machines and its alerts"`
	Machine string `query:"machine" doc:"also the signals of this machine; without it there are no signals events"`
}

func (s *Server) registerEvents(api huma.API) {
	op := get("events", "/events", "Live stream",
		"Server-sent events, named snapshot, line, gateway, alert, signals, plant, backlog and notices. The snapshot comes first, then what changes. "+
			"A reader that is too slow is disconnected and starts again with a snapshot.")
	names := map[string]reflect.Type{
		"snapshot": reflect.TypeFor[plant.Snapshot](), "line": reflect.TypeFor[plant.LineSnapshot](), "gateway": reflect.TypeFor[plant.GatewayLive](),
		"alert": reflect.TypeFor[plant.Alert](), "signals": reflect.TypeFor[[]plant.SignalNow](), "plant": reflect.TypeFor[plant.Figures](),
		"backlog": reflect.TypeFor[plant.BacklogReport](), "notices": reflect.TypeFor[[]plant.Notice](),
	}
	data := &huma.Schema{Type: huma.TypeObject, Description: "data of each event, by its name", Properties: map[string]*huma.Schema{}}
	for name, t := range names {
		data.Properties[name] = api.OpenAPI().Components.Schemas.Schema(t, true, name)
	}
	op.Responses = map[string]*huma.Response{"200": {
		Description: "the stream", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: data}},
	}}
	huma.Register(api, op, func(_ context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		if in.Line != "" {
			if _, err := s.line(in.Line); err != nil {
				return nil, err
			}
		}
		if in.Machine != "" {
			if _, err := s.from.Signals.Signals(in.Machine); err != nil {
				return nil, failure("read the signals of machine "+in.Machine, err, s.noMachine(in.Machine))
			}
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			s.stream(r.Context(), w, view{in.Line, in.Machine})
		}}, nil
	})
}

// stream sends a snapshot and then what changes, until the reader goes, is too
// slow, or the server stops.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, v view) {
	// Subscribing first means that nothing between the snapshot and the first
	// change is missed.
	changes, cancel := s.from.Live.Subscribe()
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := eventWriter{w: w, control: http.NewResponseController(w)}
	snapshot := s.from.Plant.Snapshot()
	if out.change(v.of(plant.Change{Snapshot: &snapshot})) != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.stopping:
			return
		case <-beat.C:
			err = out.comment("alive")
		case c, open := <-changes:
			if !open {
				return
			}
			err = out.change(v.of(c))
		}
		if err != nil {
			return
		}
	}
}

// view is what one reader wants to see.
type view struct{ line, machine string }

// of gives the part of a change that belongs to the view; a change without any
// field is none. The change itself belongs to all readers and stays as it is.
func (v view) of(c plant.Change) plant.Change {
	c.Signals = v.signals(c.Signals)
	if v.line == "" {
		return c
	}
	if c.Snapshot != nil {
		s := *c.Snapshot
		s.Lines = only(s.Lines, func(l *plant.LineSnapshot) bool { return l.ID == v.line })
		s.Alerts = only(s.Alerts, func(a *plant.Alert) bool { return a.Line == v.line })
		c.Snapshot = &s
	}
	if c.Line != nil && c.Line.ID != v.line {
		c.Line = nil
	}
	if c.Alert != nil && c.Alert.Line != v.line {
		c.Alert = nil
	}
	return c
}

func (v view) signals(all []plant.SignalNow) []plant.SignalNow {
	if v.machine == "" {
		return nil
	}
	return only(all, func(s *plant.SignalNow) bool { return s.Machine == v.machine })
}

// only gives the items that keep wants, without touching the list.
func only[T any](items []T, keep func(*T) bool) []T {
	var out []T
	for i := range items {
		if keep(&items[i]) {
			out = append(out, items[i])
		}
	}
	return out
}

// eventWriter writes server-sent events (WHATWG HTML, 9.2), each before a
// deadline.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	last    uint64 // id of the last event
}

// change writes the event of a change; one without any field is not sent.
func (e *eventWriter) change(c plant.Change) error {
	switch {
	case c.Snapshot != nil:
		return e.event("snapshot", c.Snapshot)
	case c.Line != nil:
		return e.event("line", c.Line)
	case c.Gateway != nil:
		return e.event("gateway", c.Gateway)
	case c.Alert != nil:
		return e.event("alert", c.Alert)
	case len(c.Signals) > 0:
		return e.event("signals", c.Signals)
	case c.Plant != nil:
		return e.event("plant", c.Plant)
	case c.Backlog != nil:
		return e.event("backlog", c.Backlog)
	case len(c.Notices) > 0:
		return e.event("notices", c.Notices)
	}
	return nil
}

func (e *eventWriter) event(name string, data any) error {
	text, err := json.Marshal(data) // has no line break
	if err != nil {
		return fmt.Errorf("encode event %s: %w", name, err)
	}
	e.last++
	return e.write("id: %d\nevent: %s\ndata: %s\n\n", e.last, name, text)
}

func (e *eventWriter) comment(text string) error { return e.write(": %s\n\n", text) }

func (e *eventWriter) write(format string, args ...any) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set a deadline: %w", err)
	}
	if _, err := fmt.Fprintf(e.w, format, args...); err != nil {
		return err
	}
	return e.control.Flush()
}

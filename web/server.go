package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// stopIn is how long requests that are under way may take when the server
// stops.
const stopIn = 2 * time.Second

// Server answers HTTP. New makes it, Run listens.
type Server struct {
	cfg     Config
	from    Sources
	log     *slog.Logger
	handler http.Handler

	stopping chan struct{} // closed when Run begins to stop
	ready    chan struct{} // closed when it listens
	addr     string        // set before ready closes
}

// New checks the settings and prepares every path; it opens nothing.
func New(cfg Config, from Sources, version string, log *slog.Logger) (*Server, error) {
	if faults := cfg.Check(); len(faults) > 0 {
		return nil, fmt.Errorf("web: %s", faults[0])
	}
	if missing := from.missing(); len(missing) > 0 {
		return nil, fmt.Errorf("web: no source for %s", strings.Join(missing, ", "))
	}
	dist, err := fs.Sub(built, "ui/dist")
	if err != nil {
		return nil, fmt.Errorf("web: open the built pages: %w", err)
	}
	s := &Server{cfg: cfg, from: from, log: log, stopping: make(chan struct{}), ready: make(chan struct{})}
	if s.handler, err = s.handle(pages{dist}, version); err != nil {
		return nil, err
	}
	return s, nil
}

// handle puts the paths together.
func (s *Server) handle(p pages, version string) (http.Handler, error) {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "LineTwin", Version: version,
				Description: "Live state, OEE, alerts and scorecard of production lines. Times are RFC 3339; errors are RFC 9457 problem documents."},
			Components: &huma.Components{Schemas: newRegistry()},
		},
		Formats: map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}, DefaultFormat: "application/json",
	})
	s.register(api)
	document, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("web: write the OpenAPI document: %w", err)
	}
	mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document)
	})
	mux.Handle("/api/", noPath(mux))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.readyz)
	if s.from.Metrics != nil {
		mux.Handle("GET /metrics", s.from.Metrics)
	} else {
		mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
			writeProblem(w, problem(http.StatusNotFound, "this program keeps no metrics"))
		})
	}
	p.register(mux)

	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusForbidden, "this action came from a page of another site (Origin %q); only LineTwin's own pages may act", r.Header.Get("Origin")))
	}))
	return headers(s.survive(cross.Handler(mux))), nil
}

// noPath answers under /api what no operation takes: a wrong method with 405,
// the rest with 404.
func noPath(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
			if _, pattern := mux.Handler(other); pattern != "/api/" {
				w.Header().Set("Allow", method)
				writeProblem(w, problem(http.StatusMethodNotAllowed, "%s %s: found method %s, allowed: %s", r.Method, r.URL.Path, r.Method, method))
				return
			}
		}
		writeProblem(w, problem(http.StatusNotFound, "no path %s; the paths are described at /api/openapi.json", r.URL.Path))
	})
}

// readyz tells whether data flows.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	ok, why := true, []string(nil)
	if s.from.Ready != nil {
		ok, why = s.from.Ready()
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(struct {
		Ready bool     `json:"ready"`
		Why   []string `json:"why,omitempty"`
	}{ok, why})
}

// survive answers 500 where a handler panics, and says so in the log.
func (s *Server) survive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.log.ErrorContext(r.Context(), "request panicked", "path", r.URL.Path, "panic", p)
				writeProblem(w, problem(http.StatusInternalServerError, "LineTwin failed on this request; its log says more"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// Run listens and answers until ctx ends. Live streams then end at once, other
// requests within two seconds.
func (s *Server) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for browsers on %s: %w", s.cfg.Listen, err)
	}
	s.addr = listener.Addr().String()
	close(s.ready)
	s.log.InfoContext(ctx, "web listens", "address", s.addr)
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	server := &http.Server{
		BaseContext: func(net.Listener) context.Context { return requests },
		Handler:     s.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
		close(s.stopping)
		return fmt.Errorf("answer browsers on %s: %w", s.addr, err)
	case <-ctx.Done():
	}
	close(s.stopping)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopIn)
	defer cancel()
	if err = server.Shutdown(grace); err != nil {
		abandon()
		err = server.Close()
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = e
	}
	if err != nil {
		return fmt.Errorf("stop answering browsers: %w", err)
	}
	return nil
}

// Ready closes once the server listens; Addr then tells where.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr gives the host:port on which the server listens, "" before Ready.
func (s *Server) Addr() string {
	select {
	case <-s.ready:
		return s.addr
	default:
		return ""
	}
}

package web

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"linetwin/plant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the clock of the tests: 2026-03-02 12:34:56 in Shanghai.
func noon() plant.Time { return plant.At(time.Date(2026, 3, 2, 4, 34, 56, 0, time.UTC)) }

// built pages, small enough to read.
func distFS() fstest.MapFS {
	return fstest.MapFS{
		"index.html":       {Data: []byte("<!doctype html><title>LineTwin</title>")},
		"before.js":        {Data: []byte("// before")},
		"assets/app-1a.js": {Data: []byte("// app")},
		".gitkeep":         {},
	}
}

// serve gives a server over a fixture that stands still at noon.
func serve(t *testing.T) (*Server, *fixture) {
	t.Helper()
	f := newFixture(noon)
	f.quiet = true
	s, err := New(Config{Listen: "127.0.0.1:0"}, f.sources(), "1.2.0", slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if s.handler, err = s.handle(pages{distFS()}, "1.2.0"); err != nil {
		t.Fatal(err)
	}
	return s, f
}

// ask sends a request as a browser on this computer would.
func ask(s *Server, method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	if body != "" {
		r = httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost:8080"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"testing"
	"time"

	"linetwin/plant"
)

// TestDevServer serves the pages of ui/dist, as they lie on disk, over the
// fixture's plant until it is interrupted:
//
//	LINETWIN_WEB_DEV=127.0.0.1:8090 LINETWIN_WEB_HOOK=127.0.0.1:8091 go test -run TestDevServer -timeout 0 ./web
//
// The hook changes the plant, for who measures how soon a page shows it:
// GET /flip?machine=b-riveting toggles a machine between stop and run.
func TestDevServer(t *testing.T) {
	listen := os.Getenv("LINETWIN_WEB_DEV")
	if listen == "" {
		t.Skip("serves only when LINETWIN_WEB_DEV says where")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	f := newFixture(func() plant.Time { return plant.Stamp(time.Now()) })
	s, err := New(Config{Listen: listen}, f.sources(), "1.2.0", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	if s.handler, err = s.handle(pages{os.DirFS("ui/dist")}, "1.2.0"); err != nil {
		t.Fatal(err)
	}
	go f.live(ctx)
	if hook := os.Getenv("LINETWIN_WEB_HOOK"); hook != "" {
		server := &http.Server{Addr: hook, Handler: hookHandler(f), ReadHeaderTimeout: time.Second}
		go func() {
			if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		}()
		defer server.Close()
	}
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// hookHandler answers GET /flip?machine=ID with the machine's new class.
func hookHandler(f *fixture) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /flip", func(w http.ResponseWriter, r *http.Request) {
		machine := r.URL.Query().Get("machine")
		class, err := f.flip(machine)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"machine": machine, "class": class.String()})
	})
	return mux
}

func (f *fixture) sources() Sources {
	return Sources{Plant: f, Signals: f, Alerts: f, Live: f, Scorecard: f, Losses: f, Places: f, Yields: f, Entries: f, Quarantine: &shelf{}, Audits: f, Recompute: f, Plans: f, Ready: func() (bool, []string) { return f.quiet, []string{"history fills"} }}
}

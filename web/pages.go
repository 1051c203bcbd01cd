package web

import (
	"bytes"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// The built pages. A clean clone has only a placeholder there; `make ui` (npm
// run build in web/ui) fills it before the program is built.
//
//go:embed all:ui/dist
var built embed.FS

// routes are the pages that web/ui knows; the server gives its index.html for
// each.
var routes = [...]string{
	"GET /{$}", "GET /lines", "GET /lines/{line}", "GET /lines/{line}/stops", "GET /lines/{line}/shifts",
	"GET /orders", "GET /calendars", "GET /cycles", "GET /gateways", "GET /scorecard",
}

const notBuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>LineTwin</title>
<h1>The pages are not built into this program</h1>
<p>Run <code>make ui</code> (or <code>npm ci &amp;&amp; npm run build</code> in <code>web/ui</code>), then build LineTwin again.
<p>页面尚未编译进本程序。请运行 <code>make ui</code>，然后重新编译 LineTwin。
<p>The API works without them: <a href="/api/v1/lines">/api/v1/lines</a>, <a href="/api/openapi.json">/api/openapi.json</a>.
</html>
`

// pages serves the built files of web/ui from dist.
type pages struct{ dist fs.FS }

// register adds the page routes and everything else that is a file.
func (p pages) register(mux *http.ServeMux) {
	for _, route := range routes {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { p.index(w, r, http.StatusOK) })
	}
	mux.HandleFunc("/", p.file)
}

// index answers with index.html, which shows the page of the address itself.
func (p pages) index(w http.ResponseWriter, r *http.Request, status int) {
	text, err := fs.ReadFile(p.dist, "index.html")
	if err != nil {
		text, status = []byte(notBuilt), http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

// file answers with a built file. Files under assets carry a hash in their
// name and never change. A page that nobody knows is told so by index.html.
func (p pages) file(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeProblem(w, problem(http.StatusMethodNotAllowed, "%s %s: found method %s, allowed: GET", r.Method, r.URL.Path, r.Method))
		return
	}
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	text, err := fs.ReadFile(p.dist, name)
	if errors.Is(err, fs.ErrNotExist) && path.Ext(name) == "" && strings.Contains(r.Header.Get("Accept"), "text/html") {
		p.index(w, r, http.StatusNotFound)
		return
	}
	if err != nil || strings.HasPrefix(path.Base(name), ".") {
		writeProblem(w, problem(http.StatusNotFound, "no file %q", r.URL.Path))
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

const acknowledgePath = "/api/v1/alerts/feeder-jam%2Fa-riveting%2F1/acknowledge"

func TestAcknowledge(t *testing.T) {
	s, _ := serve(t)
	w := ask(s, "POST", acknowledgePath, `{"by":"li.wei"}`)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"state":"acknowledged"`) || !strings.Contains(w.Body.String(), `"acknowledged_by":"li.wei"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestActionsAreGuarded(t *testing.T) {
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	from := func(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	const only = "actions are taken only from the computer that runs LineTwin, "
	const name = "actions are taken only under the name localhost or a loopback address, not under Host "
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		detail string // "" is taken
	}{
		{"loopback", from("127.0.0.1:1"), ""},
		{"loopback 6", func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:1", "[::1]:8080" }, ""},
		{"by address", host("127.0.0.1"), ""},
		{"own page", header("Origin", "http://localhost:8080"), ""},
		{"another computer", from("10.0.0.7:1"), only + "not from 10.0.0.7: there is no sign-in yet"},
		{"no address", from("pipe"), only + "not from : there is no sign-in yet"},
		{"through a proxy", header("X-Forwarded-For", "10.0.0.7"), only + "not through a proxy (header X-Forwarded-For): there is no sign-in yet"},
		{"rebound name", host("evil.example:8080"), name + "evil.example:8080"},
		{"name that begins as ours", host("localhost.evil.example"), name + "localhost.evil.example"},
		{"no name", host(""), name},
		{"another site's page", header("Origin", "http://evil.example"), `this action came from a page of another site (Origin "http://evil.example"); only LineTwin's own pages may act`},
		{"another site's fetch", header("Sec-Fetch-Site", "cross-site"), `this action came from a page of another site (Origin ""); only LineTwin's own pages may act`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, f := serve(t)
			w := ask(s, "POST", acknowledgePath, `{"by":"li.wei"}`, c.change)
			if c.detail == "" {
				if w.Code != 200 {
					t.Errorf("refused: %d %s", w.Code, w.Body)
				}
				return
			}
			var p struct{ Detail string }
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 403 || p.Detail != c.detail {
				t.Errorf("%d %s\nwant %s", w.Code, w.Body, c.detail)
			}
			if len(f.acked) > 0 {
				t.Error("the alert was acknowledged all the same")
			}
		})
	}
}

func TestReadingIsOpenToAll(t *testing.T) {
	s, _ := serve(t)
	w := ask(s, "GET", "/api/v1/session", "", func(r *http.Request) { r.RemoteAddr, r.Host = "10.0.0.7:1", "twin.plant:8080" })
	if w.Code != 200 || !strings.Contains(w.Body.String(), `{"actions":false,"why":"actions are taken only from`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestHeaders(t *testing.T) {
	s, _ := serve(t)
	for _, path := range []string{"/", "/api/v1/lines", "/nowhere.js"} {
		h := ask(s, "GET", path, "").Header()
		for k, part := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		} {
			if !strings.HasPrefix(h.Get(k), part) {
				t.Errorf("%s: %s is %q", path, k, h.Get(k))
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: unsafe policy", path)
		}
	}
}

func TestPages(t *testing.T) {
	html := func(r *http.Request) { r.Header.Set("Accept", "text/html,*/*") }
	for _, c := range []struct {
		path   string
		status int
		cache  string
		part   string
	}{
		{"/", 200, "no-cache", "<title>LineTwin"}, {"/lines", 200, "no-cache", "<title>LineTwin"}, {"/lines/mcb-a", 200, "no-cache", "<title>LineTwin"},
		{"/gateways", 200, "no-cache", "<title>LineTwin"}, {"/scorecard", 200, "no-cache", "<title>LineTwin"}, {"/?lang=zh", 200, "no-cache", "<title>LineTwin"},
		{"/nowhere", 404, "no-cache", "<title>LineTwin"},
		{"/before.js", 200, "no-cache", "// before"},
		{"/assets/app-1a.js", 200, "public, max-age=31536000, immutable", "// app"},
		{"/assets/app-0.js", 404, "no-store", `no file \"/assets/app-0.js\"`},
		{"/.gitkeep", 404, "no-store", "no file"}, {"/assets", 404, "no-store", "no file"},
		{"/lines/a/b", 404, "no-cache", "<title>LineTwin"},
	} {
		t.Run(c.path, func(t *testing.T) {
			s, _ := serve(t)
			w := ask(s, "GET", c.path, "", html)
			if w.Code != c.status || w.Header().Get("Cache-Control") != c.cache || !strings.Contains(w.Body.String(), c.part) {
				t.Errorf("%d %q %.200s", w.Code, w.Header().Get("Cache-Control"), w.Body)
			}
		})
	}
	s, _ := serve(t)
	if w := ask(s, "POST", "/", ""); w.Code != 405 {
		t.Errorf("POST /: %d", w.Code)
	}
	if w := ask(s, "HEAD", "/lines", ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD /lines: %d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestPagesThatAreNotBuilt(t *testing.T) {
	s, _ := serve(t)
	var err error
	empty := distFS()
	delete(empty, "index.html")
	if s.handler, err = s.handle(pages{empty}, "1"); err != nil {
		t.Fatal(err)
	}
	w := ask(s, "GET", "/", "")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "<code>make ui</code>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

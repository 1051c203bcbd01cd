package web

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// session tells a page what its reader may do.
type session struct {
	Actions bool   `json:"actions" doc:"whether actions such as acknowledging are taken from here"`
	Why     string `json:"why,omitempty" doc:"why not"`
}

type sessionInput struct{ request *http.Request }

// Resolve keeps the request, whose sender decides what is allowed.
func (in *sessionInput) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
}

func (s *Server) session(_ context.Context, in *sessionInput) (*body[session], error) {
	why := s.refuse(in.request)
	return &body[session]{session{Actions: why == "", Why: why}}, nil
}

// actionsOnly lets an action through where refuse finds nothing against it.
func (s *Server) actionsOnly(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if why := s.refuse(r); why != "" {
		writeProblem(w, problem(http.StatusForbidden, "%s", why))
		return
	}
	next(ctx)
}

// refuse tells why an action is not taken from a request's sender; "" takes
// it. There is no sign-in yet, so only this computer may act. A proxy on this
// computer speaks for others, and a foreign name that resolves to this
// computer (DNS rebinding) is somebody else's page.
func (s *Server) refuse(r *http.Request) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(peer); err != nil || ip == nil || !ip.IsLoopback() {
		return "actions are taken only from the computer that runs LineTwin, not from " + peer + ": there is no sign-in yet"
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return "actions are taken only from the computer that runs LineTwin, not through a proxy (header " + h + "): there is no sign-in yet"
		}
	}
	if !local(r.Host) {
		return "actions are taken only under the name localhost or a loopback address, not under Host " + r.Host
	}
	return ""
}

// local tells whether a Host header names this computer for certain.
func local(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// headers sets what every answer carries: nothing here may be framed, sniffed,
// or load anything from elsewhere.
func headers(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

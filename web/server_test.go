package web

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"linetwin/plant"
)

func TestConfig(t *testing.T) {
	const allowed = "host:port such as 127.0.0.1:8080 or :8080, port 0 to 65535"
	for _, c := range []struct {
		listen string
		want   []plant.Fault
	}{
		{"", nil}, {"127.0.0.1:8080", nil}, {":8080", nil}, {"[::1]:80", nil}, {"twin.plant.local:0", nil},
		{"8080", []plant.Fault{{Key: "listen", Found: `"8080"`, Allowed: allowed}}},
		{"localhost:http", []plant.Fault{{Key: "listen", Found: `port "http"`, Allowed: allowed}}},
		{"localhost:65536", []plant.Fault{{Key: "listen", Found: `port "65536"`, Allowed: allowed}}},
		{"a b:80", []plant.Fault{{Key: "listen", Found: `host "a b"`, Allowed: allowed}}},
	} {
		cfg := Config{Listen: c.listen}
		if got := cfg.Check(); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q: got %v, want %v", c.listen, got, c.want)
		}
		if c.listen == "" && cfg != DefaultConfig() {
			t.Errorf("the default is %v", cfg)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	f := newFixture(noon)
	if _, err := New(Config{Listen: "x"}, f.sources(), "1", nil); err == nil || !strings.HasPrefix(err.Error(), `web: listen: found "x", allowed: host:port`) {
		t.Errorf("bad settings: %v", err)
	}
	from := f.sources()
	from.Live, from.Alerts = nil, nil
	if _, err := New(DefaultConfig(), from, "1", nil); err == nil || err.Error() != "web: no source for alerts, live" {
		t.Errorf("missing sources: %v", err)
	}
}

func TestPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s, _ := serve(t)
	s.cfg.Listen = taken.Addr().String()
	if err := s.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "listen for browsers on "+s.cfg.Listen+": ") {
		t.Errorf("got %v", err)
	}
	if s.Addr() != "" {
		t.Errorf("address %q of a server that does not listen", s.Addr())
	}
}

func TestRunAnswers(t *testing.T) {
	_, base, _ := run(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(base + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("status %d", response.StatusCode)
	}
}

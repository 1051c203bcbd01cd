package sparkplug

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func lines(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%s %s: %s\n", s.Name, s.Result, s.Text)
	}
	return b.String()
}

// TestProbe: each step to the broker is tried once, with everything that it
// rests on, beside a gateway and a twin that run and do not notice.
func TestProbe(t *testing.T) {
	ca := newAuthority(t, "plant CA")
	cert, key := ca.issue(t, "broker", leaf{})
	b := secured(t, ca.mosquitto(cert, key, "require_certificate true\n"))
	conn := connection(b.over("tls"))
	conn.TLS.CA = ca.file
	conn.TLS.Cert, conn.TLS.Key = ca.issue(t, "edge", leaf{to: day(12)})
	h, _ := runHost(t, HostConfig{Connection: conn}, newSink())
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: conn}, node)
	await(t, "link", node.linked)
	steps, err := ProbeEdge(t.Context(), EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: conn})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "steps", lines(steps), `name ok: 127.0.0.1 is 127.0.0.1
tcp ok: connected to 127.0.0.1:*
tls ok: TLS 1.3, TLS_*
certificate ok: CN=broker, signed by CN=plant CA, for 127.0.0.1, valid until * UTC
certificate ok: authority CN=plant CA, valid until * UTC
certificate ok: tls.cert, * (CN=edge), was signed by CN=plant CA and expires on * UTC, in 11 days
connect ok: accepted as us
subscribe ok: spBv1.0/assembly/NCMD/edge-1
subscribe ok: spBv1.0/assembly/DCMD/edge-1/+
subscribe ok: spBv1.0/STATE/linetwin
host ok: "linetwin" is online since *
answer ok: host "linetwin" hears this gateway's topics, and this gateway hears its commands
`)
	if s := h.Stats(); s.Gaps+s.Rebirths+s.Unborn > 0 {
		t.Errorf("the probe disturbed the twin: %+v", s)
	}
	if s := e.Stats(); s.Connects != 1 || s.Births != 1 || s.Refused+s.Dropped > 0 {
		t.Errorf("the probe disturbed the gateway: %+v", s)
	}
}

// TestProbeFinds: what is wrong is found at its step, and nothing after it is
// tried.
func TestProbeFinds(t *testing.T) {
	t.Parallel()
	b := ruled(t, "read spBv1.0/assembly/NCMD")
	h, stop := runHost(t, HostConfig{Connection: as("twin", b.url)}, newSink())
	edge := func(c Connection) string {
		steps, err := ProbeEdge(t.Context(), EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: c})
		if err != nil {
			t.Fatal(err)
		}
		return lines(steps)
	}
	wrong := as("edge", b.url)
	wrong.Password = "guess"
	expect(t, "password", edge(wrong), "name ok: *\ntcp ok: *\nconnect failed: the broker refuses user \"edge\" or its password: it does not say which; compare both with the broker's list of users\n")
	expect(t, "no answer", edge(as("edge", b.url)), `*
host ok: "linetwin" is online since *
answer failed: host "linetwin" does not answer: the broker does not let user "edge" publish spBv1.0/assembly/+/edge-1/# or read spBv1.0/assembly/NCMD/edge-1, or does not let the twin read or answer it, or the host's STATE is left from before it died
`)
	stop()
	until(t, "host is gone", func() bool { return !h.Online() })
	expect(t, "host", edge(as("edge", b.url)), "*\nhost failed: host \"linetwin\" is offline since *: start the twin, or see why it left\n")
	closed := fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t))
	expect(t, "closed port", edge(connection(closed)), "name ok: *\ntcp failed: nothing listens there (connection refused): is the broker running, and is * its port?\n")
}

// TestProbeHost: a twin's broker is tried from the twin's side.
func TestProbeHost(t *testing.T) {
	t.Parallel()
	b := newNATS(t, false)
	b.start(t)
	node := newNode(theBirth())
	e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url), Acknowledge: AcknowledgeBroker}, node)
	await(t, "link", node.linked)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			_ = e.Publish(theBatch(7))
			time.Sleep(20 * time.Millisecond)
		}
	}()
	steps, err := ProbeHost(t.Context(), HostConfig{Connection: connection(b.url), Areas: []string{"assembly"}})
	<-done
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "steps", lines(steps), `*connect ok: accepted as us
subscribe ok: *
host ok: STATE of "linetwin" is not there: no twin has been online at this broker under this name
gateways ok: 1 heard in 5s: assembly/edge-1
`)
}

package sparkplug

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linetwin/plant"
)

// everything is what a twin and a gateway need, as deploy/mosquitto/acl has
// it: the tests take lines out.
const everything = `user twin
topic read spBv1.0/+/NBIRTH/#
topic read spBv1.0/+/NDATA/#
topic read spBv1.0/+/DBIRTH/#
topic read spBv1.0/+/DDATA/#
topic write spBv1.0/+/NCMD/#
topic write spBv1.0/STATE/linetwin
topic read spBv1.0/STATE/#
user edge
topic write spBv1.0/assembly/NDEATH/edge-1
topic write spBv1.0/assembly/DDEATH/edge-1/#
topic write spBv1.0/assembly/NBIRTH/edge-1
topic write spBv1.0/assembly/NDATA/edge-1
topic write spBv1.0/assembly/DBIRTH/edge-1/#
topic write spBv1.0/assembly/DDATA/edge-1/#
topic read spBv1.0/assembly/NCMD/edge-1
topic read spBv1.0/STATE/linetwin
`

// ruled is a Mosquitto with users "twin" and "edge", whose password is
// "secret", and all rules but those that contain one of the words.
func ruled(t testing.TB, without ...string) *testBroker {
	t.Helper()
	folder := t.TempDir()
	passwords, acl := filepath.Join(folder, "passwords"), filepath.Join(folder, "acl")
	var rules []string
	for line := range strings.Lines(everything) {
		keep := true
		for _, w := range without {
			keep = keep && !strings.Contains(line, w)
		}
		if keep {
			rules = append(rules, line)
		}
	}
	if err := os.WriteFile(acl, []byte(strings.Join(rules, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newMosquitto(t, false) // skips where there is none
	for i, user := range []string{"twin", "edge"} {
		args := []string{"-b", passwords, user, "secret"}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command("mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v %s", err, out)
		}
	}
	b.run = secured(t, "allow_anonymous false\npassword_file "+passwords+"\nacl_file "+acl+"\n").again(b)
	return b
}

// again makes b the same broker.
func (o *testBroker) again(b *testBroker) func() (func(), error) {
	*b = *o
	return o.run
}

func as(user, url string, more ...string) Connection {
	c := connection(url)
	c.Brokers = append(c.Brokers, more...)
	c.User, c.Password = user, "secret"
	return c
}

// silent is an edge that asks its host soon.
func silent(t testing.TB, conn Connection, node Node) *Edge {
	t.Helper()
	e, err := NewEdge(EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: conn}, node, quiet())
	if err != nil {
		t.Fatal(err)
	}
	e.silence = 200 * time.Millisecond
	running(t, e.Run)
	return e
}

func silentHost(t testing.TB, conn Connection, s Sink) *Host {
	t.Helper()
	h, err := NewHost(HostConfig{Connection: conn}, s, quiet())
	if err != nil {
		t.Fatal(err)
	}
	h.silence = 200 * time.Millisecond
	running(t, h.Run)
	until(t, "host online", h.Online)
	return h
}

// notes publishes a batch and waits for what the edge then has to tell.
func (e *Edge) notes(t testing.TB) string {
	t.Helper()
	var text string
	until(t, "a note", func() bool {
		if err := e.Publish(theBatch(7)); err != nil {
			return false
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		text = strings.Join(e.wireStatus(time.Now()).Notes, "; ")
		return text != ""
	})
	return text
}

// TestForbidden: Mosquitto tells nobody that it drops what a user may not say,
// or keeps what it may not hear. It is noticed all the same, at both ends.
func TestForbidden(t *testing.T) {
	deaf := `host "linetwin" does not answer at %s, although its STATE there says online since *. Either the broker does not let user "edge" publish spBv1.0/assembly/+/edge-1/# or read spBv1.0/assembly/NCMD/edge-1 (see its access list; linetwin probe --wire tries it), or the host is at another broker or died without a will`
	for name, without := range map[string][]string{
		"to read commands": {"read spBv1.0/assembly/NCMD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := ruled(t, without...)
			silentHost(t, as("twin", b.url), newSink())
			e := silent(t, as("edge", b.url), newNode(theBirth()))
			expect(t, name, e.notes(t), fmt.Sprintf(deaf, b.url))
		})
	}
	t.Run("to publish", func(t *testing.T) {
		t.Parallel()
		b := ruled(t, "write spBv1.0/assembly")
		silentHost(t, as("twin", b.url), newSink())
		e := silent(t, as("edge", b.url), newNode(theBirth()))
		// Mosquitto 2.0.11 closes the connection; others drop the messages.
		closes := `the broker at ` + b.url + ` closes the connection when we publish: its access list does not let user "edge" publish spBv1.0/assembly/+/edge-1/#, or another client has our client id linetwin-edge-assembly-edge-1`
		drops := strings.ReplaceAll(fmt.Sprintf(deaf, b.url), "*", "")
		until(t, closes, func() bool {
			_ = e.Publish(theBatch(7))
			e.mu.Lock()
			defer e.mu.Unlock()
			w := e.wireStatus(time.Now())
			return w.LastFault == closes || len(w.Notes) > 0 && len(w.Notes[0]) > len(drops)
		})
	})
	t.Run("the twin to command", func(t *testing.T) {
		t.Parallel()
		b := ruled(t, "write spBv1.0/+/NCMD")
		h := silentHost(t, as("twin", b.url), newSink())
		e := silent(t, as("edge", b.url), newNode(theBirth()))
		closes := `the broker at ` + b.url + ` closed the connection when we sent a command: it was stopped, or its access list does not let user "twin" publish spBv1.0/+/NCMD/+, or another client has our client id linetwin-host-linetwin`
		drops := strings.ReplaceAll(fmt.Sprintf(deaf, b.url), "*", "")
		until(t, closes, func() bool {
			_ = e.Publish(theBatch(7))
			e.mu.Lock()
			defer e.mu.Unlock()
			w := e.wireStatus(time.Now())
			return h.Wire().LastFault == closes || len(w.Notes) > 0 && len(w.Notes[0]) > len(drops)
		})
	})
	t.Run("to read STATE", func(t *testing.T) {
		t.Parallel()
		b := ruled(t, "topic read spBv1.0/STATE/linetwin")
		silentHost(t, as("twin", b.url), newSink())
		e := silent(t, as("edge", b.url), newNode(theBirth()))
		want := `connected to ` + b.url + `, but primary host "linetwin" was never online there: start the twin at this broker with broker.host "linetwin", and let the broker give user "edge" the topic spBv1.0/STATE/linetwin to read`
		until(t, want, func() bool { return e.Err() != nil && e.Err().Error() == want })
	})
	for name, c := range map[string]struct{ without, want string }{
		"the twin its STATE":   {"STATE/#", `our own STATE does not come back from %s: the broker does not let user "twin" publish or read spBv1.0/STATE/linetwin (see its access list); gateways wait for it and send nothing`},
		"the twin to read all": {"topic read spBv1.0/+", `no edge node was heard at %s since *: none is there, or the broker does not let user "twin" read spBv1.0/+/NBIRTH/+ and the like (see its access list)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := ruled(t, c.without)
			h := silentHost(t, as("twin", b.url), newSink())
			silent(t, as("edge", b.url), newNode(theBirth()))
			until(t, "a note", func() bool { return len(h.Wire().Notes) > 0 })
			expect(t, name, h.Wire().Notes[0], fmt.Sprintf(c.want, b.url))
		})
	}
}

// TestHistoryThatDoesNotStore: a host that hears us and acknowledges nothing
// is told apart from one that does not hear us, and is not left.
func TestHistoryThatDoesNotStore(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		h := silentHost(t, connection(b.url), newSink())
		node := newNode(theBirth())
		conn := connection(b.url)
		conn.Brokers = append(conn.Brokers, fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t)))
		e := silent(t, conn, node)
		await(t, "link", node.linked)
		expect(t, "note", e.notes(t), `host "linetwin" hears us at `+b.url+`, and has acknowledged nothing that was sent since *: its history does not store; see the notices on its page /gateways, and /readyz`)
		if err := h.Acknowledge(plant.Acknowledgement{Gateway: "edge-1", Session: "s1", Through: 7}); err != nil {
			t.Fatal(err)
		}
		await(t, "acknowledgement", node.acks)
		until(t, "the note is gone", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.answers.note == ""
		})
		if n := e.Stats().Connects; n != 1 {
			t.Errorf("%d sessions: it left a broker whose host is there", n)
		}
		if s := h.Stats(); s.Gaps+s.Rebirths > 0 {
			t.Errorf("questions cost %d gaps and %d rebirths", s.Gaps, s.Rebirths)
		}
	})
}

// TestStaleState: a broker that retains the STATE of a host that is gone does
// not hold a gateway that knows another broker.
func TestStaleState(t *testing.T) {
	stale, b := newNATS(t, false), newNATS(t, false)
	stale.start(t)
	b.start(t)
	p := newPeer(t, stale.url, "ghost")
	p.do(p.c.Publish(stateTopic(DefaultHost), 1, true, hostState{true, time.Now().UnixMilli()}.encode()))
	runHost(t, HostConfig{Connection: connection(b.url)}, newSink())
	node := newNode(theBirth())
	conn := connection(stale.url)
	conn.Brokers = append(conn.Brokers, b.url)
	e := silent(t, conn, node)
	await(t, "link at the stale broker", node.linked)
	until(t, "left for the other broker", func() bool {
		_ = e.Publish(theBatch(7))
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.link != nil && e.link.broker == b.url
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	expect(t, "fault", e.wireStatus(time.Now()).LastFault, `left `+stale.url+`: host "linetwin" does not answer at `+stale.url+`, *`)
}

// TestBrokersInTurn: the brokers are tried in the order of the settings; a
// gateway follows its host to whichever broker it is at, and stays there while
// the connection stands, also when the first one is back.
func TestBrokersInTurn(t *testing.T) {
	first, second := newNATS(t, false), newNATS(t, false)
	first.start(t)
	second.start(t)
	brokers := func() Connection {
		c := connection(first.url)
		c.Brokers = append(c.Brokers, second.url)
		return c
	}
	at := func(broker string) bool { return true }
	h, _ := runHost(t, HostConfig{Connection: brokers()}, newSink())
	node := newNode(theBirth())
	e := silent(t, brokers(), node)
	at = func(broker string) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.link != nil && e.link.broker == broker && h.Online() && h.link.Load().broker == broker
	}
	until(t, "both at the first", func() bool { return at(first.url) })
	first.stop()
	until(t, "both at the second", func() bool { return at(second.url) })
	first.start(t)
	if n := e.Stats().Connects; n != 2 || !at(second.url) {
		t.Errorf("%d sessions; want both to stay at the second", n)
	}
	second.stop()
	until(t, "both at the first again", func() bool { return at(first.url) })
}

// TestSilentFrozenBroker: a broker that is frozen is noticed by an end that
// only listens, and the message says what it is.
func TestSilentFrozenBroker(t *testing.T) {
	b := newMosquitto(t, false)
	b.start(t)
	conn := connection(b.url)
	conn.KeepAlive = time.Second
	h, _ := runHost(t, HostConfig{Connection: conn}, newSink())
	if err := b.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	until(t, "loss", func() bool { return !h.Online() })
	t.Logf("noticed after %v", time.Since(began))
	want := "connection to " + b.url + " lost: the broker was silent for more than 1s: it is frozen, or the network swallows the packets"
	until(t, want, func() bool { return h.Wire().LastFault == want })
	if err := b.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "online again", h.Online)
}

// TestHandOver: an end that stops says so (NDEATH, then DISCONNECT, so that
// the broker forgets the will), after what it was given is out.
func TestHandOver(t *testing.T) {
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		p := newPeer(t, b.url, "other", "spBv1.0/+/DDATA/+/+", "spBv1.0/+/NDEATH/+")
		node := newNode(theBirth())
		conn := connection(b.url)
		conn.KeepAlive, conn.WriteTimeout = patience, patience // a slow machine must not look like a loss
		e, err := NewEdge(EdgeConfig{Area: "assembly", Gateway: "edge-1", Connection: conn, Acknowledge: AcknowledgeBroker}, node, quiet())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		await(t, "link", node.linked)
		const n = 100
		for i := range n {
			if err := e.Publish(theBatch(uint64(7 + i))); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		await(t, "end of Run", done)
		kinds := p.kinds(n + 1)
		if last := kinds[n]; last != "NDEATH" || strings.Count(strings.Join(kinds, " "), "NDEATH") != 1 {
			t.Errorf("after %d batches came %s", n, last)
		}
		p.publish("spBv1.0/assembly/DDATA/edge-1/end", nil) // after it, a will would have come
		if got := p.kinds(1); got[0] != "DDATA end" {
			t.Errorf("heard %s after the goodbye: the broker took it for a loss", got[0])
		}
	})
}

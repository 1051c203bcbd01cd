package sparkplug

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"linetwin/plant"
)

// npmFolder is where npm's packages are.
func npmFolder(t *testing.T) string {
	folder := os.Getenv("LINETWIN_NPM_TESTS")
	if folder == "" {
		t.Skip("LINETWIN_NPM_TESTS names no folder with npm's sparkplug-client@3.2.4 installed")
	}
	return folder
}

// script is a program of another maker that runs.
type script struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte
}

func runScript(t *testing.T, name string, args ...string) *script {
	t.Helper()
	s := &script{t: t, cmd: exec.Command("node", append([]string{"testdata/" + name, npmFolder(t)}, args...)...), lines: make(chan []byte, 10000)}
	s.cmd.Stderr = os.Stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			s.lines <- slices.Clone(scan.Bytes())
		}
	}()
	t.Cleanup(s.kill)
	return s
}

// kill ends the program as a power cut does.
func (s *script) kill() {
	_ = s.cmd.Process.Kill()
	for range s.lines {
	}
	_ = s.cmd.Wait()
}

func (s *script) say(word string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, word+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// npmMessage is what host.js heard.
type npmMessage struct {
	Kind, Group, Node, Device string
	Payload                   struct {
		Seq     any
		Metrics []struct {
			Name         string
			Type         string
			Value        any
			IsHistorical bool
			Properties   map[string]struct{ Value any }
		}
	}
}

func (m *npmMessage) String() string { return strings.TrimSpace(m.Kind + " " + m.Device) }

// values gives the metrics as "name=value".
func (m *npmMessage) values() []string {
	var list []string
	for _, x := range m.Payload.Metrics {
		s := fmt.Sprint(x.Name, "=", x.Value)
		if q, ok := x.Properties["Quality"]; ok {
			s += fmt.Sprint(" q", q.Value)
		}
		list = append(list, s)
	}
	return list
}

func (s *script) hear() (m npmMessage) {
	s.t.Helper()
	if err := json.Unmarshal(await(s.t, "message of the script", s.lines), &m); err != nil {
		s.t.Fatal(err)
	}
	return m
}

// A foreign edge node is read by our host: every data type, templates and data
// sets without harm, compressed messages, commands, death, and a kill.
func TestNPMEdgeNode(t *testing.T) {
	npmFolder(t)
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		sink := newSink()
		h, _ := runHost(t, HostConfig{Connection: connection(b.url)}, sink)
		node := runScript(t, "edge.js", b.url, "plant", "npm")
		born := func(what string) *plant.GatewayBirth {
			t.Helper()
			return sink.next(t, what, func(e event) bool { return e.birth != nil && len(e.birth.Devices) == 2 }).birth
		}
		batch := func(machine string) []string {
			t.Helper()
			var got []string
			for _, r := range sink.next(t, "batch of "+machine, func(e event) bool { return e.batch != nil && e.batch.Machine == machine }).batch.Readings {
				got = append(got, fmt.Sprint(r.Signal, "=", r.Value, " ", r.Quality))
			}
			return got
		}
		birth := born("birth")
		if d := birth.Devices[1]; birth.Session != "" || d.Machine != "press" || !d.Online || len(d.Signals) != 18 || d.Signals[9].Unit != "kN" {
			t.Errorf("birth %+v", birth)
		}
		want := []string{"Int8=-128 good", "Int16=-32768 good", "Int32=-2147483648 good", "Int64=-9007199254740991 good", "UInt8=255 good", "UInt16=65535 good",
			"UInt32=4294967295 good", "UInt64=9007199254740991 good", "Float=0.5 good", "Double=-0.1 good", "Boolean=true good", "String=断路器 good",
			"DateTime=1760000000000 good", "Text=words good", "UUID=5ab2b5a4-6f7d-4d0f-9d7c-2d3f0d2b3c11 good", "Null=– bad", "Poor=3 uncertain", "Folder/Deep/Name=1 good"}
		if got := batch("press"); !slices.Equal(got, want) {
			t.Errorf("birth says\n%q\nwant\n%q", got, want)
		}
		n := 0
		data := func(word string) {
			t.Helper()
			n++
			node.say(word)
			if got, want := batch("press"), []string{fmt.Sprintf("Int32=%d good", n), fmt.Sprintf("Double=%v good", float64(n)/2)}; !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", word, got, want)
			}
		}
		for _, word := range []string{"data", "deflate", "gzip", "complex", "data"} {
			data(word)
		}
		node.say("node")
		if got := batch("npm"); !slices.Equal(got, []string{"Uptime=2 good"}) {
			t.Errorf("NDATA %q", got)
		}
		node.say("many") // seq wraps
		for range 600 {
			batch("press")
		}
		n += 600
		// 5 in the births that no reading can hold, and 4 in "complex".
		if s := h.Stats(); s.Gaps != 0 || s.Rebirths != 0 || s.Unresolved != 0 || len(s.Foreign) != 0 || s.Skipped != 5 {
			t.Errorf("stats %+v", s)
		}

		// A message is lost: after the reorder timeout a rebirth is asked for, and
		// comes, and what was said meanwhile is not lost.
		node.say("lose")
		data("data")
		born("rebirth")
		if s := h.Stats(); s.Gaps != 1 || s.Rebirths != 1 {
			t.Errorf("stats %+v", s)
		}
		var asked bool
		for !asked {
			line := string(await(t, "NCMD", node.lines))
			asked = strings.Contains(line, `"ncmd"`) && strings.Contains(line, `"name":"Node Control/Rebirth"`) && strings.Contains(line, `"value":true`)
		}
		newPeer(t, b.url, "scada").publish("spBv1.0/plant/DCMD/npm/press", pack(1, -1, double("Double", 0, 1, 5)))
		if line := string(await(t, "DCMD", node.lines)); !strings.Contains(line, `"dcmd"`) {
			t.Errorf("heard %s", line)
		}

		node.say("ddeath")
		sink.next(t, "DDEATH", func(e event) bool { return e.birth != nil && len(e.birth.Devices) == 2 && !e.birth.Devices[1].Online })
		data("data") // of a device that is dead: taken, and a rebirth asked for
		if got := born("rebirth"); !got.Devices[1].Online {
			t.Errorf("born again as %+v", got)
		}
		node.kill()
		if got := sink.nextDeath(t); got != "plant/npm" {
			t.Errorf("death of %s", got)
		}
		node = runScript(t, "edge.js", b.url, "plant", "npm")
		n = 0
		born("birth after the kill")
		batch("press")
		data("data")
		node.say("stop")
		sink.nextDeath(t)
	})
}

// A foreign host reads our gateway, is killed, and reads on when it is back.
func TestNPMHost(t *testing.T) {
	npmFolder(t)
	overBrokers(t, false, func(t *testing.T, b *testBroker) {
		node := newNode(theBirth())
		e, _ := runEdge(t, EdgeConfig{Connection: connection(b.url), Acknowledge: AcknowledgeBroker, Host: "scada"}, node)
		until(t, "waits for the host", func() bool { return e.Err() != nil && strings.Contains(e.Err().Error(), "scada") })
		host := runScript(t, "host.js", b.url, "scada")
		births := func() {
			t.Helper()
			var got []string
			for range 4 {
				m := host.hear()
				got = append(got, m.String())
				if m.Device == "riveting" {
					want := []string{"Delivery/Session=s1", "Delivery/Sequence=<nil>", "Delivery/Complete Through=<nil>", "Delivery/Complete From=<nil>",
						"state=18446744073709551613", "temperature=<nil> q0", "running=<nil>", "product=断路器", "never=<nil>"}
					if got := m.values(); !slices.Equal(got, want) {
						t.Errorf("DBIRTH %q, want %q", got, want)
					}
				}
			}
			if want := []string{"NBIRTH", "DBIRTH riveting", "DBIRTH welding", "DDEATH welding"}; !slices.Equal(got, want) {
				t.Errorf("births %q, want %q", got, want)
			}
		}
		data := func(n uint64, historical bool) {
			t.Helper()
			sent := theBatch(n)
			sent.Historical = historical
			if err := e.Publish(sent); err != nil {
				t.Fatal(err)
			}
			m := host.hear()
			want := []string{fmt.Sprint("state=", n), "temperature=21.5 q500", "running=true", "product=NB1-C16", "never=<nil> q0"}
			if got := m.values(); m.String() != "DDATA riveting" || len(got) != 8 || !slices.Equal(got[3:], want) || m.Payload.Metrics[3].IsHistorical != historical {
				t.Errorf("%s %q, want %q", m.String(), got, want)
			}
		}
		await(t, "link", node.linked)
		births()
		for n := uint64(7); n < 300; n++ {
			data(n, n%2 == 0)
		}
		until(t, "receipt", func() bool { return (await(t, "receipt", node.acks)).Through == 299 })
		if err := e.Status(&plant.GatewayStatus{Area: "assembly", Gateway: "edge-1", Made: 12}); err != nil {
			t.Fatal(err)
		}
		if m := host.hear(); m.String() != "NDATA" || !slices.Contains(m.values(), "Gateway/Made=12") {
			t.Errorf("%s %q", m.String(), m.values())
		}
		host.say("assembly/edge-1")
		births()
		data(300, false)
		until(t, "receipt", func() bool { return (await(t, "receipt", node.acks)).Through == 300 })
		if s := e.Stats(); s.Refused != 0 || s.Dropped != 0 {
			t.Errorf("stats %+v", s)
		}

		host.kill()
		if await(t, "loss", node.linked) {
			t.Error("linked to a host that is dead")
		}
		if err := e.Publish(theBatch(301)); err == nil {
			t.Error("published to nobody")
		}
		host = runScript(t, "host.js", b.url, "scada")
		await(t, "link", node.linked)
		births()
		data(301, true)
		until(t, "receipt", func() bool { return (await(t, "receipt", node.acks)).Through == 301 })
	})
}

package opcua

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// bandProcess is a node-opcua server in a process of its own.
type bandProcess struct {
	url string
	in  io.Writer
}

func startBandProcess(t *testing.T, script string) *bandProcess {
	t.Helper()
	folder := os.Getenv("LINETWIN_NPM_TESTS")
	if folder == "" {
		t.Skip("LINETWIN_NPM_TESTS names no folder with npm's node-opcua@2.165.1 installed")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close() // the server wants to know its port beforehand
	cmd := exec.Command("node", script, fmt.Sprint(port))
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(folder, "node_modules"), "LINETWIN_TEST_FOLDER="+t.TempDir())
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // which ends it
		io.Copy(io.Discard, out)
		cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == fmt.Sprintf("ready %d", port) {
			return &bandProcess{url: fmt.Sprintf("opc.tcp://127.0.0.1:%d", port), in: in}
		}
	}
	t.Fatalf("the server did not start: %s", stderr)
	return nil
}

func (s *bandProcess) set(name string, value any) { fmt.Fprintln(s.in, name, value) }

// A server that can do deadbands does them: what it holds back never crosses
// the wire, and what it tells is what the gateway would have told.
func TestDeadbandsOfAForeignServer(t *testing.T) {
	s := startBandProcess(t, filepath.Join("testdata", "deadband", "server.js"))
	cfg := Config{URL: s.url, Security: "None", Mode: ModeSubscribe, Publishing: 50 * time.Millisecond, Sampling: 50 * time.Millisecond, Queue: 50, Timeout: 10 * time.Second}
	node := func(name string) string { return "nsu=urn:linetwin:test:deadband;s=" + name }
	signals := []Signal{{Name: "absolute", Node: node("plain"), Type: "float64", Scale: new(10.0), Deadband: 50}, // 5 of the node's
		{Name: "percent", Node: node("ranged"), Type: "float64", DeadbandPercent: 10},                 // 20 of 200
		{Name: "nothing", Node: node("ranged"), Type: "float64", Group: "all"},                        // shows that the node did change
		{Name: "unknown", Node: node("marker"), Type: "float64", DeadbandPercent: 10},                 // has no range
		{Name: "polled", Node: node("ranged"), Type: "float64", DeadbandPercent: 25, Group: "polled"}, // 50 of 200
		{Name: "marker", Node: node("marker"), Type: "float64", Group: "all"}}
	cfg.Groups = []Group{{Name: "all"}, {Name: "polled", Mode: ModePoll}}
	d, err := New("m", 20*time.Millisecond, cfg, signals, testLog(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	waitFor(t, func() bool { return d.Connect(t.Context()) == nil })
	told := map[string][]string{}
	n := 0
	settle := func() { // until a later change of another node has come: twice, since reports hold no order
		t.Helper()
		for range 2 {
			n++
			want := plant.Float(float64(n))
			s.set("marker", n)
			waitFor(t, func() bool {
				found := false
				for _, r := range poll(t, d).Readings {
					found = found || r.Signal == "marker" && r.Value == want
					text := r.Value.String()
					if r.Quality != plant.Good {
						text = r.Reason
					}
					if all := told[r.Signal]; len(all) == 0 || all[len(all)-1] != text {
						told[r.Signal] = append(all, text)
					}
				}
				return found
			})
		}
	}
	settle()
	for _, v := range []int{5, 10, 20, 21, 40, 62, 60} {
		s.set("ranged", v)
		settle()
	}
	for _, v := range []int{3, 5, 6, 2, 0} {
		s.set("plain", v)
		settle()
	}
	s.set("ranged", "bad")
	s.set("plain", "bad")
	settle()
	for signal, want := range map[string][]string{
		"absolute": {"0", "60", "0", "BadSensorFailure"},
		"percent":  {"0", "21", "62", "BadSensorFailure"},
		"nothing":  {"0", "5", "10", "20", "21", "40", "62", "60", "BadSensorFailure"},
		"polled":   {"0", "62", "BadSensorFailure"},
	} {
		if !slices.Equal(told[signal], want) {
			t.Errorf("%s told %v, want %v", signal, told[signal], want)
		}
	}
	if len(told["unknown"]) < n {
		t.Errorf("of %d changes %d were told where the range is unknown", n, len(told["unknown"]))
	}
	t.Logf("notes: %q", d.Notes())
	absolute, percent, unknown := &d.targets[d.signals[0].target], &d.targets[d.signals[1].target], &d.targets[d.signals[3].target]
	if !absolute.filtered || !percent.filtered || unknown.filtered {
		t.Errorf("applied by the server: %v %v %v, want the first two", absolute.filtered, percent.filtered, unknown.filtered)
	}
	if notes := strings.Join(d.Notes(), "\n"); !strings.Contains(notes, "the node has no EURange: unknown") {
		t.Errorf("notes %q", notes)
	}
}

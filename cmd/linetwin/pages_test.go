package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"linetwin/plant"
)

// demoRun is the demo as a person starts it, with its plant's control.
type demoRun struct {
	*process
	data    string
	api     string
	control string
	began   time.Time
}

func startDemo(t *testing.T, past, data string) *demoRun {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	listen, control := freePort(t), freePort(t)
	return &demoRun{
		began: time.Now(), data: data, api: "http://" + listen, control: "http://" + control,
		process: spawn(t, "demo", path, "demo", "--history", past, "--data", data, "--listen", listen, "--control", control, "--log", "warn"),
	}
}

// figured tells whether both lines have a state, counts and an OEE.
func (d *demoRun) figured() bool {
	var lines []plant.LineSnapshot
	if err := get(d.api+"/api/v1/lines", &lines); err != nil || len(lines) != 2 {
		return false
	}
	for _, l := range lines {
		if l.State.Class == plant.ClassUnknown || l.Good == 0 || l.OEE == nil {
			return false
		}
	}
	return true
}

// filled tells whether the past is produced and none of it waits in a gateway.
func (d *demoRun) filled() bool {
	raw, err := os.ReadFile(filepath.Join(d.data, "demo.json"))
	if err != nil {
		return false
	}
	var state demoState
	if json.Unmarshal(raw, &state) != nil || !state.Filled {
		return false
	}
	var s plant.Snapshot
	if err := d.snapshot(&s); err != nil || s.Backlog != nil || len(s.Gateways) == 0 {
		return false
	}
	for _, g := range s.Gateways {
		if g.Waiting > 1000 {
			return false
		}
	}
	return true
}

// snapshot reads the first event of the stream.
func (d *demoRun) snapshot(into *plant.Snapshot) error {
	res, err := http.Get(d.api + "/api/v1/events")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var text strings.Builder
	for part := make([]byte, 1<<16); !strings.Contains(text.String(), "\n\n"); {
		n, err := res.Body.Read(part)
		text.Write(part[:n])
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
	}
	_, data, _ := strings.Cut(text.String(), "data: ")
	data, _, _ = strings.Cut(data, "\n\n")
	return json.Unmarshal([]byte(data), into)
}

// settle waits until the past is in and folded, and gives for how long each
// machine ran in a span of it: what is stored is folded a little later.
func (d *demoRun) settle(span plant.Span) map[string]time.Duration {
	d.t.Helper()
	eventually(d.t, "the past is in", d.filled)
	var last map[string]time.Duration
	var since time.Time
	eventually(d.t, "the past is folded", func() bool {
		now := worked(d.t, d.api, span)
		if !maps.Equal(now, last) {
			last, since = now, time.Now()
		}
		for _, ran := range now {
			if ran == 0 {
				return false
			}
		}
		return time.Since(since) > 3*time.Second
	})
	eventually(d.t, "two lines with state, counts and OEE", d.figured)
	return last
}

// interrupt ends the demo as Ctrl-C does, and gives how long that took.
func (d *demoRun) interrupt() time.Duration {
	d.t.Helper()
	began := time.Now()
	if err := d.end(syscall.SIGINT); err != nil {
		d.t.Errorf("demo after an interrupt: %v, want exit code 0", err)
	}
	took := time.Since(began)
	if took > 15*time.Second {
		d.t.Errorf("demo took %v to end, want 5 s", took)
	}
	return took
}

func TestDemo(t *testing.T) {
	data := t.TempDir()
	d := startDemo(t, "2h", data)
	eventually(t, "two lines with state, counts and OEE", d.figured)
	t.Logf("two lines with state, counts and OEE after %v (want 30 s)", time.Since(d.began).Round(100*time.Millisecond))
	if urls := regexp.MustCompile(`https?://\S+`).FindAllString(strings.Join(said(d.log, "LineTwin is at"), "\n"), -1); len(urls) != 1 || strings.TrimSuffix(urls[0], "/") != d.api {
		t.Errorf("printed URLs %q, want one: %s", urls, d.api)
	}
	past := plant.Span{From: plant.Stamp(d.began.Add(-90 * time.Minute)), To: plant.Stamp(d.began.Add(-10 * time.Minute))}
	was := d.settle(past)
	t.Logf("the past of 2 h is in after %v", time.Since(d.began).Round(100*time.Millisecond))
	before := mustGet[[]plant.LineSnapshot](t, d.api+"/api/v1/lines")
	t.Logf("an interrupt ended it in %v (want 5 s)", d.interrupt().Round(10*time.Millisecond))

	d = startDemo(t, "2h", data)
	eventually(t, "two lines with state, counts and OEE after the restart", d.figured)
	t.Logf("the second start has them after %v", time.Since(d.began).Round(100*time.Millisecond))
	is := d.settle(past)
	t.Logf("and the past after %v", time.Since(d.began).Round(100*time.Millisecond))
	for i, l := range mustGet[[]plant.LineSnapshot](t, d.api+"/api/v1/lines") {
		if b := before[i]; sameShift(b.Shift, l.Shift) && l.Good < b.Good {
			t.Errorf("line %s has %d good pieces in its shift, before the restart %d", l.ID, l.Good, b.Good)
		}
	}
	for machine, ran := range was {
		if is[machine] != ran {
			t.Errorf("machine %s ran %v of the time before the restart; before it, it was %v", machine, is[machine], ran)
		}
	}
	d.interrupt()
}

func said(log *lockedBuffer, what string) (lines []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, what) {
			lines = append(lines, line)
		}
	}
	return lines
}

func sameShift(a, b *plant.ShiftInstance) bool {
	return a == b || a != nil && b != nil && a.Span == b.Span
}

// worked gives for how long each machine of line A ran in a span, by the
// timeline.
func worked(t *testing.T, api string, span plant.Span) map[string]time.Duration {
	t.Helper()
	tl := mustGet[plant.Timeline](t, fmt.Sprintf("%s/api/v1/lines/mcb-a/timeline?from=%s&to=%s", api, span.From, span.To))
	ran := map[string]time.Duration{}
	for _, m := range tl.Machines {
		for _, s := range m.Segments {
			if s.Class == plant.ClassRun {
				ran[m.Machine] += min(s.To, span.To).Sub(max(s.From, span.From))
			}
		}
	}
	return ran
}

// TestPages opens the pages of a real demo in a real browser: every page in
// both languages, what people do and say there, and how soon a machine's change is seen.
func TestPages(t *testing.T) {
	ui, err := filepath.Abs("../../web/ui")
	if err != nil {
		t.Fatal(err)
	}
	node, chromium := browserTools(t, ui)
	d := startDemo(t, "12h", t.TempDir())
	d.settle(plant.Span{From: plant.Stamp(d.began.Add(-11 * time.Hour)), To: plant.Stamp(d.began.Add(-10 * time.Minute))})
	t.Logf("the past of 12 h is in after %v", time.Since(d.began).Round(100*time.Millisecond))
	hook := httptest.NewServer(&toggle{control: d.control})
	defer hook.Close()

	cmd := exec.CommandContext(t.Context(), node, "e2e/run.mjs")
	cmd.Dir = ui
	cmd.Env = append(os.Environ(), "BASE_URL="+d.api, "HOOK_URL="+hook.URL, "CHROMIUM="+chromium, "MATRIX=short", "SAY=1")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "FAIL") {
			t.Error(strings.TrimSpace(line))
		} else if strings.Contains(line, "latency") || strings.Contains(line, " passed, ") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("node e2e/run.mjs: %v\n%s", err, tail(string(out), 4000))
	}
}

// browserTools gives the programs that look at pages, or skips the test.
func browserTools(t *testing.T, ui string) (node, chromium string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node found: apt-get install nodejs")
	}
	for path, repair := range map[string]string{"node_modules": "npm ci", "dist/index.html": "npm run build"} {
		if _, err := os.Stat(filepath.Join(ui, path)); err != nil {
			t.Skipf("web/ui/%s is missing: run %s in web/ui", path, repair)
		}
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if chromium, err = exec.LookPath(name); err == nil {
			return node, chromium
		}
	}
	t.Skip("no chromium found: apt-get install chromium")
	return "", ""
}

// toggle is asked with ?machine= to change a machine's state, and answers what
// it is now: its PackML state goes from execute (6) to held (11) and back.
type toggle struct {
	control string // URL of the plant's control

	mu   sync.Mutex
	held map[string]bool
}

func (h *toggle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	machine := r.FormValue("machine")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[string]bool{}
	}
	value, class := 11, plant.ClassStop
	if h.held[machine] {
		value, class = 6, plant.ClassRun
	}
	if err := set(h.control, machine, value); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	h.held[machine] = !h.held[machine]
	json.NewEncoder(w).Encode(map[string]string{"machine": machine, "class": class.String()}) // who asked is gone if this fails
}

func set(control, machine string, state int) error {
	body, err := json.Marshal(map[string]any{"machine": machine, "signal": "state", "value": state})
	if err != nil {
		return err
	}
	res, err := http.Post(control+"/set", "application/json", strings.NewReader(string(body)))
	if err != nil {
		return fmt.Errorf("set the state of %s: %w", machine, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New("set the state of " + machine + ": " + res.Status)
	}
	return nil
}

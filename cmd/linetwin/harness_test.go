package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

// binary builds the program once for all tests of the package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "linetwin-e2e")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "linetwin")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is a child of the test.
type process struct {
	t    *testing.T
	name string
	args []string
	cmd  *exec.Cmd
	done chan error
	log  *lockedBuffer
}

// lockedBuffer keeps what a process says.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// spawn starts a program; it is killed at the test's end.
func spawn(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, args: append([]string{path}, args...), log: &lockedBuffer{}}
	p.start()
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("last words of %s:\n%s", p.name, tail(p.log.String(), 4000))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.name, err)
	}
	p.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(p.cmd, p.done)
}

// end sends a signal and waits until the process is gone.
func (p *process) end(sig syscall.Signal) error {
	if p.cmd == nil {
		return nil
	}
	p.cmd.Process.Signal(sig)
	err := <-p.done
	p.cmd = nil
	return err
}

func (p *process) says(what string) {
	p.t.Helper()
	eventually(p.t, p.name+" says "+what, func() bool { return strings.Contains(p.log.String(), what) })
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get reads JSON; it gives an error while the server is away.
func get(url string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return json.Unmarshal(body, into)
}

func mustGet[T any](t *testing.T, url string) T {
	t.Helper()
	var v T
	if err := get(url, &v); err != nil {
		t.Fatalf("get %s: %v", url, err)
	}
	return v
}

func post(t *testing.T, url string, body any) {
	t.Helper()
	if err := tryPost(t, url, body); err != nil {
		t.Fatal(err)
	}
}

func tryPost(t *testing.T, url string, body any) error {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(url, "application/json", bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("post %s: %v", url, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		return fmt.Errorf("post %s: %s %s", url, res.Status, b)
	}
	return nil
}

// factory is the whole chain as separate processes: simulated plant,
// Mosquitto, two gateways, the twin, and a real InfluxDB.
type factory struct {
	t        *testing.T
	dir      string
	speed    float64
	began    time.Time // when the plant was started
	influx   *historytest.Influxd
	broker   *process
	plant    *process
	edges    map[string]*process
	twin     *process
	brokerAt string // host:port
	control  string // of the plant
	api      string // of the twin
}

const database = "linetwin"

func newFactory(t *testing.T, speed float64) *factory {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	mosquitto, err := exec.LookPath("mosquitto")
	if err != nil {
		if mosquitto = "/usr/sbin/mosquitto"; !executable(mosquitto) {
			t.Skip("no mosquitto found: apt-get install mosquitto")
		}
	}
	f := &factory{t: t, dir: t.TempDir(), speed: speed, edges: map[string]*process{}}
	f.influx = historytest.StartInfluxd(t)
	f.influx.CreateDatabase(t, database)

	f.brokerAt = freePort(t)
	_, port, _ := net.SplitHostPort(f.brokerAt)
	f.write("mosquitto.conf", fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n", port))
	f.broker = spawn(t, "mosquitto", mosquitto, "-c", filepath.Join(f.dir, "mosquitto.conf"))

	f.control, f.api = "http://"+freePort(t), "http://"+freePort(t)
	opc, modbus := freePort(t), "127.0.0.1:0"
	f.began = time.Now()
	f.plant = spawn(t, "plant", path, "simulate", "--opcua", opc, "--modbus", modbus, "--speed", fmt.Sprint(speed),
		"--continuous", "--data", filepath.Join(f.dir, "plant"), "--control", strings.TrimPrefix(f.control, "http://"))
	f.plant.says("ready")
	f.configure()
	f.twin = spawn(t, "twin", path, "twin", filepath.Join(f.dir, "twin.yaml"))
	for _, edge := range []string{"edge-1", "edge-2"} {
		f.edges[edge] = spawn(t, edge, path, "gateway", filepath.Join(f.dir, edge+".yaml"))
	}
	return f
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

func (f *factory) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// configure writes the settings of the roles: those of the demo, with the
// addresses of this test and one shift around the clock that begins twelve
// hours ago, so that no shift ends while the test runs.
func (f *factory) configure() {
	f.t.Helper()
	raw, err := os.ReadFile("../../configs/demo.yaml")
	if err != nil {
		f.t.Fatal(err)
	}
	var demo struct {
		Gateways []map[string]any `yaml:"gateways"`
		Twin     map[string]any   `yaml:"twin"`
	}
	if err := yaml.Load(raw, &demo); err != nil {
		f.t.Fatal(err)
	}
	urls := map[string]string{}
	status := mustGet[struct {
		Endpoints []struct {
			URL      string   `json:"url"`
			Machines []string `json:"machines"`
		} `json:"endpoints"`
	}](f.t, f.control+"/status")
	for _, e := range status.Endpoints {
		for _, m := range e.Machines {
			urls[m] = e.URL
		}
	}
	for _, g := range demo.Gateways {
		g["wire"] = map[string]any{"brokers": []string{"tcp://" + f.brokerAt}}
		name := g["gateway"].(string)
		g["buffer"] = map[string]any{"folder": filepath.Join(f.dir, name, "buffer")}
		g["certificates"] = filepath.Join(f.dir, name, "pki")
		for _, d := range g["devices"].([]any) {
			d := d.(map[string]any)
			for _, protocol := range []string{"modbus", "opcua"} {
				if p, ok := d[protocol].(map[string]any); ok {
					p["url"] = urls[d["machine"].(string)]
				}
			}
		}
		f.writeYAML(name+".yaml", g)
		f.trust(filepath.Join(f.dir, name, "pki"))
	}
	t := demo.Twin
	t["broker"] = map[string]any{"brokers": []string{"tcp://" + f.brokerAt}}
	t["history"] = map[string]any{"influxdb": map[string]any{"url": f.influx.URL, "database": database, "quarantine": filepath.Join(f.dir, "quarantine.db"),
		"hours_max_age": "876000h"}} // minutes and hours have retention policies of their own
	t["ledger"] = map[string]any{"sqlite": filepath.Join(f.dir, "ledger.db")}
	t["web"] = map[string]any{"listen": strings.TrimPrefix(f.api, "http://")}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		f.t.Fatal(err)
	}
	start := time.Now().In(zone).Add(-12 * time.Hour).Format("15:04")
	t["calendars"] = map[string]any{"three-shift": map[string]any{"shifts": []any{map[string]any{"name": "all", "start": start, "length": "24h"}}}}
	for _, p := range t["products"].([]any) {
		cycles := p.(map[string]any)["ideal_cycle"].(map[string]any)
		for m, c := range cycles {
			d, err := time.ParseDuration(c.(string))
			if err != nil {
				f.t.Fatal(err)
			}
			cycles[m] = time.Duration(float64(d) / f.speed).String()
		}
	}
	f.writeYAML("twin.yaml", t)
}

func (f *factory) writeYAML(name string, v any) {
	f.t.Helper()
	raw, err := yaml.Dump(v)
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(name, string(raw))
}

// trust puts the simulated server's certificate where a gateway looks, as
// factory IT would after a look at its fingerprint.
func (f *factory) trust(folder string) {
	f.t.Helper()
	der, err := os.ReadFile(filepath.Join(f.dir, "plant", "simulator.der"))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(folder, "trusted"), 0o700),
		os.WriteFile(filepath.Join(folder, "trusted", "simulator.der"), der, 0o600)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *factory) line(id string) (l plant.LineSnapshot, err error) {
	err = get(f.api+"/api/v1/lines/"+id, &l)
	return l, err
}

// flowing tells whether both lines have data that is fresh.
func (f *factory) flowing() bool {
	for _, id := range []string{"mcb-a", "mcb-b"} {
		l, err := f.line(id)
		if err != nil || l.DataAgeMs == nil || *l.DataAgeMs > 3000 || l.OEE == nil {
			return false
		}
	}
	return true
}

// command runs one command line.
func command(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = run(ctx, args, &out, &errs)
	return out.String(), errs.String(), err
}

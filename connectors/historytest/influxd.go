package historytest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// howToGet says how to get the version that tests run against.
const howToGet = "run make, or GOBIN=$PWD/.tools/bin go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10"

// Influxd is a real InfluxDB 1.8 with queries in Flux switched on, in folders
// and on a port of its own.
type Influxd struct {
	URL string // http://127.0.0.1:port, the same after a restart

	binary string
	folder string
	listen string
	auth   bool
	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended and its log is read
}

// StartInfluxd starts an InfluxDB, which takes seconds (it sets up all of Flux)
// and ends with the test. The test is
// skipped where there is no influxd: in $LINETWIN_INFLUXD, PATH, GOPATH/bin or
// .tools/bin of the repository.
func StartInfluxd(t testing.TB) *Influxd { return startInfluxd(t, "", false) }

// StartInfluxdIn starts one like StartInfluxd whose files are in a folder that
// is there, which the caller removes.
func StartInfluxdIn(t testing.TB, folder string) *Influxd { return startInfluxd(t, folder, false) }

// StartInfluxdWithUsers starts an InfluxDB that lets nobody in but its users:
// the administrator root, with password root, is there.
func StartInfluxdWithUsers(t testing.TB) *Influxd { return startInfluxd(t, "", true) }

func startInfluxd(t testing.TB, folder string, auth bool) *Influxd {
	t.Helper()
	binary := findInfluxd()
	if binary == "" {
		t.Skip("no influxd found: " + howToGet + ", or set LINETWIN_INFLUXD")
	}
	if folder == "" {
		// Not t.TempDir: its clean-up would fail the test where the process
		// still writes.
		var err error
		if folder, err = os.MkdirTemp("", "influxd"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(folder); err != nil {
				t.Log(err)
			}
		})
	}
	d := &Influxd{binary: binary, folder: folder, listen: "127.0.0.1:0", auth: auth}
	t.Cleanup(func() { d.Stop(t) })
	d.Start(t)
	if auth {
		d.Query(t, "", "CREATE USER root WITH PASSWORD 'root' WITH ALL PRIVILEGES")
	}
	return d
}

func findInfluxd() string {
	places := []string{os.Getenv("LINETWIN_INFLUXD")}
	if p, err := exec.LookPath("influxd"); err == nil {
		places = append(places, p)
	}
	if out, err := exec.Command("go", "env", "GOPATH").Output(); err == nil {
		places = append(places, filepath.Join(strings.TrimSpace(string(out)), "bin", "influxd"))
	}
	if out, err := exec.Command("go", "env", "GOMOD").Output(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), ".tools", "bin", "influxd"))
	}
	for _, p := range places {
		if info, err := os.Stat(p); p != "" && err == nil && !info.IsDir() {
			return p
		}
	}
	return ""
}

const influxdConf = `
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = %[1]q
[data]
  dir = %[2]q
  wal-dir = %[3]q
  query-log-enabled = false
  cache-snapshot-write-cold-duration = "10m"
[monitor]
  store-enabled = false
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
[http]
  bind-address = %[4]q
  auth-enabled = %[5]t
  flux-enabled = true
  log-enabled = false
`

var listening = regexp.MustCompile(`msg="Listening on HTTP".* addr=(\S+)`)

// Start starts the server after Stop, with what it had stored, and waits until
// it answers. It does nothing where the server runs.
func (d *Influxd) Start(t testing.TB) {
	t.Helper()
	if d.cmd != nil {
		return
	}
	conf := filepath.Join(d.folder, "influxdb.conf")
	text := fmt.Sprintf(influxdConf, filepath.Join(d.folder, "meta"), filepath.Join(d.folder, "data"), filepath.Join(d.folder, "wal"), d.listen, d.auth)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.cmd, d.done = exec.Command(d.binary, "run", "-config", conf), make(chan struct{})
	log, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("start influxd: %v", err)
	}
	address := make(chan string, 1)
	go d.watch(log, address)
	select {
	case a, ok := <-address:
		if !ok {
			t.Fatal("influxd ended without listening: " + d.binary)
		}
		d.listen, d.URL = a, "http://"+a
	case <-time.After(time.Minute):
		t.Fatal("influxd does not listen after a minute")
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := d.do(http.MethodGet, "/ping", nil, ""); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("influxd does not answer: %v", err)
		}
	}
}

// watch reads the log to its end, which is the end of the process.
func (d *Influxd) watch(log io.Reader, address chan<- string) {
	defer close(d.done)
	defer close(address)
	found := false
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil && !found {
			found = true
			address <- m[1]
		}
	}
	_, _ = io.Copy(io.Discard, log) // after a line that was too long
}

// Stop kills the server; what it acknowledged stays. It does nothing where the
// server has ended. (Asked politely, influxd takes ten seconds to go.)
func (d *Influxd) Stop(t testing.TB) {
	t.Helper()
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Kill() // fails only where it has ended
	<-d.done
	_ = d.cmd.Wait() // how it ended is known
	d.cmd = nil
}

// CreateDatabase makes a database.
func (d *Influxd) CreateDatabase(t testing.TB, name string) {
	t.Helper()
	d.Query(t, "", `CREATE DATABASE "`+name+`"`)
}

// Query runs a statement of InfluxQL and gives the answer in JSON.
func (d *Influxd) Query(t testing.TB, database, statement string) string {
	t.Helper()
	path := "/query?db=" + url.QueryEscape(database)
	if d.auth {
		path += "&u=root&p=root"
	}
	answer, err := d.do(http.MethodPost, path, strings.NewReader(url.Values{"q": {statement}}.Encode()), "application/x-www-form-urlencoded")
	if err != nil || strings.Contains(answer, `"error"`) {
		t.Fatalf("influxd: %s: %v %s", statement, err, answer)
	}
	return answer
}

func (d *Influxd) do(method, path string, body io.Reader, kind string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.URL+path, body)
	if err != nil {
		return "", err
	}
	req.Close = true // leaves no connection behind
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if res.StatusCode >= 500 {
		err = errors.Join(err, errors.New(res.Status))
	}
	return string(answer), err
}

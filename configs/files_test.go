package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// secrets gives a folder with the shipped examples and the secrets that they
// name.
func secrets(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"edge-1": "Swordfish-1\n", "twin": "Swordfish-2\r\n", "influx": "Swordfish-3"} {
		write(t, filepath.Join(folder, "secrets", name), secret)
	}
	shipped, err := filepath.Glob("*.yaml")
	if err != nil || len(shipped) < 3 {
		t.Fatal(shipped, err)
	}
	for _, name := range shipped {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name), string(raw))
	}
	return folder
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestShipped(t *testing.T) {
	folder := secrets(t)
	g, err := LoadGateway(filepath.Join(folder, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Wire.Password.Reveal(); got != "Swordfish-1" {
		t.Errorf("password %q", got)
	}
	if len(g.Devices) != 6 || g.Wire.Area != "assembly" || g.Config.Gateway != "edge-1" || g.Delivery.Window == 0 {
		t.Errorf("%d devices, area %q, gateway %q, window %d", len(g.Devices), g.Wire.Area, g.Config.Gateway, g.Delivery.Window)
	}
	tw, err := LoadTwin(filepath.Join(folder, "twin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if tw.Broker.Password.Reveal() != "Swordfish-2" || tw.History.Influx.Token.Reveal() != "Swordfish-3" {
		t.Error("secrets are not those of the files")
	}
	if got := tw.Web.Listen; got != "127.0.0.1:8080" {
		t.Errorf("web.listen %q", got)
	}
	var files []File
	for _, name := range []string{"gateway.yaml", "twin.yaml", "demo.yaml"} {
		f, err := ReadFile(filepath.Join(folder, name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if problems, notes := CheckSite(files); len(problems)+len(notes) > 0 {
		t.Errorf("problems:\n%v\nnotes:\n%v", problems, notes)
	}
}

// TestEnvironment moves the shipped files to other addresses, as containers
// do.
func TestEnvironment(t *testing.T) {
	folder := secrets(t)
	t.Setenv("MQTT_URL", "tls://mqtt.plant:8883")
	t.Setenv("INFLUX_URL", "https://influx.plant")
	t.Setenv("LINETWIN_LISTEN", ":80")
	c, err := LoadTwin(filepath.Join(folder, "twin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Broker.Brokers[0] != "tls://mqtt.plant:8883" || c.History.Influx.URL != "https://influx.plant" || c.Web.Listen != ":80" {
		t.Errorf("got %v, %s, %s", c.Broker.Brokers, c.History.Influx.URL, c.Web.Listen)
	}
}

// TestWithoutSecrets checks the shipped files where no secret is.
func TestWithoutSecrets(t *testing.T) {
	for _, name := range []string{"gateway.yaml", "twin.yaml", "demo.yaml"} {
		if _, err := ReadFile(name, Options{WithoutSecrets: true}); err != nil {
			t.Error(err)
		}
	}
	if _, err := ReadFile("twin.yaml", Options{}); err == nil {
		t.Error("secrets that are missing are not told")
	}
	// Only passwords and tokens may be missing.
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, file, strings.Replace(oneGateway, "area: assembly", "area: ${env:LINETWIN_TEST_NOT_SET}", 1))
	if _, err := ReadFile(file, Options{WithoutSecrets: true}); err == nil {
		t.Error("an area that is not there is not told")
	}
}

const oneGateway = `site: songjiang
area: assembly
gateway: edge-1
wire: {brokers: ["tcp://127.0.0.1:1883"]}
devices:
  - machine: press-1
    modbus: {url: "tcp://127.0.0.1:5020"}
    signals:
      - {name: state, address: "holding:0", type: uint16}
`

func load[T any, P interface {
	*T
	section
}](t *testing.T, text string) (*T, error) {
	t.Helper()
	root, err := document("test.yaml", []byte(text))
	if err != nil {
		return nil, err
	}
	var c T
	return &c, decode("test.yaml", root, P(&c), Options{})
}

// TestGood holds what is taken, with what becomes of it.
func TestGood(t *testing.T) {
	t.Setenv("LINETWIN_TEST", "7")
	for _, c := range []struct {
		name, from, to string
		get            func(*Gateway) any
		want           any
	}{
		{"an interval has a default", "", "", func(g *Gateway) any { return g.Devices[0].Every }, time.Second},
		{"null keeps a default", "devices:", "buffer: {max_age: }\ndevices:", func(g *Gateway) any { return g.Buffer.MaxAge }, 168 * time.Hour},
		{"a size", "devices:", "buffer: {max_bytes: 1.5GiB}\ndevices:", func(g *Gateway) any { return g.Buffer.MaxBytes }, plant.Bytes(3 << 29)},
		{"numbers from the environment", ":5020\"", ":5020\", unit: \"${env:LINETWIN_TEST}\"", func(g *Gateway) any { return g.Devices[0].Modbus.Unit }, 7},
		{"part of a text from the environment", ":5020\"", ":${env:LINETWIN_TEST}020\"", func(g *Gateway) any { return g.Devices[0].Modbus.URL }, "tcp://127.0.0.1:7020"},
		{"a default where the variable is not set", "gateway: edge-1", "gateway: ${env:LINETWIN_TEST_NOT_SET:-edge-9}", func(g *Gateway) any { return g.Gateway }, "edge-9"},
		{"the variable where it is set", "gateway: edge-1", "gateway: edge-${env:LINETWIN_TEST:-9}", func(g *Gateway) any { return g.Gateway }, "edge-7"},
		{"a leading zero is not octal", ":5020\"", ":5020\", unit: 010", func(g *Gateway) any { return g.Devices[0].Modbus.Unit }, 10},
		{"hexadecimal", ":5020\"", ":5020\", unit: 0x1F", func(g *Gateway) any { return g.Devices[0].Modbus.Unit }, 31},
		{"a dollar that is meant", "uint16}", "uint16, description: \"$${env:X} costs $5\"}", func(g *Gateway) any { return g.Devices[0].Signals[0].Description }, "${env:X} costs $5"},
		{"text that looks like a number", "machine: press-1", "machine: 017", func(g *Gateway) any { return g.Devices[0].Machine }, "017"},
		{"aliases of a list", "uint16}\n", "uint16}\n  - machine: press-2\n    modbus: {url: \"tcp://127.0.0.1:5021\"}\n    signals: *all\n", func(g *Gateway) any { return g.Devices[1].Signals[0].Name }, "state"},
		{"windows line ends", "\n", "\r\n", func(g *Gateway) any { return g.Gateway }, "edge-1"},
		{"a byte order mark", "site:", "\ufeffsite:", func(g *Gateway) any { return g.Site }, "songjiang"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.ReplaceAll(oneGateway, c.from, c.to)
			if c.from == "" {
				text = oneGateway
			}
			if strings.Contains(text, "*all") {
				text = strings.Replace(text, "signals:\n", "signals: &all\n", 1)
			}
			g, err := load[Gateway](t, text)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.get(g); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestBooleans: only true and false are either.
func TestBooleans(t *testing.T) {
	for text, want := range map[string]string{
		"true": "", "false": "", "yes": "true or false", "True": "true or false", "1": "true or false",
	} {
		var b bool
		if got := setScalar(reflect.ValueOf(&b).Elem(), text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		} else if got == "" && b != (text == "true") {
			t.Errorf("%s became %v", text, b)
		}
	}
}

// TestSecretsStayHidden looks for a secret in all that a person or a log could
// see of settings, right and wrong ones.
func TestSecretsStayHidden(t *testing.T) {
	const secret = `Sword "fish" -99`
	t.Setenv("LINETWIN_TEST_SECRET", secret)
	const ref = `${env:LINETWIN_TEST_SECRET}`
	right, err := load[Gateway](t, strings.Replace(oneGateway, `1883"]`, `1883"], user: edge-1, password: "`+ref+`"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if right.Wire.Password.Reveal() != secret {
		t.Fatalf("password is %q", right.Wire.Password.Reveal())
	}
	var shown bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&shown, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Info("settings", "wire", right.Wire, "all", right)
	asJSON, err := json.Marshal(right.Wire)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&shown, "%v %+v %#v %s", right, right, right.Wire, asJSON)
	for _, place := range []string{"site: songjiang", "gateway: edge-1", `"tcp://127.0.0.1:5020"`, `"holding:0"`, "uint16", "press-1", `"tcp://127.0.0.1:1883"`} {
		value := `"` + ref + `"`
		if key, _, ok := strings.Cut(place, ": "); ok {
			value = key + ": " + value
		}
		_, err := load[Gateway](t, strings.Replace(oneGateway, place, value, 1))
		if err == nil {
			t.Errorf("%s: taken", place)
			continue
		}
		if !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: the message does not show what stands there: %v", place, err)
		}
		fmt.Fprintln(&shown, err)
	}
	for _, part := range []string{secret, "Sword", "fish"} {
		if strings.Contains(shown.String(), part) {
			t.Errorf("%q is shown:\n%s", part, shown.String())
		}
	}
}

func TestSecretFiles(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "empty"), "\n")
	write(t, filepath.Join(folder, "large"), strings.Repeat("x", maxSecret+1))
	for _, c := range []struct{ name, want string }{
		{"empty", "is empty"}, {"large", "has more than 65536 bytes"}, {"none", "no such file"}, {".", "is a directory"},
	} {
		file := filepath.Join(folder, "gateway.yaml")
		write(t, file, strings.Replace(oneGateway, `1883"]`, `1883"], user: edge-1, password: "${file:`+c.name+`}"`, 1))
		if _, err := LoadGateway(file); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: got %.200v, want %q", c.name, err, c.want)
		}
	}
}

func TestNoFile(t *testing.T) {
	_, err := LoadGateway(filepath.Join(t.TempDir(), "none.yaml"))
	var problems Problems
	if !errors.Is(err, os.ErrNotExist) || errors.As(err, &problems) {
		t.Errorf("got %v", err)
	}
}

// TestCheckTwice: what a check filled in, another one finds right.
func TestCheckTwice(t *testing.T) {
	demo, err := LoadDemo()
	if err != nil {
		t.Fatal(err)
	}
	folder := secrets(t)
	g, err := LoadGateway(filepath.Join(folder, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tw, err := LoadTwin(filepath.Join(folder, "twin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]section{"demo": demo, "gateway": g, "twin": tw} {
		before := fmt.Sprintf("%+v", c)
		if faults := c.Check(); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
		if after := fmt.Sprintf("%+v", c); after != before {
			t.Errorf("%s: a second check changed\n%s\nto\n%s", name, before, after)
		}
	}
}

// TestAliasesAreCounted: a small file that stands for very much is refused.
func TestAliasesAreCounted(t *testing.T) {
	many := func(name string) string { return "[" + strings.Repeat("*"+name+", ", 2000) + "]" }
	text := "gateways:\n  - &g\n    devices:\n      - &d\n        signals: [{name: &s x}]\n" +
		"  - &e {devices: " + many("d") + "}\n" + strings.Repeat("  - *e\n", 2000)
	_, err := load[Demo](t, text)
	if err == nil || !strings.Contains(err.Error(), "more than 1000000 values") {
		t.Errorf("got %.300v", err)
	}
	if _, err := load[Gateway](t, "site: "+strings.Repeat("[", 200_000)); err == nil {
		t.Error("200,000 brackets are taken")
	}
}

// FuzzLoad: whatever is in a file, loading does not panic, and what it tells
// is in lines that the file has.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"*.yaml", "testdata/*/*.yaml", "testdata/*/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Add([]byte("&a {*a : *a}"))
	f.Add([]byte("devices: &d [*d]"))
	f.Add([]byte("gateways: &g [{devices: *g}, *g]"))
	f.Add([]byte("? {a: b}\n: {<<: *x}"))
	f.Add([]byte("site: \"${\"\narea: ${:}\ngateway: ${file:}"))
	for _, pattern := range []string{"profiles/*.yaml", "testdata/profiles/own/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(files, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.Contains(raw, []byte("${file:")) || bytes.Contains(raw, []byte("profile: /")) {
			return // would read the files of whoever runs this
		}
		if root, err := document("f.yaml", raw); err == nil {
			var problems Problems
			if err := checkProfile("f.yaml", raw, root); err != nil && !errors.As(err, &problems) {
				t.Fatalf("%T is no list of problems: %v", err, err)
			}
		}
		for _, into := range []section{&Gateway{}, &Twin{}, &Demo{}} {
			root, err := document("f.yaml", raw)
			if err == nil {
				kindOf(root)
				err = decode("f.yaml", root, into, Options{WithoutSecrets: true})
			}
			if err == nil {
				continue
			}
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("%T is no list of problems: %v", err, err)
			}
			lines := bytes.Count(raw, []byte("\n")) + bytes.Count(raw, []byte("\r")) + bytes.Count(raw, []byte("\u0085")) +
				bytes.Count(raw, []byte("\u2028")) + bytes.Count(raw, []byte("\u2029")) + 1
			for _, p := range problems {
				if p.File != "f.yaml" {
					continue // a profile's
				}
				if p.Line < 0 || p.Line > lines+1 {
					t.Fatalf("a problem in line %d of %d: %v", p.Line, lines, p)
				}
			}
		}
	})
}

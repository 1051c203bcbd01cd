// Package deploy_test holds what is shipped for operation against the programs
// that read it, and against the tree.
package deploy_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// program gives the path of a program that a test needs; Debian keeps some in
// /usr/sbin.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, p := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	t.Skip(name + " is not installed")
	return ""
}

// secrets runs secrets.sh into a new folder.
func secrets(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "secrets")
	if out, err := exec.Command("./secrets.sh", folder).CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	return folder
}

func TestSecrets(t *testing.T) {
	folder := secrets(t)
	first, secret := map[string]string{}, regexp.MustCompile("^[0-9a-f]{48}$")
	for _, name := range []string{"mqtt/twin", "mqtt/edge-1", "influx-password", "influx-token", "grafana-password"} {
		first[name] = read(t, filepath.Join(folder, name))
		if !secret.MatchString(first[name]) {
			t.Errorf("%s holds %q", name, first[name])
		}
	}
	if first["mqtt/twin"] == first["mqtt/edge-1"] {
		t.Error("two secrets are the same")
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
	if out, err := exec.Command("./secrets.sh", folder).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("second run: %v, %s", err, out)
	}
	for name, was := range first {
		if read(t, filepath.Join(folder, name)) != was {
			t.Errorf("a second run changed %s", name)
		}
	}
}

// TestUnits has systemd judge the units.
func TestUnits(t *testing.T) {
	analyze := program(t, "systemd-analyze")
	folder := t.TempDir()
	binary := filepath.Join(folder, "linetwin")
	write(t, binary, "#!/bin/sh\n", 0o755)
	units, err := filepath.Glob("systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatal(units, err)
	}
	for _, unit := range units {
		t.Run(filepath.Base(unit), func(t *testing.T) {
			copied := filepath.Join(folder, filepath.Base(unit))
			text := read(t, unit)
			// A gateway can be told to read its settings again, which checks them first.
			want := map[string]int{"linetwin-gateway.service": 3, "linetwin-twin.service": 2}[filepath.Base(unit)]
			if n := strings.Count(text, "/usr/bin/linetwin "); n != want {
				t.Errorf("%d uses of the program, want %d: ExecStartPre, ExecStart, and ExecReload of a gateway", n, want)
			}
			if hup := strings.Contains(text, "\nExecReload=/bin/kill -HUP $MAINPID\n"); hup != (want == 3) {
				t.Errorf("sends SIGHUP on reload: %v", hup)
			}
			write(t, copied, strings.ReplaceAll(text, "/usr/bin/linetwin", binary), 0o644)
			if out, err := exec.Command(analyze, "verify", copied).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("verify: %v\n%s", err, out)
			}
			// The threshold is in tenths: 2.0 of 10.
			if out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold=20", copied).CombinedOutput(); err != nil {
				t.Errorf("security: %v\n%s", err, out)
			}
		})
	}
}

// TestDockerfile holds the image's recipe against the tree.
func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	stages, workdir, user := map[string]bool{}, "", ""
	lines := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(text, "\\\n", " ")))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		switch f[0] {
		case "FROM":
			workdir, user = "", ""
			if n := len(f); n > 2 && f[n-2] == "AS" {
				stages[f[n-1]] = true
			}
		case "WORKDIR":
			workdir = f[1]
		case "USER":
			user = f[1]
		case "COPY":
			var sources []string
			from := ""
			for _, a := range f[1:] {
				switch {
				case strings.HasPrefix(a, "--from="):
					from = a[len("--from="):]
				case !strings.HasPrefix(a, "--"):
					sources = append(sources, a)
				}
			}
			if from != "" {
				if !stages[from] {
					t.Errorf("COPY from stage %q, which is not there", from)
				}
				continue
			}
			for _, s := range sources[:len(sources)-1] {
				if _, err := os.Stat(filepath.Join("..", s)); err != nil {
					t.Errorf("COPY %s: %v", s, err)
				}
			}
		}
	}
	if user != "65532:65532" || workdir != "/var/lib/linetwin" {
		t.Errorf("the image runs as %q in %q", user, workdir)
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))[1]
	if !strings.Contains(text, "golang:"+goVersion+"-") {
		t.Errorf("go.mod wants go %s", goVersion)
	}
	if ignored := read(t, "Dockerfile.dockerignore"); !strings.Contains(ignored, "deploy/secrets") || !strings.Contains(ignored, "configs/secrets") {
		t.Error("secrets would go into the image's context")
	}
}

type service struct {
	Image       string            `yaml:"image"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Secrets     []string          `yaml:"secrets"`
	DependsOn   []string          `yaml:"depends_on"`
	NetworkMode string            `yaml:"network_mode"`
	Ports       []string          `yaml:"ports"`
	ReadOnly    bool              `yaml:"read_only"`
	Build       struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
}

// TestCompose holds compose.yaml against the tree: what it mounts is there,
// what it names is declared, and what the shipped settings ask of their
// surroundings is given.
func TestCompose(t *testing.T) {
	var c struct {
		Services map[string]service               `yaml:"services"`
		Volumes  map[string]any                   `yaml:"volumes"`
		Secrets  map[string]struct{ File string } `yaml:"secrets"`
	}
	if err := yaml.Load([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	made := secrets(t)
	write(t, filepath.Join(made, "grafana-token"), "made by InfluxDB, as docs/operations.md says", 0o600)
	mounted := func(source string) error {
		if rest, ok := strings.CutPrefix(source, "./secrets"); ok {
			source = made + rest
		}
		_, err := os.Stat(source)
		return err
	}
	for name, s := range c.Services {
		if s.Image == "" {
			t.Errorf("%s has no image", name)
		}
		if s.Build.Context != "" {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !s.ReadOnly {
				t.Errorf("%s can write into its image", name)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, ".") {
				if err := mounted(source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, ok := c.Volumes[source]; !ok {
				t.Errorf("%s: volume %s is not declared", name, source)
			}
		}
		for _, secret := range s.Secrets {
			if err := mounted(c.Secrets[secret].File); err != nil {
				t.Errorf("%s: secret %s: %v", name, secret, err)
			}
		}
		for _, other := range append(s.DependsOn, strings.TrimPrefix(s.NetworkMode, "service:")) {
			if _, ok := c.Services[other]; !ok && other != "" {
				t.Errorf("%s needs %s, which is not there", name, other)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is open to others at %s", name, port)
			}
		}
	}
	grafana(t, c.Services["grafana"])
	for role, file := range map[string]string{"gateway": "../configs/gateway.yaml", "twin": "../configs/twin.yaml"} {
		checkSurroundings(t, c.Services[role], role, read(t, file))
	}
}

// checkSurroundings: what a settings file takes from variables and files must
// be in its container, and each variable that the container has must be used.
func checkSurroundings(t *testing.T, s service, role, settings string) {
	t.Helper()
	if got := strings.Join(s.Command, " "); got != role+" /etc/linetwin/"+role+".yaml" {
		t.Errorf("%s runs %q", role, got)
	}
	for _, m := range regexp.MustCompile(`(?m)^[^#\n]*\$\{file:([^}]+)\}`).FindAllStringSubmatch(settings, -1) {
		want := ":/etc/linetwin/" + m[1] + ":ro"
		found := false
		for _, v := range s.Volumes {
			found = found || strings.HasSuffix(v, want)
		}
		if !found {
			t.Errorf("%s: nothing is mounted at %s", role, want)
		}
	}
	for variable := range s.Environment {
		if !strings.Contains(settings, "${env:"+variable) {
			t.Errorf("%s: no setting uses %s", role, variable)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^[^#\n]*\$\{env:([A-Z_]+)`).FindAllStringSubmatch(settings, -1) {
		if s.Environment[m[1]] == "" {
			t.Errorf("%s: %s is not set", role, m[1])
		}
	}
}

// TestNoSecretsInTree: what secrets.sh makes is never committed.
func TestNoSecretsInTree(t *testing.T) {
	for _, folder := range []string{"secrets/x", "../configs/secrets/x"} {
		out, err := exec.Command("git", "check-ignore", "-q", folder).CombinedOutput()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == 1:
			t.Errorf("%s would be committed", folder)
		case err != nil:
			t.Skipf("git does not answer: %v %s", err, out)
		}
	}
}

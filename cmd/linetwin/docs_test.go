package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/modbus"
)

// block is a fenced part of a page.
type block struct{ kind, text string }

// tenMinutes gives the parts of docs/connectors.md's first section, by their
// headings.
func tenMinutes(t *testing.T) map[string][]block {
	t.Helper()
	page, err := os.ReadFile("../../docs/connectors.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## From nothing to a machine's data in ten minutes\n")
	if !ok {
		t.Fatal("docs/connectors.md has no such section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	parts := map[string][]block{}
	for _, part := range strings.Split("\n"+section, "\n### ") {
		title, body, _ := strings.Cut(part, "\n")
		for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(body, -1) {
			parts[title] = append(parts[title], block{m[1], m[2]})
		}
	}
	return parts
}

// TestTenMinutes does what docs/connectors.md says, as a technician would: with
// the program, in a folder, against the simulated plant.
func TestTenMinutes(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	parts := tenMinutes(t)
	opc := freePort(t)
	plant := spawn(t, "plant", path, append(strings.Fields(strings.TrimPrefix(parts[""][0].text, "linetwin ")),
		"--opcua", opc, "--modbus", "127.0.0.1:0", "--data", t.TempDir())...)
	plant.says("\nready")
	at := regexp.MustCompile(`(?m)^modbus-1 tcp://(\S+)$`).FindStringSubmatch(plant.log.String())
	if at == nil {
		t.Fatal("the plant has no Modbus device")
	}
	place := strings.NewReplacer("127.0.0.1:4840", opc, "127.0.0.1:5020", at[1])
	for _, title := range []string{"Modbus TCP", "OPC UA without security", "OPC UA with security"} {
		t.Run(title, func(t *testing.T) {
			tech := technician{t: t, folder: t.TempDir(), bin: filepath.Dir(path)}
			for _, b := range append(parts[""][1:], parts[title]...) {
				tech.follow(block{b.kind, place.Replace(b.text)})
			}
			if tech.ran < 5 {
				t.Errorf("only %d commands", tech.ran)
			}
		})
	}
	t.Run("Modbus RTU", func(t *testing.T) {
		var urls []string
		for _, b := range parts["Modbus RTU"] {
			for _, m := range regexp.MustCompile(`"(rtu://[^"]+)"`).FindAllStringSubmatch(b.text, -1) {
				urls = append(urls, m[1])
			}
		}
		if len(urls) < 2 {
			t.Fatalf("URLs %v", urls)
		}
		if c := (modbus.Config{URL: "rtu:///dev/ttyUSB0"}); len(c.Check()) > 0 {
			t.Skip("this program has no serial lines")
		}
		for _, u := range urls {
			c := modbus.Config{URL: u}
			if faults := c.Check(); len(faults) > 0 {
				t.Errorf("%s: %v", u, faults)
			}
		}
	})
}

// technician follows a page in a folder.
type technician struct {
	t           *testing.T
	folder, bin string
	ran         int
}

func (k *technician) follow(b block) {
	k.t.Helper()
	switch b.kind {
	case "yaml":
		head, _, _ := strings.Cut(b.text, "\n")
		name, ok := strings.CutPrefix(head, "# ")
		if !ok {
			k.t.Fatalf("a file without a name:\n%s", b.text)
		}
		if err := os.WriteFile(filepath.Join(k.folder, name), []byte(b.text), 0o600); err != nil {
			k.t.Fatal(err)
		}
	case "sh":
		for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			k.run(line)
		}
	}
}

// run runs one line of a shell. FINGERPRINT stands for what the list of refused
// certificates shows.
func (k *technician) run(line string) {
	k.t.Helper()
	k.ran++
	if strings.Contains(line, "FINGERPRINT") {
		list := k.shell("linetwin trust", true)
		m := regexp.MustCompile(`refused\s+([0-9a-f]{16})`).FindStringSubmatch(list)
		if m == nil {
			k.t.Fatalf("no refused certificate in\n%s", list)
		}
		line = strings.Replace(line, "FINGERPRINT", m[1], 1)
	}
	out := k.shell(line, !strings.HasSuffix(line, "# refused"))
	if strings.HasSuffix(line, " holding:10 float32") && !strings.Contains(out, "looks wrong; order CDAB gives") {
		k.t.Fatalf("%s\ngives no hint:\n%s", line, out)
	}
}

func (k *technician) shell(line string, succeeds bool) string {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = k.folder
	cmd.Env = append(os.Environ(), "PATH="+k.bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if (err == nil) != succeeds {
		k.t.Fatalf("%s\n%v\n%s", line, err, out)
	}
	if !succeeds && !strings.Contains(string(out), "linetwin trust") {
		k.t.Fatalf("%s\ndoes not say what to do:\n%s", line, out)
	}
	return string(out)
}

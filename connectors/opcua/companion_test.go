package opcua

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// companionServer starts a server of another maker, and gives its URL.
func companionServer(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("LINETWIN_NPM_TESTS")
	if folder == "" {
		t.Skip("LINETWIN_NPM_TESTS names no folder with npm's node-opcua@2.165.1 installed")
	}
	cmd := exec.Command("node", "testdata/companion.js", folder, t.TempDir())
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("node-opcua: %v", err)
		}
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if port, ok := strings.CutPrefix(lines.Text(), "port "); ok {
			go func() {
				for lines.Scan() { // what it says later is thrown away
				}
			}()
			return "opc.tcp://127.0.0.1:" + port
		}
	}
	t.Fatal("node-opcua ended before it listened")
	return ""
}

func explore(t *testing.T, url string) *Explorer {
	t.Helper()
	e, err := Explore(t.Context(), Config{URL: url, Security: "None", Timeout: time.Minute}, nil, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func browseAll(t *testing.T, e *Explorer, w Walk) ([]Variable, Walked) {
	t.Helper()
	var all []Variable
	walked, err := e.Browse(t.Context(), w, func(v Variable) error { all = append(all, v); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return all, walked
}

func TestCompanionOfNodeOPCUA(t *testing.T) {
	e := explore(t, companionServer(t))
	all, walked := browseAll(t, e, Walk{})
	for _, v := range all {
		m := ""
		if v.Machine != nil {
			m = v.Machine.Spec + ":" + v.Machine.Name
		}
		fmt.Println(strings.Join(v.Path, "/"), v.Node, v.Type, v.Why, v.Unit, v.Description, v.Enum, m, v.Role)
	}
	fmt.Printf("%+v\n", walked)
}

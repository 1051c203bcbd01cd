package opcua

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
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
	got := map[string]string{}
	for _, v := range all {
		if v.Machine != nil && !strings.HasPrefix(v.Why, "a node id") {
			got[v.Machine.Spec+" "+v.Machine.Name+": "+strings.Join(v.Path[len(v.Machine.Path):], "/")] = v.line()
		}
	}
	sameLines(t, got, map[string]string{
		"Machinery Press: Force":                                                   "float64  unit N range 0 50",
		"Machinery Press: MachineryItemState/CurrentState":                         "localizedtext  role state",
		"Machinery Press: MachineryOperationMode/CurrentState":                     "localizedtext  role mode",
		"PackML Labeller: TagID":                                                   "string ",
		"PackML Labeller: Admin/AccTimeSinceReset":                                 "int32 ",
		"PackML Labeller: Admin/ProdProcessedCount":                                " a structure, which no signal can be (PackMLCountDataType) role total",
		"PackML Labeller: Admin/ProdDefectiveCount":                                " a structure, which no signal can be (PackMLCountDataType) role reject",
		"PackML Labeller: Admin/StopReason":                                        " a structure, which no signal can be (PackMLAlarmDataType) role fault",
		"PackML Labeller: BaseStateMachine/CurrentState":                           "localizedtext  role state_top",
		"PackML Labeller: BaseStateMachine/MachineState/CurrentState":              "localizedtext  role state_upper",
		"PackML Labeller: BaseStateMachine/MachineState/ExecuteState/CurrentState": "localizedtext  role state",
		"PackML Labeller: Status/CurMachSpeed":                                     "float32  role speed",
		"PackML Labeller: Status/MachSpeed":                                        "float32 ",
		"PackML Labeller: Status/EquipmentBlocked":                                 "boolean ",
		"PackML Labeller: Status/EquipmentStarved":                                 "boolean ",
		"PackML Labeller: Status/UnitModeCurrent":                                  "int32  role mode",
	})
	if walked.Failed != 0 || walked.Cut {
		t.Errorf("walked %+v", walked)
	}
	var signals []Signal
	for _, v := range all {
		if v.Why == "" && (v.Role == RoleState || v.Role == RoleSpeed) {
			signals = append(signals, Signal{Name: v.Machine.Name, Node: v.Node, Type: v.Type})
		}
	}
	seen, err := e.Look(t.Context(), signals)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, s := range seen {
		values = append(values, s.Signal+"="+s.Value.String())
	}
	slices.Sort(values)
	if want := "Labeller=120.5 Labeller=Execute Press=Executing"; strings.Join(values, " ") != want {
		t.Errorf("read %v, want %s", values, want)
	}
}

package twin_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

func (w *worked) retained() map[string][]byte {
	w.t.Helper()
	var all []plant.Retained
	w.eventually("the ledger is read", func() bool {
		var ok bool
		var err error
		if all, ok, err = w.twin.Retained(); err != nil {
			w.t.Fatal(err)
		}
		return ok
	})
	topics := map[string][]byte{}
	for _, r := range all {
		topics[r.Topic] = r.Payload
	}
	return topics
}

// strictly decodes JSON that has no field that v has not.
func strictly(t *testing.T, raw []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
}

// TestRetained: what the broker keeps is what the API says, and a restated
// shift is kept with its revision.
func TestRetained(t *testing.T) {
	w := newWorked(t)
	topics := w.retained()
	root := ""
	for topic := range topics {
		if rest, ok := strings.CutSuffix(topic, "/line/state"); ok {
			root = rest + "/line/"
		}
	}
	var names []string
	for topic := range topics {
		names = append(names, strings.TrimPrefix(topic, root))
	}
	slices.Sort(names)
	if want := []string{"machines/feed/state", "machines/pack/state", "machines/press/state", "oee/last_shift", "oee/shift", "state"}; !strings.HasPrefix(root, plant.RetainedRoot) || !slices.Equal(names, want) {
		t.Fatalf("topics under %q: %v, want %v", root, names, want)
	}
	snapshot := w.twin.Snapshot()
	var line plant.LineNow
	strictly(t, topics[root+"state"], &line)
	if s := snapshot.Lines[0]; line.Site != snapshot.Site || line.Area != s.Area || line.Line != s.ID || line.State != s.State || line.Good != s.Good || line.Good == 0 {
		t.Errorf("line %+v, the API says %+v", line, s)
	}
	var machine plant.MachineNow
	strictly(t, topics[root+"machines/press/state"], &machine)
	if s := snapshot.Lines[0].Machines[1]; machine.Machine != "press" || machine.Class != s.Class || machine.Since != s.Since || machine.Good != s.Good {
		t.Errorf("machine %+v, the API says %+v", machine, s)
	}
	before := w.figures()
	w.tell(plant.EntryCount, plant.AtKey("pack", w.shift.From.Add(2*time.Hour)), 0, `{"good": -5}`)
	w.revision(1)
	var last plant.LineFigures
	strictly(t, w.retained()[root+"oee/last_shift"], &last)
	if last.Revision != 1 || last.Provisional || last.Good != before.Good-5 || last.Shift != "early" || last.From != w.shift.From {
		t.Errorf("last shift %+v, before %+v", last, before)
	}
}

// TestRetainedIsDocumented: docs/api.md has each topic with a payload of its
// type.
func TestRetainedIsDocumented(t *testing.T) {
	manual, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]func() any{
		"state":                    func() any { return &plant.LineNow{} },
		"oee/shift":                func() any { return &plant.LineFigures{} },
		"oee/last_shift":           func() any { return &plant.LineFigures{} },
		"machines/{machine}/state": func() any { return &plant.MachineNow{} },
	}
	for what := range types {
		if !bytes.Contains(manual, []byte("`linetwin/v1/{area}/{line}/"+what+"`")) {
			t.Errorf("docs/api.md does not tell of %s", what)
		}
	}
	examples := regexp.MustCompile(`(?m)^linetwin/v1/assembly/line-a/(\S+) (\{.*\})$`).FindAllSubmatch(manual, -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		name := string(e[1])
		if strings.HasPrefix(name, "machines/") {
			name = "machines/{machine}/state"
		}
		if types[name] == nil {
			t.Errorf("an example of %q, which there is not", name)
			continue
		}
		v := types[name]()
		strictly(t, e[2], v)
		again, err := json.Marshal(v)
		var got, want any
		if err != nil || json.Unmarshal(again, &got) != nil || json.Unmarshal(e[2], &want) != nil {
			t.Fatal(err)
		}
		for key := range want.(map[string]any) {
			if _, ok := got.(map[string]any)[key]; !ok {
				t.Errorf("%s: %s is not written", name, key)
			}
		}
		if len(got.(map[string]any)) != len(want.(map[string]any)) {
			t.Errorf("the example of %s is not whole: it has %d fields, want %d: %s", name, len(want.(map[string]any)), len(got.(map[string]any)), again)
		}
	}
}

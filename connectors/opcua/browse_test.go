package opcua

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// One server for all: to start one takes the library seconds under the race
// detector.
func TestBrowse(t *testing.T) {
	tr := plantTree(t, packMLURI, machineryURI, "urn:odd;name%20")
	e := explore(t, tr.srv.url())
	for name, test := range map[string]func(*testing.T, *tree, *Explorer){
		"types": browseTypes, "graph": browseGraph, "pages": browsePages, "requests": browseRequests, "bounds": browseBounds,
		"interrupted": browseInterrupted, "endless": browseEndless, "packml": browsePackML, "machinery": browseMachinery, "addresses": browseAddresses,
	} {
		t.Run(name, func(t *testing.T) { test(t, tr, e) })
	}
}

func lines(all []Variable) map[string]string {
	got := map[string]string{}
	for _, v := range all {
		got[strings.Join(v.Path, "/")] = v.line()
	}
	return got
}

func sameLines(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			t.Errorf("%s: got %q, want %q", k, got[k], want[k])
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: got %q, want nothing", k, got[k])
		}
	}
}

func browseTypes(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	types := tr.own
	color := tr.kind(types, 3001, "Color", builtinType(id.Enumeration), ua.NodeClassDataType)
	tr.property(color, "EnumStrings", []*ua.LocalizedText{ua.NewLocalizedText("red"), ua.NewLocalizedText("green")})
	tr.kind(types, 3002, "Grams", builtinType(id.Int16), ua.NodeClassDataType)
	tr.kind(types, 3003, "Recipe", builtinType(id.Structure), ua.NodeClassDataType)
	own := func(n uint32) *ua.NodeID { return ua.NewNumericNodeID(types, n) }

	temperature := tr.variable(objects, "temperature", builtinType(id.Double), -1, 20.5)
	celsius := &ua.EUInformation{DisplayName: ua.NewLocalizedText("°C"), Description: ua.NewLocalizedText("")}
	tr.property(temperature, "EngineeringUnits", ua.NewExtensionObject(celsius))
	tr.property(temperature, "EURange", ua.NewExtensionObject(&ua.Range{Low: -10, High: 90}))
	temperature.attributes[ua.AttributeIDDescription] = holds(ua.NewLocalizedText("of the oil"))
	force := tr.variable(objects, "force", builtinType(id.Float), -1, float32(1))
	newton := &ua.EUInformation{UnitID: 5129559, DisplayName: ua.NewLocalizedText(""), Description: ua.NewLocalizedText("")} // "NEW"
	tr.property(force, "EngineeringUnits", ua.NewExtensionObject(newton))
	tr.variable(objects, "duration", builtinType(id.Duration), -1, 1.5)
	tr.variable(objects, "grams", own(3002), -1, int16(3))
	tr.variable(objects, "color", own(3001), -1, int32(1))
	tr.variable(objects, "number", builtinType(id.Number), -1, uint16(3))
	tr.variable(objects, "anything", builtinType(id.BaseDataType), -2, []float64{1, 2, 3})
	tr.variable(objects, "empty", builtinType(id.BaseDataType), -1, nil)
	tr.variable(objects, "recipe", own(3003), -1, nil)
	tr.variable(objects, "node", builtinType(id.NodeID), -1, nil)
	array := tr.variable(objects, "array", builtinType(id.Int32), 1, []int32{1, 2, 3, 4})
	array.attributes[ua.AttributeIDArrayDimensions] = holds([]uint32{4})
	tr.variable(objects, "matrix", builtinType(id.Int32), 2, nil)
	tr.variable(objects, "secret", builtinType(id.Int32), -1, nil).attributes[ua.AttributeIDAccessLevel] = holds(uint8(2))
	tr.variable(objects, "private", builtinType(id.Int32), -1, nil).attributes[ua.AttributeIDUserAccessLevel] = holds(uint8(0))
	mode := tr.variable(objects, "mode", builtinType(id.UInt32), -1, uint32(0))
	tr.property(mode, "EnumStrings", []*ua.LocalizedText{ua.NewLocalizedText("manual"), ua.NewLocalizedText("automatic")})

	all, walked := browseAll(t, e, Walk{})
	sameLines(t, lines(all), map[string]string{
		"temperature": "float64  unit °C range -10 90", "force": "float32  unit NEW", "duration": "float64 ", "grams": "int16 ",
		"color": "int32  enum [0 red 1 green]", "number": "uint16 ", "mode": "uint32  enum [0 manual 1 automatic]",
		"anything": "float64 an array of float64: index takes one element length 3",
		"array":    "int32 an array of int32: index takes one element length 4",
		"matrix":   "int32 a matrix of int32, of which no element can be taken",
		"empty":    " its type is open, and it has no value now: BadAttributeIdInvalid",
		"recipe":   " a structure, which no signal can be (Recipe)", "node": " a node id, which no signal can be",
		"secret": " the server lets nobody read it", "private": " this user may not read it",
	})
	if all[0].Description != "of the oil" || all[0].Node != nsu("s=/temperature") {
		t.Errorf("got %+v", all[0])
	}
	if walked.Variables != 15 || walked.Cut || walked.Failed != 0 {
		t.Errorf("walked %+v", walked)
	}
	for _, v := range all {
		s := Signal{Name: "x", Node: v.Node, Type: v.Type}
		if faults := s.Check(); v.Why == "" && len(faults) > 0 {
			t.Errorf("%v: %v", v.Path, faults)
		}
	}
}

// Circles, two ways to one node, other servers, methods, nodes that are gone.
func browseGraph(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	a := tr.object(objects, "a", nil)
	b := tr.object(a, "b", nil)
	x := tr.variable(b, "x", builtinType(id.Int32), -1, int32(1))
	inner := tr.variable(x, "inner", builtinType(id.Int32), -1, int32(1))
	b.refs = append(b.refs, twig{kind: id.Organizes, to: a}, twig{kind: id.Organizes, to: objects}, twig{kind: id.Organizes, to: b})
	inner.refs = append(inner.refs, twig{kind: id.HasComponent, to: x})
	objects.refs = append(objects.refs, twig{kind: id.Organizes, to: x},
		twig{kind: id.Organizes, to: &branch{id: ua.NewStringNodeID(tr.own, "elsewhere"), class: ua.NodeClassVariable, name: ua.QualifiedName{Name: "elsewhere"}}, server: 1},
		twig{kind: id.HasComponent, to: &branch{id: ua.NewStringNodeID(tr.own, "method"), class: ua.NodeClassMethod, name: ua.QualifiedName{Name: "method"}}},
		twig{kind: id.HasComponent, to: &branch{id: ua.NewStringNodeID(tr.own, "gone"), class: ua.NodeClassObject, name: ua.QualifiedName{Name: "gone"}}},
		twig{kind: id.Organizes, to: &branch{id: ua.NewNumericNodeID(0, id.Server), class: ua.NodeClassObject, name: ua.QualifiedName{Name: "Server"}}})
	all, walked := browseAll(t, e, Walk{})
	sameLines(t, lines(all), map[string]string{"x": "int32 ", "x/inner": "int32 "})
	if walked.Nodes != 6 || walked.Failed != 1 || !strings.Contains(walked.Why[0], "gone") || !strings.HasSuffix(walked.Why[0], "BadNodeIdUnknown") {
		t.Errorf("walked %+v", walked)
	}
}

// A server that gives a few references at a time, and has one continuation
// point for all.
func browsePages(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	want := 0
	for i := range 5 {
		o := tr.object(objects, fmt.Sprint("o", i), nil)
		for j := range 23 {
			tr.variable(o, fmt.Sprint("v", j), builtinType(id.Int32), -1, int32(1))
			want++
		}
	}
	tr.mu.Lock()
	tr.page, tr.most = 7, 1
	tr.mu.Unlock()
	all, walked := browseAll(t, e, Walk{})
	if len(lines(all)) != want || walked.Failed != 0 {
		t.Errorf("found %d of %d variables, %+v", len(all), want, walked)
	}
}

// A server that takes fewer nodes than it says, or says nothing.
func browseRequests(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	for i := range 40 {
		tr.variable(tr.object(objects, fmt.Sprint("o", i), nil), "v", builtinType(id.Int32), -1, int32(1))
	}
	tr.mu.Lock()
	tr.atOnce = 3
	tr.mu.Unlock()
	if all, walked := browseAll(t, e, Walk{}); len(all) != 40 || walked.Failed != 0 {
		t.Errorf("found %d variables, %+v", len(all), walked)
	}
}

func browseBounds(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	at := objects
	for i := range 5 {
		at = tr.object(at, fmt.Sprint("level", i), nil)
		tr.variable(at, "Temp", builtinType(id.Double), -1, 1.5)
		tr.variable(at, "Speed", builtinType(id.Double), -1, 1.5)
	}
	for _, test := range []struct {
		name string
		walk Walk
		want int
		cut  bool
	}{
		{"all", Walk{}, 10, false}, {"depth", Walk{Depth: 3}, 4, false}, {"limit", Walk{Limit: 3}, 3, true}, {"just the limit", Walk{Limit: 10}, 10, false},
		{"filter", Walk{Match: regexp.MustCompile("level3/.*emp").MatchString}, 2, false},
		{"from", Walk{From: nsu("s=/level0/level1/level2/level3")}, 4, false}, {"from a variable", Walk{From: nsu("s=/level0/Temp")}, 1, false},
	} {
		all, walked := browseAll(t, e, test.walk)
		if len(all) != test.want || walked.Cut != test.cut || walked.Variables != test.want {
			t.Errorf("%s: %d variables, %+v, want %d", test.name, len(all), walked, test.want)
		}
	}
	if all, _ := browseAll(t, e, Walk{From: nsu("s=/level0/Temp")}); strings.Join(all[0].Path, "/") != "Temp" {
		t.Errorf("path %v", all[0].Path)
	}
	for _, from := range []string{nsu("s=nowhere"), "nsu=urn:nobody;i=1", "rubbish", "path:/Objects/Nothing"} {
		if _, err := e.Browse(t.Context(), Walk{From: from}, nil); err == nil || !strings.Contains(err.Error(), "begin at "+from) && !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("from %s: %v", from, err)
		}
	}
}

func browseInterrupted(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	for i := range 300 {
		tr.variable(tr.object(objects, fmt.Sprint("o", i), nil), "v", builtinType(id.Int32), -1, int32(1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	found := 0
	walked, err := e.Browse(ctx, Walk{}, func(Variable) error {
		if found++; found == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || found < 10 || found == 300 || walked.Variables != found {
		t.Errorf("%d variables, %+v, %v", found, walked, err)
	}
	// In the middle of a node, the server gets its continuation points back.
	ctx, cancel = context.WithCancel(t.Context())
	tr.mu.Lock()
	tr.page, tr.onNext = 7, cancel
	tr.mu.Unlock()
	if _, err := e.Browse(ctx, Walk{}, func(Variable) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	tr.mu.Lock()
	if tr.released != 1 {
		t.Errorf("%d continuation points given back", tr.released)
	}
	tr.page, tr.onNext = 0, nil
	tr.mu.Unlock()

	full := errors.New("disk full")
	if _, err := e.Browse(t.Context(), Walk{}, func(Variable) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// An address space that makes up nodes as one looks.
func browseEndless(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	child := func(n *ua.NodeID, name string, class ua.NodeClass) *branch {
		b := &branch{id: ua.NewStringNodeID(tr.own, n.StringID()+name), class: class, name: ua.QualifiedName{Name: name}}
		b.attributes = named(b)
		b.attributes[ua.AttributeIDDataType], b.attributes[ua.AttributeIDValueRank] = holds(builtinType(id.Int32)), holds(int32(-1))
		return b
	}
	tr.mu.Lock()
	tr.lazy = func(n *ua.NodeID) *branch {
		if n.Namespace() != tr.own {
			return nil
		}
		b := child(n, "", ua.NodeClassObject)
		if strings.HasSuffix(n.StringID(), "v") {
			b.class = ua.NodeClassVariable
			return b
		}
		b.refs = []twig{{kind: id.HasComponent, to: child(n, "o", ua.NodeClassObject)}, {kind: id.HasComponent, to: child(n, "v", ua.NodeClassVariable)}}
		return b
	}
	objects.refs = append(objects.refs, twig{kind: id.HasComponent, to: child(ua.NewStringNodeID(tr.own, ""), "o", ua.NodeClassObject)})
	tr.mu.Unlock()
	if all, walked := browseAll(t, e, Walk{Limit: 20}); len(all) != 20 || !walked.Cut {
		t.Errorf("%d variables, %+v", len(all), walked)
	}
	if all, walked := browseAll(t, e, Walk{}); len(all) != walkDepth-1 || walked.Cut {
		t.Errorf("%d variables, %+v", len(all), walked)
	}
}

// A maker's own kind of PackML machine, with plain counters.
func browsePackML(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	packML := tr.in(packMLURI)
	of := func(n uint32) *ua.NodeID { return ua.NewNumericNodeID(packML, n) }
	filler := tr.kind(tr.own, 5001, "FillerType", of(packMLBase), ua.NodeClassObjectType)
	line := tr.object(objects, "Line 1", ua.NewNumericNodeID(0, id.FolderType))
	m := tr.object(line, "Filler", filler.id)
	status := tr.object(m, "Status", of(packMLStatus))
	tr.variable(status, "CurMachSpeed", builtinType(id.Float), -1, float32(1))
	admin := tr.object(m, "Admin", of(packMLAdmin))
	tr.variable(admin, "ProdProcessedCount", builtinType(id.Int32), -1, int32(1))
	tr.variable(admin, "ProdDefectiveCount", builtinType(id.Int32), -1, int32(1))
	tr.variable(tr.object(admin, "Other", nil), "StopReason", builtinType(id.Int32), -1, int32(1))
	top := tr.object(m, "StateMachine", of(packMLTop))
	tr.variable(top, "CurrentState", builtinType(id.LocalizedText), -1, ua.NewLocalizedText("Cleared"))
	execute := tr.object(top, "ExecuteState", of(packMLExecute))
	state := tr.variable(execute, "CurrentState", builtinType(id.LocalizedText), -1, ua.NewLocalizedText("Execute"))
	tr.variable(state, "CurrentState", builtinType(id.LocalizedText), -1, ua.NewLocalizedText("Execute"))
	tr.variable(line, "CurMachSpeed", builtinType(id.Float), -1, float32(1))

	all, _ := browseAll(t, e, Walk{})
	sameLines(t, lines(all), map[string]string{
		"Line 1/CurMachSpeed": "float32 ", "Line 1/Filler/Status/CurMachSpeed": "float32  role speed",
		"Line 1/Filler/Admin/ProdProcessedCount": "int32  role total", "Line 1/Filler/Admin/ProdDefectiveCount": "int32  role reject",
		"Line 1/Filler/Admin/Other/StopReason": "int32 ", "Line 1/Filler/StateMachine/CurrentState": "localizedtext  role state_top",
		"Line 1/Filler/StateMachine/ExecuteState/CurrentState":              "localizedtext  role state",
		"Line 1/Filler/StateMachine/ExecuteState/CurrentState/CurrentState": "localizedtext ",
	})
	for _, v := range all {
		if own := strings.HasPrefix(strings.Join(v.Path, "/"), "Line 1/Filler/"); own != (v.Machine != nil) {
			t.Errorf("%v belongs to %+v", v.Path, v.Machine)
		} else if own && (v.Machine.Name != "Filler" || v.Machine.Spec != PackML || !slices.Equal(v.Machine.Path, []string{"Line 1", "Filler"})) {
			t.Errorf("machine %+v", v.Machine)
		}
	}
	if all, _ := browseAll(t, e, Walk{From: address(m.id, e.namespaces)}); len(all) != 7 || all[0].Machine == nil || all[0].Machine.Name != "Filler" {
		t.Errorf("from the machine itself: %+v", all)
	}
}

func browseMachinery(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	ns := tr.in(machineryURI)
	of := func(n uint32) *ua.NodeID { return ua.NewNumericNodeID(ns, n) }
	press := tr.object(objects, "Press", nil)
	tr.variable(tr.object(press, "MachineryItemState", of(machineryState)), "CurrentState", builtinType(id.LocalizedText), -1, nil)
	tr.variable(tr.object(press, "MachineryOperationMode", of(machineryMode)), "CurrentState", builtinType(id.LocalizedText), -1, nil)
	oven := tr.object(tr.object(objects, "Oven", nil), "MachineryBuildingBlocks", nil)
	tr.variable(tr.object(oven, "MachineryItemState", of(machineryState)), "CurrentState", builtinType(id.LocalizedText), -1, nil)
	listed := tr.object(objects, "Saw", nil)
	tr.variable(listed, "blade", builtinType(id.Double), -1, 1.5)
	machines := tr.grow(&branch{id: of(machineryMachines), class: ua.NodeClassObject, name: ua.QualifiedName{NamespaceIndex: ns, Name: "Machines"}})
	machines.refs = []twig{{kind: id.Organizes, to: listed}}
	objects.refs = append(objects.refs, twig{kind: id.Organizes, to: machines})

	all, _ := browseAll(t, e, Walk{})
	var got []string
	for _, v := range all {
		got = append(got, fmt.Sprint(v.Machine.Name, " ", v.Role, " ", v.Machine.Spec))
	}
	slices.Sort(got)
	if want := "Oven state Machinery; Press mode Machinery; Press state Machinery; Saw  Machinery"; strings.Join(got, "; ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// Every kind of node id is written so that it is found again.
func browseAddresses(t *testing.T, tr *tree, e *Explorer) {
	objects := tr.clear()
	odd := tr.in("urn:odd;name%20")
	ids := []*ua.NodeID{ua.NewNumericNodeID(odd, 7), ua.NewStringNodeID(odd, `a;b="c" ${x} 中`), ua.NewGUIDNodeID(tr.own, "72962B91-FA75-4AE6-8D28-B404DC7DAF63"),
		ua.NewByteStringNodeID(tr.own, []byte{1, 2, 0xFF}), ua.NewStringNodeID(tr.own, ""), ua.NewStringNodeID(tr.own, "\xff")}
	for i, n := range ids {
		v := tr.variable(objects, fmt.Sprint("v", i), builtinType(id.Int32), -1, int32(i))
		delete(tr.nodes, v.id.String())
		v.id = n
		tr.nodes[n.String()] = v
	}
	all, _ := browseAll(t, e, Walk{})
	var signals []Signal
	for i, v := range all {
		if bad := i >= 4; bad != (v.Why != "") {
			t.Errorf("%s: %s", v.Node, v.Why)
		}
		if v.Why == "" {
			signals = append(signals, Signal{Name: v.Path[0], Node: v.Node, Type: v.Type})
		}
	}
	seen, err := e.Look(t.Context(), signals)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range seen {
		if s.Value.Integer() != int64(i) || s.Reason != "" {
			t.Errorf("%s: %+v", s.Node, s)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add(uint16(1), uint8(0), "name", "urn:x")
	f.Add(uint16(1), uint8(1), `a;b="c`, "urn:odd;name%20")
	f.Add(uint16(2), uint8(2), "\x00\xff", "http://opcfoundation.org/UA/PackML/")
	f.Fuzz(func(t *testing.T, ns uint16, kind uint8, text, uri string) {
		namespaces := []string{"http://opcfoundation.org/UA/", uri, "urn:2"}
		ns %= 3
		if uri == namespaces[0] || uri == namespaces[2] {
			return // a server's namespaces are different
		}
		var n *ua.NodeID
		switch kind % 3 {
		case 0:
			n = ua.NewNumericNodeID(ns, uint32(len(text)))
		case 1:
			n = ua.NewStringNodeID(ns, text)
		case 2:
			n = ua.NewByteStringNodeID(ns, []byte(text))
		}
		parsed, err := parseNode(address(n, namespaces))
		if err != nil {
			if text == "" || kind%3 == 0 {
				if kind%3 == 0 {
					t.Fatal(err)
				}
				return
			}
			t.Fatal(err)
		}
		if back, err := parsed.resolve(namespaces); err != nil || back.String() != n.String() {
			t.Errorf("%v became %v, %v by %s", n, back, err, address(n, namespaces))
		}
	})
}

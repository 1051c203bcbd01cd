package opcua

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

// foreignValue is a node of the foreign server, the signal that reads it, and
// what must come of it.
type foreignValue struct {
	node   string
	kind   string // as the server calls it
	value  any    // as JSON; nil for none
	more   message
	signal Signal
	want   plant.Value
	reason string // of a reading that is not good
}

func foreignValues() []foreignValue {
	const source = "2024-05-06T07:08:09.123Z"
	all := []foreignValue{
		{node: "boolean", kind: "Boolean", value: true, want: plant.Boolean(true)},
		{node: "sbyte", kind: "SByte", value: -128, signal: Signal{Type: "int8"}, want: plant.Integer(-128)},
		{node: "byte", kind: "Byte", value: 255, signal: Signal{Type: "uint8"}, want: plant.Integer(255)},
		{node: "int16", kind: "Int16", value: -32768, want: plant.Integer(-32768)},
		{node: "uint16", kind: "UInt16", value: 65535, want: plant.Integer(65535)},
		{node: "int32", kind: "Int32", value: -3, want: plant.Integer(-3)},
		{node: "uint32", kind: "UInt32", value: uint32(4294967295), want: plant.Integer(4294967295)},
		{node: "int64", kind: "Int64", value: []uint32{0xFFDFFFFF, 0xFFFFFFFF}, want: plant.Integer(-(1<<53 + 1))}, // no float holds it
		{node: "uint64", kind: "UInt64", value: []uint32{0x7FFFFFFF, 0xFFFFFFFF}, want: plant.Integer(1<<63 - 1)},
		{node: "large", kind: "UInt64", value: []uint32{0x80000000, 0}, signal: Signal{Type: "uint64"}, reason: "above the largest integer, 9223372036854775807"},
		{node: "float", kind: "Float", value: 0.5, signal: Signal{Type: "float32"}, want: plant.Float(0.5)},
		{node: "double", kind: "Double", value: -0.1, signal: Signal{Type: "float64"}, want: plant.Float(-0.1)},
		{node: "nan", kind: "Double", value: "NaN", signal: Signal{Type: "float64"}, reason: "not a number (NaN)"},
		{node: "string", kind: "String", value: "断路器", want: plant.Text("断路器")},
		{node: "date", kind: "DateTime", value: source, signal: Signal{Type: "datetime"}, want: plant.Text(source)},
		{node: "guid", kind: "Guid", value: "72962B91-FA75-4AE6-8D28-B404DC7DAF63", want: plant.Text("72962b91-fa75-4ae6-8d28-b404dc7daf63")},
		{node: "bytes", kind: "ByteString", value: "00ff10", signal: Signal{Type: "bytestring"}, want: plant.Text("00ff10")},
		{node: "text", kind: "LocalizedText", value: message{"text": "läuft", "locale": "de"}, signal: Signal{Type: "localizedtext"}, want: plant.Text("läuft")},
		{node: "name", kind: "QualifiedName", value: message{"name": "State", "namespaceIndex": 1}, signal: Signal{Type: "qualifiedname"}, want: plant.Text("State")},
		{node: "code", kind: "StatusCode", value: "BadTimeout", signal: Signal{Type: "statuscode"}, want: plant.Integer(0x800A0000)},
		{node: "state", kind: "Int32", value: 1, more: message{"enumeration": true}, signal: Signal{Type: "enum"}, want: plant.Integer(1)},
		{node: "array", kind: "Float", value: []float64{1, 2.5, -4}, more: message{"array": true}, signal: Signal{Type: "float32", Index: new(1)}, want: plant.Float(2.5)},
		{node: "array", signal: Signal{Name: "beyond", Type: "float32", Index: new(3)}, reason: "the array has no index 3"},
		{node: "array", signal: Signal{Name: "whole", Type: "float32"}, reason: "configured a single float32, but the server sent an array: set index"},
		{node: "wide", kind: "Int64", value: [][]uint32{{0, 1}, {1, 0}}, more: message{"array": true}, signal: Signal{Type: "int64", Index: new(1)}, want: plant.Integer(1 << 32)},
		{node: "dates", kind: "DateTime", value: []string{source, source}, more: message{"array": true}, signal: Signal{Type: "datetime", Index: new(1)}, want: plant.Text(source)},
		{node: "texts", kind: "LocalizedText", value: []message{{"text": "a"}, {"text": "b"}}, more: message{"array": true}, signal: Signal{Type: "localizedtext", Index: new(1)}, want: plant.Text("b")},
		{node: "matrix", kind: "Int32", value: []int{1, 2, 3, 4}, more: message{"array": true, "dimensions": []int{2, 2}}, signal: Signal{Type: "int32", Index: new(0)},
			reason: "the server sent an array of 2 dimensions, only one can be read"},
		{node: "unit", kind: "Structure", value: "unit", signal: Signal{Type: "string"}, reason: "configured string, but the server sent a structure (i=889)"},
		{node: "opaque", kind: "Structure", value: "opaque", signal: Signal{Type: "float64"}, reason: "configured float64, but the server sent a structure (ns=3;i=9001)"},
		{node: "structures", kind: "Structure", value: []string{"opaque", "unit"}, more: message{"array": true}, signal: Signal{Type: "int32", Index: new(0)},
			reason: "configured int32, but the server sent a structure"},
		{node: "garbled", kind: "Structure", value: "garbled", signal: Signal{Type: "int32"}, reason: "the answer cannot be decoded: a value is cut off, or lies too deep in others"},
		{node: "empty", kind: "Int32", reason: "no value (UncertainInitialValue)"},
		{node: "failed", kind: "Int32", value: 4, more: message{"status": "BadSensorFailure"}, signal: Signal{Type: "int32"}, reason: "BadSensorFailure"},
		{node: "doubtful", kind: "Int32", value: 5, more: message{"status": "UncertainLastUsableValue"}, signal: Signal{Type: "int32"}, want: plant.Integer(5), reason: "UncertainLastUsableValue"},
		{node: "gone", signal: Signal{Type: "int32"}, reason: "BadNodeIdUnknown"},
		{node: "last", kind: "UInt16", value: 9, want: plant.Integer(9)},
	}
	for i := range all {
		v := &all[i]
		v.signal.Node = foreignNode(v.node)
		if v.signal.Name == "" {
			v.signal.Name = v.node
		}
		if v.signal.Type == "" {
			v.signal.Type = strings.ToLower(v.kind)
		}
	}
	return all
}

// foreignNodes tells the child of the nodes.
func foreignNodes() []message {
	var all []message
	for _, v := range foreignValues() {
		if v.kind == "" {
			continue
		}
		m := message{"node": v.node, "type": v.kind}
		if v.value != nil {
			m["value"] = v.value
		}
		maps.Copy(m, v.more)
		all = append(all, m)
	}
	return all
}

func foreignSignals() []Signal {
	var all []Signal
	for _, v := range foreignValues() {
		all = append(all, v.signal)
	}
	return all
}

// checkForeign holds readings, the latest of each signal, against what must
// come.
func checkForeign(t *testing.T, got map[string]plant.Reading) {
	t.Helper()
	for _, v := range foreignValues() {
		r, ok := got[v.signal.Name]
		quality := plant.Good
		switch {
		case v.reason != "" && v.want == plant.Value{}:
			quality = plant.Bad
		case v.reason != "":
			quality = plant.Uncertain
		}
		if !ok || r.Value != v.want || r.Reason != v.reason || r.Quality != quality {
			t.Errorf("%s: %+v (%v), want %v %v %q", v.signal.Name, r, ok, v.want, quality, v.reason)
		}
	}
}

func latest(readings []plant.Reading) map[string]plant.Reading {
	got := map[string]plant.Reading{}
	for _, r := range readings {
		got[r.Signal] = r
	}
	return got
}

func foreignPoll(t *testing.T, s *foreignServer) {
	s.ask(t, "requests", message{"name": s.name})
	d := s.device(t, nil, Config{}, foreignSignals()...)
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second round is without the parked ones
		checkForeign(t, latest(poll(t, d).Readings))
	}
	if n := s.number(t, "requests", "read", message{"name": s.name}); n != 5 {
		t.Errorf("the largest request to read had %d nodes, the server takes 5", n)
	}
	for _, v := range []int{1, 2, 3} {
		s.set(t, "int32", "Int32", v, nil)
		if r := latest(poll(t, d).Readings)["int32"]; r.Value != plant.Integer(int64(v)) {
			t.Errorf("changed to %d: %+v", v, r)
		}
	}
	s.set(t, "int32", "Int32", -3, nil)
}

func foreignSubscribe(t *testing.T, s *foreignServer) {
	s.ask(t, "requests", message{"name": s.name})
	d := s.device(t, nil, Config{Mode: ModeSubscribe, Publishing: 50 * time.Millisecond, Sampling: 10 * time.Millisecond, Queue: 10}, foreignSignals()...)
	// It takes two connections: a value that cannot be decoded spoils the report.
	checkForeign(t, again(t, d, func(map[string]plant.Reading) bool { return false },
		func(got map[string]plant.Reading) bool { return len(got) == len(foreignValues()) }))
	if n := s.number(t, "requests", "monitor", message{"name": s.name}); n != 3 {
		t.Errorf("the largest request to monitor had %d nodes, the server takes 3", n)
	}
	for _, v := range []int{10, 11, -3} {
		s.set(t, "int32", "Int32", v, nil)
		seen := func(all []plant.Reading) []plant.Reading { // it tells of NaN and of structures all the time
			return slices.DeleteFunc(slices.Clone(all), func(r plant.Reading) bool { return r.Signal != "int32" })
		}
		all, _ := gather(t, d, func(all []plant.Reading) bool { return len(seen(all)) > 0 })
		if r := seen(all)[0]; len(seen(all)) != 1 || r.Value != plant.Integer(int64(v)) || r.Quality != plant.Good {
			t.Errorf("changed to %d: %+v", v, r)
		}
	}
}

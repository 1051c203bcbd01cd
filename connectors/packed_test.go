package connectors

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

func TestPackedSettings(t *testing.T) {
	bit, scale, zero := 3, 0.1, 0.0
	signals := []Signal{
		{Name: "a", Address: "holding:0", Type: "bool", Bit: &bit},
		{Name: "b", Address: "holding:1", Type: "float32", Order: "CDAB", Scale: &scale, Offset: &zero, Deadband: 1e-300, Unit: "°C", Description: "温度 <&>"},
		{Name: "c", Node: "ns=2;s=x", Index: new(int), DeadbandPercent: 2, Group: "slow", Counter: 16, Length: 4},
	}
	p, err := pack(signals)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.unpack(); err != nil || !reflect.DeepEqual(got, signals) {
		t.Errorf("%+v, %v, want %+v", got, err, signals)
	}
	// Each field counts, also those that are added later.
	for i := range reflect.TypeFor[Signal]().NumField() {
		other := append([]Signal(nil), signals...)
		f := reflect.ValueOf(&other[2]).Elem().Field(i)
		switch f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
			if f.Elem().CanInt() {
				f.Elem().SetInt(7)
			}
		case reflect.String:
			f.SetString("other")
		case reflect.Int:
			f.SetInt(7)
		case reflect.Float64:
			f.SetFloat(7)
		default:
			t.Fatalf("field %d is a %v", i, f.Kind())
		}
		if q, err := pack(other); err != nil || bytes.Equal(p, q) {
			t.Errorf("another %s is the same, %v", reflect.TypeFor[Signal]().Field(i).Name, err)
		}
	}
	many := make([]Signal, 1000)
	for i := range many {
		many[i] = Signal{Name: fmt.Sprintf("value_%04d", i), Address: fmt.Sprintf("holding:%d", i), Type: "uint16"}
	}
	if p, err = pack(many); err != nil || len(p) > 20*len(many) {
		t.Errorf("%d bytes for %d signals, %v", len(p), len(many), err)
	}
}

package modbus

import (
	"bytes"
	"fmt"
	"testing"
)

func TestInspect(t *testing.T) {
	s := newSlave(t)
	s.set(9, 0x0001, 0x0000, 0x41C8, 0x0007) // 25 as float32 at 10, words swapped
	s.illegal[50] = true
	s.coils[1] = true
	d := connect(t, newDevice(t, Config{URL: "tcp://" + s.address}, nil,
		Signal{Name: "temperature", Address: "40011", Type: "float32"}, register("gone", 50), register("first", 0), register("last", 65535),
		Signal{Name: "lamp", Address: "coil:1"}))
	all, err := d.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 5 || all[0].Signal != "temperature" || all[0].Address != "holding:10" || len(all[0].Views) != 12 {
		t.Fatalf("got %+v", all)
	}
	right := 0
	for _, v := range all[0].Views {
		if v.Value.Float() == 25 && v.Address == "holding:10" && v.Shift == 0 && v.Order == "CDAB" && !v.Configured && bytes.Equal(v.Raw, []byte{0, 0, 0x41, 0xC8}) {
			right++
		}
		if v.Configured != (v.Shift == 0 && v.Order == "ABCD") {
			t.Errorf("view %+v is not that of the settings", v)
		}
	}
	if right != 1 {
		t.Errorf("%d views show the right value: %+v", right, all[0].Views)
	}
	if all[1].Reason != exceptions[2] || len(all[1].Views) != 4 {
		t.Errorf("refused: %+v, want the reason and what lies beside it", all[1])
	}
	if len(all[2].Views) != 4 || len(all[3].Views) != 4 {
		t.Errorf("at the ends of the table: %+v, %+v", all[2], all[3])
	}
	lamps := ""
	for _, v := range all[4].Views {
		lamps += fmt.Sprint(v.Shift, v.Value, v.Configured, " ")
	}
	if lamps != "-1 false false 0 true true 1 false false " {
		t.Errorf("lamps %q", lamps)
	}
	d.Close()
	if _, err := d.Inspect(t.Context()); err == nil {
		t.Error("a closed device is inspected")
	}
}

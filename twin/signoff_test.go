package twin_test

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"linetwin/plant"
)

// TestSignOff: signed figures stay readable beside the current ones, whatever
// changes them, also after a restart; only what is published can be signed.
func TestSignOff(t *testing.T) {
	w := newWorked(t)
	before := w.figures()
	key := plant.AtKey("line", w.shift.From)
	_, err := w.twin.Tell(context.Background(), said(plant.EntrySignOff, key, `{"revision": 1}`))
	if err == nil || !strings.HasPrefix(err.Error(), "value.revision: found 1, allowed: the current one, 0") {
		t.Errorf("a revision that there is not: %v", err)
	}
	signed := w.tell(plant.EntrySignOff, key, 0, `{"revision": 0}`)
	f := w.revision(0)
	s := f.SignedOff
	if s == nil || s.Entry != signed.ID || s.By != "li.wei" || s.Why != "told so" || s.Revision != 0 || s.Restated != nil || s.At == 0 {
		t.Fatalf("signed: %+v", s)
	}
	var figures plant.Figures
	if err := json.Unmarshal(s.Figures, &figures); err != nil || figures.Good != before.Good || *figures.OEE != *before.OEE || figures.Shift != "early" {
		t.Errorf("signed figures %s, %v; were %+v", s.Figures, err, before)
	}
	if f.SignedOff = nil; !reflect.DeepEqual(f, before) {
		t.Errorf("signing changed figures: %+v, were %+v", f, before)
	}
	w.tell(plant.EntryCount, plant.AtKey("pack", w.shift.From.Add(2*60*60*1e9)), 0, `{"good": -5}`)
	check := func() {
		t.Helper()
		f := w.revision(1)
		if s := f.SignedOff; s == nil || s.Revision != 0 || s.Restated == nil || s.Restated.Number != 1 || !strings.Contains(s.Restated.Reason, "li.wei: count pack@") ||
			!strings.Contains(string(s.Figures), `"good":`+strings.TrimSpace(string(must(json.Marshal(before.Good))))) || f.Good != before.Good-5 {
			t.Errorf("after a correction: %+v, signed %+v", f, s)
		}
	}
	check()
	w.close()
	w.start()
	check()
	if _, err := w.twin.Tell(context.Background(), plant.Entry{Undoes: signed.ID, By: "li.wei"}); err != nil {
		t.Fatal(err)
	}
	if f := w.revision(1); f.SignedOff != nil {
		t.Errorf("after the undo %+v", f.SignedOff)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

package plant

import "testing"

// FuzzEntryCheck: whatever is said is taken or refused, and what is taken holds
// what the twin relies on.
func FuzzEntryCheck(f *testing.F) {
	f.Add("split", "press@2026-03-01T23:00:00Z", `{"parts": [{"reason": "jam"}, {"from": "2026-03-01T23:01:00Z"}]}`)
	f.Add("merge", "press@2026-03-01T23:00:00Z", `{"to": "press@2026-03-01T23:10:00.000Z"}`)
	f.Add("state", "press@2026-03-01T23:00:00Z", `{"to": "2026-03-01T23:01:00Z", "class": "run"}`)
	f.Add("count", "press@2026-03-01T23:00:00Z", `{"good": -5, "reject": 5}`)
	f.Add("order", "1", `{"id": "1", "line": "a", "product": "p"}`)
	f.Fuzz(func(t *testing.T, kind, key, value string) {
		e := Entry{By: "a", Kind: EntryKind(kind), Key: key, Value: RawJSON(value)}
		if len(e.Check()) > 0 || value == "" {
			return
		}
		id, at, _ := CutAtKey(key)
		switch e.Kind {
		case EntrySplit:
			if s, faults := Said[SplitSaid](&e); len(faults) > 0 || len(s.Parts) < 2 || s.Parts[1].From <= 0 {
				t.Errorf("%s: %+v, %v", value, s, faults)
			}
		case EntryMerge:
			s, _ := Said[MergeSaid](&e)
			if same, to, ok := CutAtKey(s.To); !ok || same != id || to <= at {
				t.Errorf("%s of %s: to %s", value, key, s.To)
			}
		case EntryState:
			if s, _ := Said[StateSaid](&e); s.To <= at || (s.Class == nil) == (s.State == "") {
				t.Errorf("%s of %s: %+v", value, key, s)
			}
		case EntryCount:
			if c, _ := Said[CountSaid](&e); c.Span(at).Empty() {
				t.Errorf("%s of %s: %+v", value, key, c)
			}
		}
	})
}

package twin

import "linetwin/plant"

// tellHistory notes for IT that history does not store, why and since when;
// that it does again; or that more waits than memory may hold.
func (t *Twin) tellHistory() {
	s := t.hist.status()
	failed := s.Live.Failed + s.Backlog.Failed
	switch {
	case s.Failing != "":
		t.Notice("history", "history does not store since "+s.Since.String()+": "+s.Failing, failed)
	case s.Was != "":
		t.Notice("history", "history stores again since "+s.Since.String()+"; before that: "+s.Was, failed)
	case s.Refused > 0:
		t.Notice("history", "more waits for history than memory may hold; gateways keep the rest", s.Refused)
	}
}

// History tells how writing to history goes.
func (t *Twin) History() plant.HistoryLive { return t.hist.status() }

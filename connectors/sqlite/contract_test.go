package sqlite

import (
	"log/slog"
	"testing"

	"linetwin/connectors/historytest"
)

func TestHistoryKeepsTheContract(t *testing.T) {
	historytest.Run(t, func(t testing.TB) func() historytest.Store {
		folder := t.TempDir()
		return func() historytest.Store {
			h, err := OpenHistory(t.Context(), HistoryConfig{Folder: folder}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
	})
}

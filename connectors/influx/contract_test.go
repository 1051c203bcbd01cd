package influx

import (
	"fmt"
	"log/slog"
	"testing"

	"linetwin/connectors/historytest"
)

func TestHistoryKeepsTheContract(t *testing.T) {
	d := historytest.StartInfluxd(t)
	n := 0
	historytest.Run(t, func(t testing.TB) func() historytest.Store {
		n++
		database := fmt.Sprintf("plant%d", n)
		d.CreateDatabase(t, database)
		return func() historytest.Store { return open(t, d, database) }
	})
}

func open(t testing.TB, d *historytest.Influxd, database string) *History {
	t.Helper()
	h, err := Open(Config{URL: d.URL, Database: database}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
)

// historyDescs are the figures of writing to history.
type historyDescs struct {
	failing, stored, repeated, refused *prometheus.Desc
	waiting, writes, failed, took, max *prometheus.Desc
	dropped, late, bytes               *prometheus.Desc
}

func newHistoryDescs() historyDescs {
	return historyDescs{
		failing:  desc("history_failing", "1 while history does not store"),
		stored:   desc("history_readings_total", "readings stored"),
		repeated: desc("history_repeated_total", "batches that came again although they were stored or waited"),
		refused:  desc("history_refused_total", "batches that did not fit into memory; gateways send them again"),
		waiting:  desc("history_readings_waiting", "readings that wait in memory", "lane"),
		writes:   desc("history_writes_total", "writes that were stored", "lane"),
		failed:   desc("history_writes_failed_total", "writes that failed and were tried again", "lane"),
		took:     desc("history_write_seconds", "how long the last write took", "lane"),
		dropped:  desc("history_retention_dropped_total", "what the embedded history dropped by age or size: readings, or rows of aggregates", "what"),
		late:     desc("history_retention_late_total", "readings that came when the embedded history had dropped those of their time"),
		bytes:    desc("history_bytes", "bytes in use of the embedded history's file, when it was last looked at"),
		max:      desc("history_write_readings_max", "most readings of a write, as the store's speed allows", "lane"),
	}
}

func (d *historyDescs) collect(s plant.HistoryLive, gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, uint64, ...string)) {
	gauge(d.failing, one(s.Failing != ""))
	count(d.stored, s.Stored)
	count(d.repeated, s.Repeated)
	count(d.refused, s.Refused)
	for _, l := range []struct {
		name string
		plant.HistoryLane
	}{{"live", s.Live}, {"backlog", s.Backlog}} {
		gauge(d.waiting, float64(l.Waiting), l.name)
		count(d.writes, l.Writes, l.name)
		count(d.failed, l.Failed, l.name)
		gauge(d.took, float64(l.WriteMs)/1000, l.name)
		gauge(d.max, float64(l.WriteMax), l.name)
	}
}

// retained shows what an embedded history has dropped.
func (d *historyDescs) retained(r sqlite.Retained, gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, uint64, ...string)) {
	count(d.dropped, uint64(r.Readings), "readings")
	count(d.dropped, uint64(r.Minutes), "minutes")
	count(d.dropped, uint64(r.Hours), "hours")
	count(d.late, uint64(r.Late))
	gauge(d.bytes, float64(r.Bytes))
}

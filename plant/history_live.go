package plant

// HistoryLive is how writing to history goes.
type HistoryLive struct {
	Failing string `json:"failing,omitempty"` // why it does not store; empty while it does
	Since   Time   `json:"since"`             // since when it fails, or stores again; null: it never failed
	Was     string `json:"was,omitempty"`     // why it failed the last time

	Stored   uint64 `json:"stored"`   // readings since the start
	Repeated uint64 `json:"repeated"` // batches that came again although they were stored or waited
	Refused  uint64 `json:"refused"`  // batches that did not fit into memory; gateways send them again

	Live    HistoryLane `json:"live"`    // what was sent when it was read
	Backlog HistoryLane `json:"backlog"` // what was sent later
}

// HistoryLane is a queue of what waits to be written.
type HistoryLane struct {
	Waiting  int    `json:"waiting"` // readings in memory
	Writes   uint64 `json:"writes"`
	Failed   uint64 `json:"failed"`    // writes that failed
	WriteMax int    `json:"write_max"` // most readings of a write, as the store's speed allows
	WriteMs  int64  `json:"write_ms"`  // how long the last write took
}

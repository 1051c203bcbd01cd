package sparkplug

import (
	"encoding/json"
	"fmt"
)

// hostState is the payload of STATE (Sparkplug B 3.0, 6.4.27).
type hostState struct {
	Online    bool  `json:"online"`
	Timestamp int64 `json:"timestamp"` // milliseconds since the epoch
}

func (s hostState) encode() []byte {
	b, _ := json.Marshal(s) // a bool and a number always marshal
	return b
}

func decodeState(b []byte) (hostState, error) {
	var s struct {
		Online    *bool  `json:"online"`
		Timestamp *int64 `json:"timestamp"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return hostState{}, fmt.Errorf("decode STATE: %w", err)
	}
	if s.Online == nil || s.Timestamp == nil {
		return hostState{}, fmt.Errorf("decode STATE %.64q: want online and timestamp", b)
	}
	return hostState{*s.Online, *s.Timestamp}, nil
}

package connectors

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
)

// packed is the settings of a device's signals in some bytes each, where the
// settings themselves would take two hundred. They are kept to tell whether
// anything changed, and for the rare case that the device is built anew. Equal
// settings have equal bytes.
type packed []byte

func pack(signals []Signal) (packed, error) {
	var to bytes.Buffer
	deflate, err := flate.NewWriter(&to, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	encode := json.NewEncoder(deflate)
	for i := range signals {
		if err := encode.Encode(&signals[i]); err != nil {
			return nil, fmt.Errorf("signal %s: %w", signals[i].Name, err)
		}
	}
	if err := deflate.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(to.Bytes()), nil
}

func (p packed) unpack() ([]Signal, error) {
	decode := json.NewDecoder(flate.NewReader(bytes.NewReader(p)))
	var signals []Signal
	for {
		var s Signal
		if err := decode.Decode(&s); err == io.EOF {
			return signals, nil
		} else if err != nil {
			return nil, fmt.Errorf("settings of signals: %w", err)
		}
		signals = append(signals, s)
	}
}

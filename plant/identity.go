package plant

import "strings"

// Identity tells one installation of a gateway from another that has the same
// name. Its session tells one process from another.
type Identity struct {
	// Installation is random, made once in the buffer's folder, and goes where
	// the folder goes. Empty for a foreign edge node.
	Installation string `json:"installation"`
	// Start numbers the installation's processes from 1. The same number twice
	// means that the folder was copied, or put back from a backup.
	Start   uint64 `json:"start"`
	Host    string `json:"host"`    // name of the computer
	Address string `json:"address"` // from which it speaks to the broker
}

// String names an identity for people.
func (i Identity) String() string {
	var parts []string
	if i.Host != "" {
		parts = append(parts, "host "+i.Host)
	}
	if i.Address != "" {
		parts = append(parts, "address "+i.Address)
	}
	if i.Installation != "" {
		parts = append(parts, "installation "+i.Installation)
	}
	if len(parts) == 0 {
		return "unknown"
	}
	return strings.Join(parts, ", ")
}

// Rivals are two processes that speak under one gateway's name at the same
// time, each taking the place of the other. Nothing is lost by that: neither
// is told that what the other sent is stored.
type Rivals struct {
	Since Time     `json:"since"`
	Last  Time     `json:"last"`  // when one last took the place of the other
	Turns uint64   `json:"turns"` // how often it did
	Here  Identity `json:"here"`  // who is heard now
	Other Identity `json:"other"`
}

// Copied tells whether one's folder is a copy of the other's.
func (r *Rivals) Copied() bool {
	return r.Here.Installation != "" && r.Here.Installation == r.Other.Installation
}

// Replaced is a gateway that came back as another installation, or with an
// older state of its buffer.
type Replaced struct {
	At     Time     `json:"at"`
	Before Identity `json:"before"`
	// Waiting is how many readings the installation before still held when it
	// last told: they come later if its folder runs again, and else are gone.
	Waiting uint64 `json:"waiting"`
	// Restored: it is the same installation, with its folder from a backup or a
	// copy.
	Restored bool `json:"restored"`
}

// Shared is a machine of which two gateways tell at the same time.
type Shared struct {
	Machine string `json:"machine"`
	Area    string `json:"area"`    // of the other gateway
	Gateway string `json:"gateway"` // the other gateway
	Since   Time   `json:"since"`
}

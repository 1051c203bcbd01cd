package main

import "time"

// faultRow is one fault of the table.
type faultRow struct {
	name   string
	plan   func(*faultPlan) // what is unlike the shipped settings
	fault  func(*faultRig)
	skip   string        // why it cannot be had here
	window time.Duration // a power cut may cost what was read in it
	drops  bool          // a cap is hit on purpose
}

func faultRows(o faultOptions) []faultRow { return nil }

package main

import "testing"

type faultTable struct{}

func newFaultTable(t *testing.T, o faultOptions) *faultTable { return &faultTable{} }
func (f *faultTable) skipped(row faultRow, why string)       {}
func (f *faultTable) add(row faultRow, o outcome)            {}

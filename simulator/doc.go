// Package simulator is a pretend plant: two lines that make miniature circuit
// breakers, whose controllers speak real OPC UA and real Modbus TCP on loopback.
//
// At its heart is a discrete-event model in process time, counted in whole
// milliseconds of the Unix epoch, with no clock and no I/O inside. The same
// seed and anchor always give the same plant, whatever the steps in which it is
// advanced. On top of it stand the protocol servers, a ledger of what truly
// happened, and a generator of the past as a gateway would have polled it.
//
// It shares no code with the rest of the project, so that it is an honest peer:
// what a gateway and a twin make of the wire can be held against its ledger.
package simulator

package sparkplug

import (
	"context"
	"errors"
	"log/slog"

	"linetwin/plant"
)

// Sink takes what gateways say. All calls for one gateway come from one
// goroutine, in order; different gateways call at the same time.
type Sink interface {
	// Birth lists all devices the gateway has. Last is filled only for devices
	// whose certificate just came.
	Birth(b plant.GatewayBirth)
	Death(area, gateway string, at plant.Time)
	Status(s plant.GatewayStatus)
	// Batch and its readings are the sink's to keep.
	Batch(b *plant.Batch)
}

// Host is the twin's end of the wire: a Sparkplug host application.
type Host struct{}

// Stats counts what a Host saw since it was made.
type Stats struct{}

// NewHost gives a Host; it dials nothing.
func NewHost(cfg HostConfig, sink Sink, log *slog.Logger) (*Host, error) {
	return nil, errors.New("not yet")
}

// Run connects, and connects again, until ctx ends.
func (h *Host) Run(ctx context.Context) error { return ctx.Err() }

// Acknowledge tells a gateway what history has stored.
func (h *Host) Acknowledge(a plant.Acknowledgement) error { return plant.ErrOffline }

// Online tells whether the host is connected.
func (h *Host) Online() bool { return false }

// Err tells why the Host is not online; nil while it is.
func (h *Host) Err() error { return plant.ErrOffline }

// Stats gives the counts.
func (h *Host) Stats() Stats { return Stats{} }

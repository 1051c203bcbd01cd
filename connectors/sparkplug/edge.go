package sparkplug

import (
	"context"
	"errors"
	"log/slog"

	"linetwin/plant"
)

// Node is what an Edge asks of its gateway. Birth and Linked and Acknowledge
// are called from Run's goroutine, one at a time, while the Edge holds no
// lock.
type Node interface {
	// Birth gives the gateway as it is now; called at each connect and rebirth.
	Birth() plant.GatewayBirth
	// Acknowledge takes what the host (or the broker) has.
	Acknowledge(a plant.Acknowledgement)
	// Linked tells that Online changed.
	Linked(online bool)
}

// Edge is a gateway's end of the wire: a Sparkplug edge node.
type Edge struct{}

// NewEdge gives an Edge; it dials nothing.
func NewEdge(cfg EdgeConfig, node Node, log *slog.Logger) (*Edge, error) {
	return nil, errors.New("not yet")
}

// Run connects, and connects again, until ctx ends.
func (e *Edge) Run(ctx context.Context) error { return ctx.Err() }

// Publish sends a batch as DDATA, or gives plant.ErrOffline.
func (e *Edge) Publish(b *plant.Batch) error { return plant.ErrOffline }

// Status sends the gateway's account of itself as NDATA.
func (e *Edge) Status(s *plant.GatewayStatus) error { return plant.ErrOffline }

// Device tells that a device came (DBIRTH) or went (DDEATH).
func (e *Edge) Device(b plant.DeviceBirth) error { return plant.ErrOffline }

// Online tells whether data can be published now.
func (e *Edge) Online() bool { return false }

// Err tells why the Edge is not online; nil while it is.
func (e *Edge) Err() error { return plant.ErrOffline }

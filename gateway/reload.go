package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"linetwin/plant"
)

// closing is how long devices that are taken out may take to end.
const closing = 10 * time.Second

// reload asks Run for other devices.
type reload struct {
	devices []Device
	done    chan error
}

// Reload makes these the devices of the running gateway. One whose Source is
// that of a running device goes on as it is and notices nothing; the others
// end, say goodbye, and what is new starts. What removed devices left in the
// buffer is delivered as before. It waits for Run, and returns when the new
// devices run. Where a device did not end within ten seconds it is left behind,
// which the error tells; all else is done then too.
func (g *Gateway) Reload(ctx context.Context, devices []Device) error {
	if err := errors.Join(checkDevices(devices)...); err != nil {
		return err
	}
	r := reload{devices, make(chan error, 1)}
	select {
	case g.reloads <- r:
		return <-r.done
	case <-g.ended:
		return errors.New("gateway has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settings takes why settings that somebody wrote are not used, "" where they
// are; the status tells it.
func (g *Gateway) Settings(problem string) {
	g.mu.Lock()
	g.settings = problem
	g.mu.Unlock()
}

func checkDevices(devices []Device) []error {
	var wrong []error
	seen := map[string]bool{}
	for _, d := range devices {
		if seen[d.Machine] {
			wrong = append(wrong, fmt.Errorf("machine %s: two devices", d.Machine))
		}
		seen[d.Machine] = true
		if d.Source == nil {
			wrong = append(wrong, fmt.Errorf("machine %s: no source", d.Machine))
		}
	}
	return wrong
}

// list gives the devices as they are now; the list is never changed.
func (g *Gateway) list() []*device {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.devices
}

// obey starts the devices, and does what Reload asks until ctx ends.
func (g *Gateway) obey(ctx context.Context, wire Wire, pollers *sync.WaitGroup) {
	defer close(g.ended)
	for _, d := range g.list() {
		d.start(ctx, pollers)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-g.reloads:
			r.done <- g.swap(ctx, wire, r.devices, pollers)
		}
	}
}

// swap puts other devices in the place of those that run. What leaves ends
// before what comes starts: they may want the same connection.
func (g *Gateway) swap(ctx context.Context, wire Wire, devices []Device, pollers *sync.WaitGroup) error {
	running := map[string]*device{}
	for _, d := range g.list() {
		running[d.Machine] = d
	}
	var next, fresh []*device
	for _, want := range devices {
		d := running[want.Machine]
		if d == nil || d.Source != want.Source {
			d = newDevice(want, g)
			fresh = append(fresh, d)
		} else {
			delete(running, want.Machine)
		}
		next = append(next, d)
	}
	err := g.endAll(running)
	g.mu.Lock()
	g.devices = next
	g.mu.Unlock()
	for _, d := range fresh {
		delete(running, d.Machine)
	}
	for _, d := range running {
		g.tellGone(wire, d)
	}
	// What is new is introduced before its first reading.
	g.tellDevices(wire)
	for _, d := range fresh {
		d.start(ctx, pollers)
	}
	return err
}

// endAll ends devices side by side, and takes what they still have.
func (g *Gateway) endAll(devices map[string]*device) error {
	for _, d := range devices {
		d.stop()
	}
	limit, cancel := context.WithTimeout(context.Background(), g.closing)
	defer cancel()
	var hanging []error
	for _, d := range devices {
		if d.ends(limit) {
			d.leave()
			continue
		}
		hanging = append(hanging, fmt.Errorf("device of machine %s has not ended within %v and is left behind", d.Machine, g.closing))
	}
	return errors.Join(hanging...)
}

// ends waits for the end of a device, and tells whether it came. One that has
// ended has, also where the limit is over because of another.
func (d *device) ends(limit context.Context) bool {
	select {
	case <-d.ended:
		return true
	case <-limit.Done():
	}
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// tellGone tells that a device, which is not listed any more, is no more. Where
// nobody hears it the next births tell it by leaving it out.
func (g *Gateway) tellGone(wire Wire, d *device) {
	g.telling.Lock() // whoever still tells devices of the old list comes first
	defer g.telling.Unlock()
	err := wire.Device(plant.DeviceBirth{Machine: d.Machine, Signals: d.Signals})
	if err != nil && !errors.Is(err, plant.ErrOffline) {
		d.log.Debug("end of device not sent", "error", err)
	}
}

// start polls until ctx or the device ends.
func (d *device) start(ctx context.Context, pollers *sync.WaitGroup) {
	ctx, d.stop = context.WithCancel(ctx)
	pollers.Go(func() {
		defer close(d.ended)
		d.run(ctx)
	})
}

// leave makes batches of what a device that has ended still holds, and of its
// claim up to its last look.
func (d *device) leave() {
	d.past.mu.Lock()
	d.flushPast()
	d.past.mu.Unlock()
	d.gateway.timeline.RLock()
	defer d.gateway.timeline.RUnlock()
	if d.looked > d.through {
		d.send(nil, d.looked, time.Now())
	}
}

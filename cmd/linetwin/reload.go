package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"linetwin/configs"
	"linetwin/connectors"
	"linetwin/gateway"
)

// reloader gives a running gateway the settings of its file when they change.
type reloader struct {
	file    string
	seen    configs.Mark     // of the file as it was read at the start
	running *configs.Gateway // without devices
	opener  *connectors.Opener
	sources []*connectors.Supervisor
	core    *gateway.Gateway
	log     *slog.Logger
	hup     <-chan os.Signal // asks for it, also where the file did not change
}

// run takes new settings until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default: // it will be read as it is then
		}
	}
	return together(ctx,
		func(ctx context.Context) error {
			configs.Watch(ctx, r.file, r.seen, poke, r.log)
			return ctx.Err()
		},
		func(ctx context.Context) error {
			calm := time.NewTimer(calmAfter)
			defer calm.Stop()
			for {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-calm.C:
					giveBack()
					continue
				case <-changed:
				case <-r.hup:
				}
				r.reload(ctx)
				calm.Reset(calmAfter)
			}
		},
	)
}

// reload reads the file and has the devices changed, or tells why not; then all
// goes on as it was.
func (r *reloader) reload(ctx context.Context) {
	next, err := configs.LoadGateway(r.file)
	if err == nil {
		err = r.mayTake(next)
	}
	var sources []*connectors.Supervisor
	if err == nil {
		sources, err = r.opener.Open(next.Devices)
	}
	if err != nil {
		r.refuse(err)
		return
	}
	if err := r.core.Reload(ctx, gatewayDevices(sources)); err != nil {
		if ctx.Err() != nil {
			return
		}
		r.log.Error("settings are taken, but not all is well", "error", err)
	}
	r.core.Settings("")
	added, changed, removed := difference(r.sources, sources)
	next.Devices = nil
	r.running, r.sources = next, sources
	r.log.Info("settings are taken", "file", r.file, "added", added, "changed", changed, "removed", removed,
		"unchanged", len(sources)-len(added)-len(changed))
}

// mayTake tells what of other settings a running gateway cannot take.
func (r *reloader) mayTake(next *configs.Gateway) error {
	if keys := r.running.NeedsRestart(next); len(keys) > 0 {
		return fmt.Errorf("a restart is needed to change %s; until then nothing of the file is taken", strings.Join(keys, ", "))
	}
	return nil
}

// mostTold is how many problems of a file are logged, and shown in the status.
const mostTold = 20

// refuse tells why settings are not taken.
func (r *reloader) refuse(err error) {
	told := []string{err.Error()}
	var problems configs.Problems
	if errors.As(err, &problems) {
		told = nil
		for i, p := range problems {
			if i == mostTold {
				told = append(told, fmt.Sprintf("and %d more", len(problems)-i))
				break
			}
			told = append(told, p.Place()+": "+p.Fault.String())
		}
	}
	for _, why := range told {
		r.log.Error("settings are not taken, those before stay", "file", r.file, "why", why)
	}
	r.core.Settings(strings.Join(told, "; "))
}

// difference gives the machines whose devices came, are others now, and went.
func difference(before, after []*connectors.Supervisor) (added, changed, removed []string) {
	old := map[string]*connectors.Supervisor{}
	for _, s := range before {
		old[s.Machine()] = s
	}
	for _, s := range after {
		switch was := old[s.Machine()]; was {
		case s:
		case nil:
			added = append(added, s.Machine())
		default:
			changed = append(changed, s.Machine())
		}
		delete(old, s.Machine())
	}
	for _, s := range before {
		if old[s.Machine()] != nil {
			removed = append(removed, s.Machine())
		}
	}
	return added, changed, removed
}

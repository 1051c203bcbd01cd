package main

import (
	"syscall"
	"time"
)

// trouble comes and goes at random.
type trouble struct {
	name        string
	begin, end  func()
	lasts, rest time.Duration // at most
	next        time.Time
	on          bool
}

// everything has all troubles at once for some time.
func (r *faultRig) everything(d time.Duration) {
	r.t.Helper()
	all := r.troubles()
	for i := range all {
		all[i].next = time.Now().Add(r.someTime(0, all[i].rest))
	}
	count := map[string]int{}
	for until := time.Now().Add(d); ; {
		next := &all[0]
		for i := range all {
			if all[i].next.Before(next.next) {
				next = &all[i]
			}
		}
		if next.next.After(until) {
			time.Sleep(time.Until(until))
			break
		}
		time.Sleep(time.Until(next.next))
		if next.on = !next.on; next.on {
			count[next.name]++
			next.begin()
			next.next = time.Now().Add(r.someTime(0, next.lasts))
		} else {
			next.end()
			next.next = time.Now().Add(r.someTime(next.rest/4, next.rest))
		}
	}
	for i := range all {
		if all[i].on {
			all[i].end()
		}
	}
	r.mended = time.Now()
	r.t.Logf("troubles: %v", count)
}

func (r *faultRig) troubles() []trouble {
	modes := []int32{storeSlow, storeHangs, storeFails, storeBusy, storeForgets}
	all := []trouble{
		{name: "twin killed", begin: func() { r.twin.end(syscall.SIGKILL) }, end: r.twin.start, lasts: 5 * time.Second, rest: 60 * time.Second},
		{name: "broker killed", begin: func() { r.broker.end(syscall.SIGKILL) }, end: r.broker.start, lasts: 5 * time.Second, rest: 60 * time.Second},
		{name: "InfluxDB killed", begin: func() { r.influx.Stop(r.t) }, end: func() { r.influx.Start(r.t) }, lasts: 10 * time.Second, rest: 90 * time.Second},
		{name: "InfluxDB ill", begin: func() { r.store.mode.Store(modes[r.random.IntN(len(modes))]) }, end: func() { r.store.mode.Store(storeWhole) },
			lasts: 15 * time.Second, rest: 40 * time.Second},
		{name: "twin's cable pulled", begin: r.twinCable.pull, end: r.twinCable.plug, lasts: 20 * time.Second, rest: 60 * time.Second},
		{name: "twin half open", begin: r.twinCable.forget, end: func() {}, lasts: time.Second, rest: 90 * time.Second},
	}
	for _, g := range r.gateways {
		all = append(all,
			trouble{name: "gateway killed", begin: func() { r.stopGateway(g, syscall.SIGKILL) }, end: g.proc.start, lasts: 3 * time.Second, rest: 30 * time.Second},
			trouble{name: "gateway's cable pulled", begin: g.cable.pull, end: g.cable.plug, lasts: 30 * time.Second, rest: 60 * time.Second},
			trouble{name: "gateway half open", begin: g.cable.forget, end: func() {}, lasts: time.Second, rest: 90 * time.Second},
			trouble{name: "PLC away", begin: g.plcs[1].leave, end: g.plcs[1].come, lasts: 10 * time.Second, rest: 45 * time.Second})
	}
	return all
}

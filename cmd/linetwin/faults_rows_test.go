package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// faultRow is one fault of the table.
type faultRow struct {
	name  string
	plan  func(*faultPlan) // what is unlike the shipped settings
	fault func(*faultRig)
	skip  string // why it cannot be had here
	drops bool   // a cap is hit on purpose
}

// faultRows are the rows of the table, with faults of that length.
func faultRows(o faultOptions) []faultRow {
	long := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * o.scale).Round(100 * time.Millisecond)
	}
	named := func(format string, d time.Duration) string { return fmt.Sprintf(format, d) }
	rows := killRows(long)
	for _, d := range []time.Duration{5 * time.Second, long(time.Minute), long(10 * time.Minute)} {
		rows = append(rows, faultRow{name: named("all cables pulled for %v", d), fault: func(r *faultRig) {
			r.during(d, func() { r.each((*cable).pull) }, func() { r.each((*cable).plug) })
		}})
	}
	rows = append(rows, networkRows(long)...)
	rows = append(rows, storeRows(long)...)
	rows = append(rows, diskRows(long)...)
	rows = append(rows, clockRows(long)...)
	return append(rows, faultRow{name: named("all at once for %v", o.minutes), fault: func(r *faultRig) { r.everything(o.minutes) },
		plan: func(p *faultPlan) { p.persistent = true }})
}

// times is how often a process is killed in a row.
const times = 5

func killRows(long func(time.Duration) time.Duration) []faultRow {
	repeat := func(r *faultRig, kill func()) {
		for range times {
			time.Sleep(r.someTime(0, long(10*time.Second)))
			kill()
		}
	}
	away := func(r *faultRig) time.Duration { return r.someTime(0, long(5*time.Second)) }
	return []faultRow{
		{name: fmt.Sprintf("gateway killed %d times", times), fault: func(r *faultRig) {
			repeat(r, func() { r.killGateway(r.gateways[0], away(r)) })
		}},
		{name: fmt.Sprintf("gateway killed %d times, its cable pulled", times), fault: func(r *faultRig) {
			r.gateways[0].cable.pull()
			repeat(r, func() { r.killGateway(r.gateways[0], away(r)) })
			r.gateways[0].cable.plug()
			r.mended = time.Now()
		}},
		{name: fmt.Sprintf("gateway restarted %d times", times), fault: func(r *faultRig) {
			repeat(r, func() {
				r.stopGateway(r.gateways[0], syscall.SIGTERM)
				r.gateways[0].proc.start()
				r.mended = time.Now()
			})
		}},
		{name: fmt.Sprintf("twin killed %d times", times), fault: func(r *faultRig) {
			repeat(r, func() { r.killOther(r.twin, away(r)) })
		}},
		{name: fmt.Sprintf("broker killed %d times, without its state", times), fault: func(r *faultRig) {
			repeat(r, func() { r.killOther(r.broker, away(r)) })
		}},
		{name: fmt.Sprintf("broker restarted %d times, with its state", times), plan: func(p *faultPlan) { p.persistent = true }, fault: func(r *faultRig) {
			repeat(r, func() {
				r.broker.end(syscall.SIGTERM) // it saves its state
				if _, err := os.Stat(filepath.Join(r.dir, "mosquitto.db")); err != nil {
					r.t.Errorf("the broker has no state: %v", err)
				}
				time.Sleep(away(r))
				r.broker.start()
				r.mended = time.Now()
			})
		}},
		{name: "InfluxDB killed 2 times", fault: func(r *faultRig) {
			for range 2 {
				time.Sleep(r.someTime(0, long(10*time.Second)))
				r.killInflux(away(r))
			}
		}},
	}
}

func networkRows(long func(time.Duration) time.Duration) []faultRow {
	wait := long(60 * time.Second)
	link := func(bad **badLink) func(*faultPlan) {
		return func(p *faultPlan) {
			p.direct = true
			p.broker = func(r *faultRig, mosquitto string) string {
				*bad = newBadLink(r.t)
				r.broker = spawn(r.t, "mosquitto", "ip", "netns", "exec", (*bad).space, mosquitto, "-c", r.brokerSettings("1883", (*bad).there))
				return net.JoinHostPort((*bad).there, "1883")
			}
		}
	}
	var bad *badLink
	return []faultRow{
		{name: "half-open: gateways to broker", fault: func(r *faultRig) {
			for _, g := range r.gateways {
				g.cable.forget()
			}
			r.mended = time.Now()
		}},
		{name: "half-open: twin to broker", fault: func(r *faultRig) {
			r.twinCable.forget()
			r.mended = time.Now()
		}},
		{name: fmt.Sprintf("PLCs away for %v", long(30*time.Second)), fault: func(r *faultRig) {
			plcs := r.gateways[0].plcs
			r.during(long(30*time.Second), func() {
				for _, p := range plcs {
					p.leave()
				}
			}, func() {
				for _, p := range plcs {
					p.come()
				}
			})
		}},
		{name: fmt.Sprintf("5 %% of packets lost, 50 to 100 ms late, for %v", wait), skip: noLink(), plan: link(&bad), fault: func(r *faultRig) {
			r.during(wait, func() { bad.set(0.05, 50*time.Millisecond, 50*time.Millisecond) }, func() { bad.set(0, 0, 0) })
		}},
		{name: fmt.Sprintf("30 %% of packets lost, 100 to 300 ms late, for %v", wait), skip: noLink(), plan: link(&bad), fault: func(r *faultRig) {
			r.during(wait, func() { bad.set(0.3, 100*time.Millisecond, 200*time.Millisecond) }, func() { bad.set(0, 0, 0) })
		}},
		{name: fmt.Sprintf("all packets lost for %v", wait), skip: noLink(), plan: link(&bad), fault: func(r *faultRig) {
			r.during(wait, func() { bad.set(1, 0, 0) }, func() { bad.set(0, 0, 0) })
		}},
	}
}

func storeRows(long func(time.Duration) time.Duration) []faultRow {
	wait := long(60 * time.Second)
	mode := func(name string, mode int32) faultRow {
		return faultRow{name: fmt.Sprintf("InfluxDB %s for %v", name, wait), fault: func(r *faultRig) {
			r.during(wait, func() { r.store.mode.Store(mode) }, func() { r.store.mode.Store(storeWhole) })
		}}
	}
	return []faultRow{
		{name: fmt.Sprintf("InfluxDB away for %v", wait), fault: func(r *faultRig) { r.killInflux(wait) }},
		mode(fmt.Sprintf("%v slower", slowStore), storeSlow),
		mode("silent", storeHangs),
		mode("answers 500", storeFails),
		mode("answers 503", storeBusy),
		mode("stores, and its answers are lost,", storeForgets),
	}
}

func diskRows(long func(time.Duration) time.Duration) []faultRow {
	var full *disk
	wait := long(60 * time.Second)
	power := map[string]*disk{}
	return []faultRow{
		{name: fmt.Sprintf("gateway's disk full for %v, its cable pulled", wait), skip: notRoot("mount", "umount"),
			plan: func(p *faultPlan) {
				p.gateways, p.buffer = 1, map[string]any{"min_free_disk": "64KiB"}
				p.bufferFolder = func(r *faultRig, _ string) string {
					full = newSmallDisk(r.t, 16<<20)
					return full.folder
				}
			},
			fault: func(r *faultRig) {
				r.gateways[0].cable.pull()
				time.Sleep(2 * time.Second)
				r.during(wait, full.fill, full.free)
				time.Sleep(2 * time.Second)
				r.gateways[0].cable.plug()
				r.mended = time.Now()
			}},
		{name: fmt.Sprintf("power of gateways cut %d times, cables pulled", times), skip: noDisk(),
			plan: func(p *faultPlan) {
				p.window = powerWindow
				p.bufferFolder = func(r *faultRig, gateway string) string {
					power[gateway] = newDisk(r.t)
					return filepath.Join(power[gateway].folder, "buffer")
				}
			},
			fault: func(r *faultRig) {
				r.each((*cable).pull)
				for range times {
					time.Sleep(r.someTime(2*time.Second, max(2*time.Second, long(10*time.Second))))
					for _, g := range r.gateways {
						r.cutPower(g, power[g.name])
					}
				}
				r.each((*cable).plug)
				r.mended = time.Now()
			}},
		{name: "buffer above its cap of 1 MiB", drops: true,
			plan: func(p *faultPlan) {
				*p = faultPlan{gateways: 1, devices: 4, values: 60, every: 20 * time.Millisecond, noise: true, buffer: map[string]any{"max_bytes": "1MiB"}}
			},
			fault: func(r *faultRig) {
				r.gateways[0].cable.pull()
				r.wait("the cap is reached", func() bool { return looksOf(r) > capLooks })
				r.gateways[0].cable.plug()
				r.mended = time.Now()
			}},
	}
}

// powerWindow is what a power cut may cost: readings wait for their sync for a
// second, and a sync takes its time.
const powerWindow = 1500 * time.Millisecond

// capLooks is after how many looks the cap is exceeded: each has 60 values,
// which take six bytes each.
const capLooks = 5000

func looksOf(r *faultRig) (n int) {
	for _, p := range r.gateways[0].plcs {
		looks, _ := p.handedOut()
		n += len(looks)
	}
	return n
}

// cutPower takes a gateway's disk and then the gateway, and gives both back.
func (r *faultRig) cutPower(g *rigGateway, d *disk) {
	r.cuts = append(r.cuts, time.Now())
	d.losePower()
	r.stopGateway(g, syscall.SIGKILL)
	d.powerUp()
	g.proc.start()
	r.mended = time.Now()
}

// clockRows set the clock of a gateway, and that of the twin.
func clockRows(long func(time.Duration) time.Duration) []faultRow {
	set := func(r *faultRig, p *process, by time.Duration) {
		if err := moveClock(p.cmd.Process.Pid, by); err != nil {
			r.t.Skipf("no clock of its own: %v", err)
		}
		r.mended = time.Now()
	}
	wait := func(r *faultRig) { time.Sleep(r.someTime(long(5*time.Second), long(15*time.Second))) }
	plan := func(p *faultPlan) { p.clockJump = 6 * time.Minute }
	return []faultRow{
		{name: "gateway's clock set +2 s, -2 s, +5 min, back, -5 min, back; killed at -5 min", skip: keptClock(), plan: plan,
			fault: func(r *faultRig) {
				g := r.gateways[0]
				for _, by := range []time.Duration{2 * time.Second, 0, -2 * time.Second, 0, 5 * time.Minute, 0, -5 * time.Minute} {
					set(r, g.proc, by)
					wait(r)
				}
				r.killGateway(g, 0)
				set(r, g.proc, -5*time.Minute)
				wait(r)
				set(r, g.proc, 0)
			}},
		{name: "twin's clock set +5 min, back, -5 min, back", skip: noClock(), plan: plan,
			fault: func(r *faultRig) {
				for _, by := range []time.Duration{5 * time.Minute, 0, -5 * time.Minute, 0} {
					set(r, r.twin, by)
					wait(r)
				}
			}},
	}
}

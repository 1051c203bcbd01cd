package opcua

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// Group is a way to read some signals of a device that is not the device's
// own. What is left out is as the device has it; Sampling is the group's Every
// if that is given.
type Group struct {
	Name string
	// Every is how often a polled group is read, and in a subscribed one nodes
	// that the server would not subscribe.
	Every      time.Duration
	Mode       string
	Publishing time.Duration
	Sampling   time.Duration
	Queue      int
}

// mostLag bounds what a subscription may be late for the device to wait with
// its claim: groups that report more rarely have a resolution of their own.
const mostLag = 2 * time.Second

// Check gives what is wrong with a group of a device with the settings c; keys
// are relative to the group. Name and Every are checked by whoever knows the
// device's interval.
func (g Group) Check(c Config) []plant.Fault {
	var faults []plant.Fault
	add := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if g.Mode != "" && g.Mode != ModePoll && g.Mode != ModeSubscribe {
		add("mode", quoted(g.Mode), "poll or subscribe")
		return faults
	}
	polled := g.Mode == ModePoll || g.Mode == "" && c.Mode != ModeSubscribe
	within := func(key string, d, low, high time.Duration) {
		switch {
		case d == 0:
		case polled:
			add(key, d.String(), "only with mode: subscribe")
		case d < low || d > high:
			add(key, d.String(), fmt.Sprintf("%v to %v", low, high))
		}
	}
	within("publishing", g.Publishing, 10*time.Millisecond, time.Minute)
	within("sampling", g.Sampling, time.Millisecond, time.Hour)
	switch {
	case g.Queue != 0 && polled:
		add("queue", strconv.Itoa(g.Queue), "only with mode: subscribe")
	case g.Queue < 0 || g.Queue > 10000:
		add("queue", strconv.Itoa(g.Queue), "0 to 10000")
	}
	return faults
}

func queueFor(publishing, sampling time.Duration) int {
	return int(min(publishing/sampling+2, 1000))
}

// filled gives a group with everything in place; c is filled, and every is the
// device's.
func (g Group) filled(c Config, every time.Duration) Group {
	sampling := c.Sampling
	if g.Every == 0 {
		g.Every = every
	} else {
		sampling = g.Every
	}
	if g.Mode == "" {
		g.Mode = c.Mode
	}
	if g.Publishing == 0 {
		g.Publishing = c.Publishing
	}
	if g.Sampling == 0 {
		g.Sampling = sampling
	}
	if g.Queue == 0 {
		g.Queue = queueFor(g.Publishing, g.Sampling)
	}
	return g
}

// own gives the device's own way to read signals.
func (c Config) own(every time.Duration) Group {
	return Group{Every: every, Mode: c.Mode, Publishing: c.Publishing, Sampling: c.Sampling, Queue: c.Queue}
}

// find gives a group by its name, filled. A name that is not there, like "",
// gives the device's own way.
func (c Config) find(name string, every time.Duration) Group {
	c = c.filled(every)
	for _, g := range c.Groups {
		if g.Name == name && name != "" {
			return g.filled(c, every)
		}
	}
	return c.own(every)
}

// Patience gives how long a group may give nothing until its data is stale:
// three intervals where it is polled, and as long as a subscription may be
// silent where it is subscribed. every is the device's interval.
func (c Config) Patience(group string, every time.Duration) time.Duration {
	g := c.find(group, every)
	timeout := c.filled(every).Timeout
	if g.Mode == ModePoll {
		return max(3*g.Every, timeout)
	}
	return time.Duration(keepAliveCount(g.Publishing)+3)*g.Publishing + timeout
}

// Reports gives how long the first report of the subscriptions may take.
func (c Config) Reports() time.Duration {
	longest := time.Duration(0)
	for _, g := range append([]Group{{}}, c.Groups...) {
		longest = max(longest, 2*c.find(g.Name, time.Second).Publishing)
	}
	return longest
}

// keepAliveCount gives after how many publishing cycles without a change the
// server shall say that it lives.
func keepAliveCount(publishing time.Duration) uint32 {
	return uint32(max(1, min(keepAlives, longestSilence/publishing)))
}

// way is a group at work: the targets that are read in the same way.
type way struct {
	Group
	polls   bool              // it has polled targets
	active  []int             // polled targets of the regular rounds
	nodes   []*ua.ReadValueID // theirs
	batches []*prepared       // that read them
	most    int               // targets in a batch
	paced   bool              // at a longer interval than the device's rounds
	next    time.Time         // when the polled ones are read; zero for at once
	now     bool              // in the round in hand
	looked  time.Time         // when they were read last
	feed    *feed             // of the subscribed ones, while connected
}

// begin tells whether the polled targets are read in a round that begins at
// now. Rounds come a little early or late: up to a twentieth of the interval,
// and 50 ms, counts as in time.
func (w *way) begin(now time.Time) bool {
	w.now = w.polls && (!w.paced || w.next.IsZero() || !now.Before(w.next.Add(-min(w.Every/20, 50*time.Millisecond))))
	return w.now
}

// done notes that a round that began at now has read the polled targets. Times
// are multiples of the interval, without drift.
func (w *way) done(now time.Time) {
	if !w.now {
		return
	}
	w.now, w.looked = false, now
	if w.next.IsZero() {
		w.next = now
	}
	w.next = w.next.Add(w.Every * (1 + max(now.Sub(w.next), 0)/w.Every))
}

// ways lists the device's own way and the groups; each signal is told its one.
func (d *Device) makeWays(every time.Duration, signals []Signal) []int {
	d.ways = []way{{Group: d.cfg.own(every)}}
	for _, g := range d.cfg.Groups {
		d.ways = append(d.ways, way{Group: g.filled(d.cfg, every)})
	}
	of := make([]int, len(signals))
	for i, s := range signals {
		if s.Group != "" {
			of[i] = 1 + slices.IndexFunc(d.cfg.Groups, func(g Group) bool { return g.Name == s.Group })
		}
	}
	for i := range d.ways {
		w := &d.ways[i]
		w.paced, w.Every = w.Every > every, max(w.Every, every)
	}
	return of
}

// Looked gives when a group was read last, or when the server reported last
// for it. It is called by the goroutine that polls.
func (d *Device) Looked(group string) time.Time {
	for i := range d.ways {
		w := &d.ways[i]
		if w.Name != group {
			continue
		}
		if w.feed == nil {
			return w.looked
		}
		if len(w.active) > 0 && w.looked.Before(w.feed.heard) {
			return w.looked
		}
		return w.feed.heard
	}
	return time.Time{}
}

// checkItems gives how much a machine subscribes, and notes it unless that is
// more than the server allows for all machines of the link together.
func (l *link) checkItems(machine string, c Config, signals []Signal) (int, []plant.Fault) {
	type item struct {
		node       string
		group      string
		publishing time.Duration
	}
	items := map[item]bool{}
	for _, s := range signals {
		g := c.find(s.Group, time.Second)
		if g.Mode != ModeSubscribe {
			continue
		}
		items[item{node: s.Node, group: s.Group}] = true
		if c.Heartbeat != "none" {
			items[item{publishing: g.Publishing}] = true // one heartbeat in each subscription
		}
	}
	total := len(items)
	for other, n := range l.items {
		if other != machine {
			total += n
		}
	}
	if c.MaxItems == 0 || total <= c.MaxItems {
		l.items[machine] = len(items)
		return len(items), nil
	}
	return 0, []plant.Fault{{Key: "max_items", Found: fmt.Sprintf("%d subscribed nodes of all machines of this server, heartbeats included", total),
		Allowed: fmt.Sprintf("at most %d: have some polled, in a group with mode: poll", c.MaxItems)}}
}

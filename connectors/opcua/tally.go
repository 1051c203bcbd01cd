package opcua

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// lossEvery is how often losses are logged at most.
const lossEvery = time.Minute

// tally is what an operator should know of a device although its data flows.
type tally struct {
	refused      map[int]string // targets whose deadband the server does not apply, and why
	noRange      map[int]string // targets whose deadband is of a range that is not known
	unsubscribed string         // why some targets are polled in place of subscribed

	lost   int       // values that the server's queues had no room for
	since  time.Time // of the first of them
	logged time.Time // when losses were logged last
	told   int       // how many they were then

	notes  []string // all of it in words
	before []string // the lasting part, as logged last
}

func (t *tally) refuse(target int, why string) {
	if t.refused == nil {
		t.refused = map[int]string{}
	}
	t.refused[target] = why
}

// Notes gives what an operator should know although data flows. It is called
// by the goroutine that polls.
func (d *Device) Notes() []string { return d.tally.notes }

// overflow notes that the server's queue for a target lost values.
func (d *Device) overflow(target int, now time.Time) {
	t := &d.tally
	if t.lost == 0 {
		t.since = now
	}
	t.lost++
	d.targets[target].lost++
}

// count logs losses, at most once a minute, and takes them into the notes.
func (d *Device) count(now time.Time) {
	t := &d.tally
	if t.lost == t.told || now.Sub(t.logged) < lossEvery {
		return
	}
	t.told, t.logged = t.lost, now
	d.log.Warn("the server's queues lost values: raise queue or lower publishing", "lost", t.lost, "since", t.since.UTC().Format(time.RFC3339), "most", d.worst())
	d.account()
}

// worst names the three signals that lost most.
func (d *Device) worst() string {
	var all []int
	for i := range d.targets {
		if d.targets[i].lost > 0 {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(d.targets[b].lost, d.targets[a].lost) })
	var names []string
	for _, i := range all[:min(3, len(all))] {
		names = append(names, fmt.Sprintf("%s %d", d.nameOf(i), d.targets[i].lost))
	}
	return strings.Join(names, ", ")
}

// account puts what there is to tell into words, and logs what of it is new.
func (d *Device) account() {
	t := &d.tally
	var all []string
	var refused, noRange, polled []int
	for i := range d.targets {
		own := d.targets[i].polled && d.ways[d.targets[i].way].Mode == ModeSubscribe
		if own {
			polled = append(polled, i)
		}
		if t.refused[i] != "" && !own && t.noRange[i] == "" {
			refused = append(refused, i)
		}
		if t.noRange[i] != "" && !d.targets[i].filtered {
			noRange = append(noRange, i)
		}
	}
	if len(polled) > 0 {
		all = append(all, fmt.Sprintf("polled in place of subscribed, because the server says %s: %s", t.unsubscribed, d.some(polled)))
	}
	if len(refused) > 0 {
		all = append(all, fmt.Sprintf("deadband applied by the gateway, because the server does not (%s): %s", t.refused[refused[0]], d.some(refused)))
	}
	for _, why := range slices.Sorted(maps.Values(t.noRange)) {
		of := slices.DeleteFunc(slices.Clone(noRange), func(i int) bool { return t.noRange[i] != why })
		if text := fmt.Sprintf("deadband_percent has no effect, every change is told, because %s: %s", why, d.some(of)); len(of) > 0 && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	all = append(all, d.revisions()...)
	for _, text := range all {
		if !slices.Contains(t.before, text) {
			d.log.Warn("not as the settings ask", "what", text)
		}
	}
	t.before = all
	t.notes = slices.Clone(all)
	if t.told > 0 {
		t.notes = append(t.notes, fmt.Sprintf("the server's queues lost %d values since %s, most of: %s", t.told, t.since.UTC().Format(time.RFC3339), d.worst()))
	}
}

// revisions tells what the server made of the subscriptions other than asked.
func (d *Device) revisions() []string {
	var all []string
	for i := range d.ways {
		w := &d.ways[i]
		if w.feed == nil {
			continue
		}
		of := ""
		if w.Name != "" {
			of = " of group " + w.Name
		}
		if is := w.feed.sub.publishing; is != w.Publishing {
			all = append(all, fmt.Sprintf("the server made publishing%s %v in place of %v", of, is, w.Publishing))
		}
		slowest, shortest, n := time.Duration(0), w.Queue, 0
		for j := range d.targets {
			t := &d.targets[j]
			if t.way != i || t.item == 0 {
				continue
			}
			if t.sampling > w.Sampling {
				n++
			}
			slowest, shortest = max(slowest, t.sampling), min(shortest, t.queue)
		}
		if n > 0 {
			all = append(all, fmt.Sprintf("the server made sampling%s of %d nodes up to %v in place of %v", of, n, slowest, w.Sampling))
		}
		if shortest < w.Queue {
			all = append(all, fmt.Sprintf("the server made queue%s as short as %d in place of %d", of, shortest, w.Queue))
		}
	}
	return all
}

// some names the signals of targets, the first few of many.
func (d *Device) some(targets []int) string {
	const few = 5
	var names []string
	for _, i := range targets[:min(few, len(targets))] {
		names = append(names, d.nameOf(i))
	}
	if more := len(targets) - few; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), more)
	}
	return strings.Join(names, ", ")
}

func (d *Device) nameOf(target int) string { return d.signals[d.targets[target].signals[0]].name }

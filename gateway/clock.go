package gateway

import (
	"log/slog"
	"sync"
	"time"

	"linetwin/plant"
)

const (
	stepLeast    = 100 * time.Millisecond // what is less is drift
	slewLeast    = 20 * time.Millisecond  // differences that are made up for
	slewMost     = 2 * time.Second        // steps up to here are made up for little by little
	overlapMost  = time.Minute            // so are steps back up to here, once something was sent
	clocksDiffer = time.Minute            // from here on the twin's time is used in place of one that nothing keeps
	clockWarns   = 2 * time.Second
	clockCalms   = 1500 * time.Millisecond
	doubtLasts   = 5 * time.Second // how long a word of the twin is awaited after a step
	drifts       = 5000            // a clock goes wrong by at most one part in so many
	steadyAfter  = time.Hour       // without a step, a clock that nobody vouches for may decide what is too old
	clockBegins  = int64(1704067200)
)

// Clock is a gateway's own time: the system's clock, carried on by the
// monotonic one where the system's is set. It never goes back by a step but
// where twin or system prove it wrong. It is pure but for what read gives.
//
// All readings of one process lie on one line of time. When that line proves
// wrong, a move says by how much, and what was made on it and has not left the
// gateway is moved as a whole.
type Clock struct {
	start  time.Time
	read   func() (wall time.Time, mono time.Duration) // mono: since start
	synced func() bool
	log    *slog.Logger

	mu     sync.Mutex
	anchor time.Time     // own time at
	at     time.Duration // this monotonic time
	slew   time.Duration // to be made up for since then
	wall   time.Time     // the system's clock when it was last looked at
	looked time.Duration

	newest plant.Time // of what was made before this process; the clock cannot be before it
	unset  bool
	doubt  bool
	since  plant.Time    // own time when the doubt began
	began  time.Duration // monotonic time of that
	own    string        // plant.ClockOwn or plant.ClockOfTwin while own time is not the system's on purpose
	sent   bool          // something may have left with the present line's times

	vouched bool          // the twin's time has decided on own
	told    bool          // the twin has told its time:
	word    plant.Time    // it was this
	bound   time.Duration // to within this
	heard   time.Duration // at this monotonic time
	fresh   bool          // since the doubt began
	warned  bool

	moves     []move
	steps     uint64
	stepped   plant.Time
	steppedBy time.Duration
	kept      bool // the system's clock is synchronised
}

// move says that times after Since were wrong by By.
type move struct {
	since plant.Time
	by    time.Duration
}

// apply gives where t belongs.
func (m move) apply(t plant.Time) plant.Time {
	if t > m.since {
		return t.Add(m.by)
	}
	return t
}

// NewClock gives a clock that reads the system's; it starts nothing.
func NewClock(log *slog.Logger) *Clock {
	start := time.Now()
	return ClockOf(start, func() (time.Time, time.Duration) {
		now := time.Now()
		return now, now.Sub(start)
	}, synchronised, log)
}

// ClockOf gives a clock that reads another one: its wall clock, and the time
// since start that no setting touches. synced tells whether the wall clock is
// kept by NTP or the like.
func ClockOf(start time.Time, read func() (time.Time, time.Duration), synced func() bool, log *slog.Logger) *Clock {
	c := &Clock{start: start, read: read, synced: synced, log: log}
	c.wall, c.looked = read()
	c.anchor, c.at = c.wall, c.looked
	c.unset = c.wall.Unix() < clockBegins
	return c
}

// Now gives own time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.look()
	return c.ownAt(mono)
}

// At gives own time at t, which time.Now gave a short while ago: the part of it
// that no setting of the system's clock touches tells when that was.
func (c *Clock) At(t time.Time) plant.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	return plant.At(c.ownAt(t.Sub(c.start)))
}

func (c *Clock) stamp() plant.Time { return plant.Stamp(c.Now()) }

// ownAt gives own time at a monotonic time. What has to be made up for is so at
// half the speed of time.
func (c *Clock) ownAt(mono time.Duration) time.Time {
	passed := mono - c.at
	most := max(passed, 0) / 2 // what was before the anchor went at its own pace
	return c.anchor.Add(passed + min(max(c.slew, -most), most))
}

// ahead gives the system's clock minus own time, and by how much it was set
// since it was last looked at.
func (c *Clock) ahead(wall time.Time, mono time.Duration) (off, step time.Duration) {
	off = between(c.ownAt(mono), wall)
	step = between(c.wall, wall) - (mono - c.looked)
	return off, step
}

// between gives b-a by what clocks show.
func between(a, b time.Time) time.Duration { return b.Round(0).Sub(a.Round(0)) }

// look compares the clocks. A process that was held up between the reading of
// the one and of the other would see a step, so it is read again then.
func (c *Clock) look() (mono time.Duration) {
	wall, mono := c.read()
	off, step := c.ahead(wall, mono)
	for range 2 {
		if step.Abs() < stepLeast {
			break
		}
		wall, mono = c.read()
		off, step = c.ahead(wall, mono)
	}
	c.wall, c.looked = wall, mono
	if step.Abs() >= stepLeast {
		c.stepBy(step, off, mono)
	}
	if c.doubt || c.unset || c.own != "" {
		return mono
	}
	c.follow(off, mono)
	return mono
}

// follow makes up for a small difference. While that is under way, and where
// it is so small that it may be drift between the clocks, nothing is changed:
// the line of time has no more bends than it needs.
func (c *Clock) follow(off time.Duration, mono time.Duration) {
	left := c.slew - between(c.anchor.Add(mono-c.at), c.ownAt(mono))
	if (off - left).Abs() >= slewLeast {
		c.anchor, c.at, c.slew = c.ownAt(mono), mono, off
	}
}

func (c *Clock) stepBy(step, off time.Duration, mono time.Duration) {
	c.steps, c.stepped, c.steppedBy = c.steps+1, plant.Stamp(c.ownAt(mono)), step
	c.log.Warn("the system's clock was set", "by", step.Round(time.Millisecond), "to", plant.At(c.wall))
	if c.unset || off.Abs() <= slewMost && c.own == "" {
		return
	}
	if !c.doubt {
		c.doubt, c.since = true, plant.At(c.ownAt(mono))
	}
	c.began, c.fresh = mono, false
}

// settled tells whether the times of what is made now can be relied on.
func (c *Clock) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	return !c.doubt && !c.unset
}

// flag gives the reason of readings that are made now; "" for none.
func (c *Clock) flag() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unset {
		return plant.ReasonClockUnset
	}
	return ""
}

// begins takes the newest time that was known before this process began: a
// clock that shows less was not set since. Own time goes on from there until it
// is, so that no time is given twice.
func (c *Clock) begins(newest plant.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = newest
	mono := c.look()
	if own := plant.At(c.ownAt(mono)); own < newest {
		c.unset = true
		c.anchor, c.at, c.slew = c.wall.Add(newest.Sub(own)), mono, 0
	}
	if c.unset {
		c.log.Error("the clock is not set: readings wait until it is", "shows", plant.At(c.wall), "last known", newest)
	}
}

// host takes that the twin's clock showed t at some time within the last age.
func (c *Clock) host(t plant.Time, age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.look()
	// The twin tells whole milliseconds, rounded down.
	width := age + time.Millisecond
	c.told, c.heard, c.word, c.bound = true, mono, t.Add(width/2), width/2
	c.fresh = !c.doubt || mono-age >= c.began
	c.warn()
}

// offset gives the twin's time minus own by its last word, and how far that
// may be wrong by now.
func (c *Clock) offset(mono time.Duration) (off, bound time.Duration) {
	since := mono - c.heard
	return c.word.Add(since).Sub(plant.At(c.ownAt(mono))), c.bound + since/drifts
}

func (c *Clock) warn() {
	off, bound := c.offset(c.heard)
	far := max(off.Abs()-bound, 0)
	if c.warned && far > clockCalms || !c.warned && far <= clockWarns {
		return
	}
	c.warned = !c.warned
	if c.warned {
		c.log.Warn("clock differs from the twin's: set up time synchronisation on both", "ahead", -off.Round(time.Millisecond), "bound", bound)
	} else {
		c.log.Info("clock agrees with the twin's again", "ahead", -off.Round(time.Millisecond), "bound", bound)
	}
}

// settle decides on doubts, where it can. It tells whether the line of time is
// sound from now on; where it moved, movesSince tells by how much.
func (c *Clock) settle() (sound bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.look()
	c.kept = c.synced()
	off, _ := c.ahead(c.wall, mono)
	switch {
	case c.unset:
		c.settleUnset(off, mono)
	case c.doubt:
		c.settleDoubt(off, mono)
	case c.told && !c.vouched:
		c.byTwin(off, mono)
	case c.own != "":
		c.settleOwn(off, mono)
	}
	return !c.unset && !c.doubt
}

func (c *Clock) settleUnset(off, mono time.Duration) {
	right := c.wall.Unix() >= clockBegins && plant.At(c.wall) >= c.newest
	switch {
	case right && (c.kept || !c.told):
		c.take("", off, mono)
	case c.told:
		c.byTwin(off, mono)
	}
}

func (c *Clock) settleDoubt(off, mono time.Duration) {
	switch {
	case c.kept:
		c.take("", off, mono)
	case c.told && c.fresh:
		c.byTwin(off, mono)
	case mono-c.began < doubtLasts:
	case c.vouched && c.agrees(0, mono) && !c.agrees(off, mono):
		c.take(plant.ClockOwn, 0, mono) // its last word still holds
	default:
		c.take("", off, mono)
	}
}

// settleOwn goes back to the system's clock once it shows the right time.
func (c *Clock) settleOwn(off, mono time.Duration) {
	if off.Abs() <= slewMost || c.kept || c.told && c.agrees(off, mono) && !c.agrees(0, mono) {
		c.take("", off, mono)
		return
	}
	// A monotonic clock alone goes wrong by seconds a day.
	if twin, bound := c.offset(mono); c.told && twin.Abs() > bound && twin.Abs() <= slewMost {
		c.anchor, c.at, c.slew = c.ownAt(mono), mono, twin
	}
}

// agrees tells whether the twin's time may be own time plus off.
func (c *Clock) agrees(off, mono time.Duration) bool {
	twin, bound := c.offset(mono)
	return (twin - off).Abs() <= clockWarns+bound
}

// byTwin takes the time that the twin's vouches for: the system's, own, the one
// of them that is near it, or, where nothing keeps the clock, the twin's.
func (c *Clock) byTwin(off, mono time.Duration) {
	twin, bound := c.offset(mono)
	near := clocksDiffer + bound
	switch {
	case c.agrees(off, mono), c.kept:
		c.take("", off, mono)
	case c.agrees(0, mono) && !c.unset:
		c.take(plant.ClockOwn, 0, mono)
	case (twin-off).Abs() <= near && (twin-off).Abs() <= twin.Abs():
		c.take("", off, mono)
	case twin.Abs() <= near && !c.unset:
		c.take(plant.ClockOwn, 0, mono)
	default:
		c.log.Error("clock is far from the twin's and nothing keeps it: the twin's time is used; set up time synchronisation", "ahead", -twin.Round(time.Millisecond))
		c.take(plant.ClockOfTwin, twin, mono)
	}
	c.vouched = true
}

// take makes own time plus by the right one. A small step is made up for little
// by little, also a larger one back where what was sent would be met again.
func (c *Clock) take(as string, by, mono time.Duration) {
	since := c.since
	if !c.doubt {
		since = plant.At(c.ownAt(mono))
	}
	unset := c.unset
	if !c.sent || unset {
		since = 0 // all that has not left was on the wrong line
	}
	c.unset, c.doubt, c.own = false, false, as
	slews := by.Abs() <= slewMost || c.sent && by < 0 && by >= -overlapMost
	switch {
	case unset, by != 0 && !slews:
		c.jump(as, by, mono)
		c.moves = append(c.moves, move{since, by})
		c.log.Warn("the gateway's time moves", "by", by.Round(time.Millisecond), "to", plant.At(c.ownAt(mono)))
	case as != "":
		c.log.Error("the system's clock is wrong by the twin's: the gateway carries on its own time", "system ahead", between(c.ownAt(mono), c.wall).Round(time.Millisecond))
	case by != 0:
		c.follow(by, mono)
	}
}

func (c *Clock) jump(as string, by, mono time.Duration) {
	next := c.wall // its monotonic reading is the true one
	if as != "" {
		next = c.wall.Add(between(c.wall, c.ownAt(mono).Add(by)))
	}
	c.anchor, c.at, c.slew = next, mono, 0
}

// left notes that what is made may leave the gateway from now on.
func (c *Clock) left() {
	c.mu.Lock()
	c.sent = true
	c.mu.Unlock()
}

// wantsWord tells whether the twin's word is worth waiting for before anything
// leaves.
func (c *Clock) wantsWord() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.sent && !c.told
}

// elapsed gives the monotonic time.
func (c *Clock) elapsed() time.Duration {
	_, mono := c.read()
	return mono
}

// steady tells whether a wrong clock need not be feared: it is vouched for, or
// went on without a step for a while.
func (c *Clock) steady(long time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.look()
	return !c.unset && !c.doubt && (c.vouched || c.kept || mono-c.began >= long)
}

// movesSince gives the moves after the first n.
func (c *Clock) movesSince(n int) []move {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moves[min(n, len(c.moves)):]
}

// account gives what is known of the clock.
func (c *Clock) account() *plant.ClockStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.look()
	s := &plant.ClockStatus{State: plant.ClockSet, Synchronised: c.kept, Steps: c.steps, LastStep: c.stepped, LastStepMs: c.steppedBy.Milliseconds()}
	switch {
	case c.unset:
		s.State = plant.ClockUnset
	case c.doubt:
		s.State = plant.ClockInDoubt
	case c.own != "":
		s.State = c.own
	}
	off, _ := c.ahead(c.wall, mono)
	s.SystemMs = off.Milliseconds()
	if c.told {
		twin, bound := c.offset(mono)
		ms := -twin.Milliseconds()
		s.OffsetMs, s.BoundMs = &ms, max((bound+time.Millisecond-1).Milliseconds(), 1)
	}
	return s
}

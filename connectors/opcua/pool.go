package opcua

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"linetwin/plant"
)

// Pool makes devices that share sessions: those with the same URL, security
// and user have one connection and one session together, because controllers
// allow few. The session is opened when the first of them connects and closed
// with the last.
type Pool struct {
	pki   *PKI
	log   *slog.Logger
	lives time.Duration // see options

	// At gives the gateway's time at a time that time.Now gave.
	At ownTime

	mu    sync.Mutex
	links map[options]*link
}

// NewPool gives a pool whose sessions use pki's certificates; pki may be nil
// where all devices use security None.
func NewPool(pki *PKI, log *slog.Logger) *Pool {
	return &Pool{pki: pki, log: log, At: plant.At, links: make(map[options]*link)}
}

// Device gives a device of the pool. It checks the settings and does not
// connect.
func (p *Pool) Device(machine string, every time.Duration, cfg Config, signals []Signal) (*Device, error) {
	faults := cfg.Check()
	if every <= 0 {
		faults = append(faults, plant.Fault{Key: "every", Found: every.String(), Allowed: "more than 0"})
	}
	if len(signals) == 0 {
		faults = append(faults, plant.Fault{Key: "signals", Allowed: "at least one"})
	}
	faults = append(faults, checkSignals(signals, cfg.Groups)...)
	if err := faultsError(machine, faults); err != nil {
		return nil, err
	}
	u, _ := endpointURL(cfg.URL)
	sec, _ := parseSecurity(cfg.Security)
	opt := options{url: u.String(), security: sec, user: cfg.User, lives: p.lives}
	p.mu.Lock()
	l := p.links[opt]
	if l == nil {
		l = &link{opt: opt, pki: p.pki, log: p.log, items: map[string]int{}}
		l.opt.left, l.opt.own = new(leftovers), &p.At
		p.links[opt] = l
	}
	n, faults := l.checkItems(machine, cfg.filled(every), signals)
	p.mu.Unlock()
	if err := faultsError(machine, faults); err != nil {
		return nil, err
	}
	d, err := newDevice(machine, every, cfg.filled(every), signals, l, p.log)
	if err != nil {
		return nil, err
	}
	d.items = n
	return d, nil
}

// Count has what these devices subscribe, and nothing else, count against the
// max_items of those to come.
func (p *Pool) Count(devices []*Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		clear(l.items)
	}
	for _, d := range devices {
		d.link.items[d.machine] = d.items
	}
}

// Keep forgets the ways to servers, and the passwords for them, that none of
// these devices uses. Other devices of the pool work on until they are closed.
func (p *Pool) Keep(devices []*Device) {
	p.Count(devices)
	used := make(map[*link]bool, len(devices))
	for _, d := range devices {
		used[d.link] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for opt, l := range p.links {
		if !used[l] {
			delete(p.links, opt)
		}
	}
}

// link is the one way to a server that devices share.
type link struct {
	opt options
	pki *PKI
	log *slog.Logger

	items map[string]int // what each machine subscribes; guarded by the pool

	mu   sync.Mutex
	live *session
	refs map[*session]int // also of broken ones that are still held
	busy *attempt         // a session is being opened or closed
}

// attempt is an opening or closing that others wait for.
type attempt struct {
	done  chan struct{}
	err   error // why opening failed
	again bool  // those who wait shall try for themselves
}

// acquire gives the live session, or opens it. Of several that come at once,
// one opens it, and all get what became of it.
func (l *link) acquire(ctx context.Context, timeout time.Duration) (*session, error) {
	for {
		l.mu.Lock()
		if l.live != nil && l.live.broken() == nil {
			defer l.mu.Unlock()
			l.refs[l.live]++
			return l.live, nil
		}
		if a := l.busy; a != nil {
			l.mu.Unlock()
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-a.done:
			}
			if a.err != nil && !a.again {
				return nil, a.err
			}
			continue
		}
		a := &attempt{done: make(chan struct{}), again: true}
		l.busy, l.live = a, nil
		l.mu.Unlock()
		return l.open(ctx, timeout, a)
	}
}

func (l *link) open(ctx context.Context, timeout time.Duration, a *attempt) (s *session, err error) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.busy = nil
		if s != nil {
			if l.refs == nil {
				l.refs = make(map[*session]int)
			}
			l.live, l.refs[s] = s, 1
		}
		a.err, a.again = err, ctx.Err() != nil
		close(a.done)
	}()
	l.leaveBroken()
	return openSession(ctx, l.opt, timeout, l.pki, l.log)
}

// leaveBroken notes what sessions that are broken, but still held, may have
// left on the server.
func (l *link) leaveBroken() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.refs {
		if s.broken() != nil {
			s.leave() // which asks nothing of the server then
		}
	}
}

// release gives a session back; the last one closes it, while whoever wants a
// new one waits, so that the server sees one session at a time.
func (l *link) release(s *session) {
	l.mu.Lock()
	l.refs[s]--
	if l.refs[s] > 0 {
		l.mu.Unlock()
		return
	}
	delete(l.refs, s)
	var a *attempt
	if l.live == s {
		l.live = nil
		if l.busy == nil {
			a = &attempt{done: make(chan struct{}), again: true}
			l.busy = a
		}
	}
	l.mu.Unlock()
	s.close()
	if a != nil {
		l.mu.Lock()
		l.busy = nil
		l.mu.Unlock()
		close(a.done)
	}
}

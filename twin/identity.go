package twin

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"linetwin/plant"
)

// Values keeps small things by key.
type Values interface {
	Value(ctx context.Context, key string) (value string, ok bool, err error)
	SetValue(ctx context.Context, key, value string) error
}

const (
	identitiesKey = "gateways"       // in the ledger: []kept as JSON
	replacedLasts = 24 * time.Hour   // is shown
	rivalsLast    = 10 * time.Minute // without a turn, before they are over
)

// kept is who had a gateway's name last. The ledger keeps it, so that a
// gateway that was installed anew while the twin was away is noticed too.
type kept struct {
	Area    string `json:"area"`
	Gateway string `json:"gateway"`
	Session string `json:"session"`
	Waiting uint64 `json:"waiting"` // readings that it held when it went
	plant.Identity
}

// identities are those of all gateways that ever spoke.
type identities struct {
	loaded  bool // the ledger was read: only then it is known who is new
	unsaved bool
	by      map[gatewayKey]kept
}

// recognizedLocked tells who a birth is of: a process that is known, the next
// one of its installation, another installation, or one with an older state of
// its folder. A backup that was made since the last start looks like a restart.
func (t *Twin) recognizedLocked(g *gateway, b *plant.GatewayBirth, now plant.Time) {
	g.live.Identity = b.Identity
	t.rivalsLocked(g, b)
	if !t.who.loaded || b.Session == "" {
		return
	}
	key := gatewayKey{b.Area, b.Gateway}
	was, known := t.who.by[key]
	if known && was.Session == b.Session {
		return
	}
	is := kept{Area: b.Area, Gateway: b.Gateway, Session: b.Session, Identity: b.Identity}
	t.who.by[key], t.who.unsaved = is, true
	if !known || was.Installation == "" || b.Rivals != nil {
		return
	}
	restored := was.Installation == is.Installation && is.Start <= was.Start
	if was.Installation == is.Installation && !restored {
		t.log.Info("gateway was restarted", "area", b.Area, "gateway", b.Gateway, "identity", is.String(), "start", is.Start)
		return
	}
	r := &plant.Replaced{At: now, Before: was.Identity, Waiting: was.Waiting, Restored: restored}
	g.live.Replaced = r
	text := fmt.Sprintf("gateway %s is another installation (%s) than before (%s), which still held %d readings", b.Gateway, is.String(), was.String(), was.Waiting)
	if restored {
		text = fmt.Sprintf("gateway %s has an older state of its buffer's folder, or a copy of it (%s); before: %s", b.Gateway, is.String(), was.String())
	}
	t.log.Warn(text, "area", b.Area)
	t.noticeLocked("replaced", text)
}

// rivalsLocked takes what the wire found out of rivals.
func (t *Twin) rivalsLocked(g *gateway, b *plant.GatewayBirth) {
	if b.Rivals == nil {
		return
	}
	if was := g.live.Rivals; was == nil || was.Turns != b.Rivals.Turns {
		t.noticeLocked("rivals", fmt.Sprintf("two processes speak under the name of gateway %s: %s; and %s", b.Gateway, b.Rivals.Here.String(), b.Rivals.Other.String()))
	}
	// Until it was known that they are two, they looked like one that is
	// installed anew.
	g.live.Rivals, g.live.Replaced = b.Rivals, nil
}

// wentLocked keeps what a gateway held when it went.
func (t *Twin) wentLocked(key gatewayKey, waiting uint64) {
	if was, known := t.who.by[key]; known && was.Waiting != waiting {
		was.Waiting = waiting
		t.who.by[key], t.who.unsaved = was, true
	}
}

// outdated drops what is over, and tells whether something was.
func (g *gateway) outdated(now plant.Time) bool {
	over := false
	if r := g.live.Rivals; r != nil && now.Sub(r.Last) > rivalsLast {
		g.live.Rivals, over = nil, true
	}
	if r := g.live.Replaced; r != nil && now.Sub(r.At) > replacedLasts {
		g.live.Replaced, over = nil, true
	}
	return over
}

// loadIdentities reads who had which name last, and recognizes who was born
// meanwhile.
func (t *Twin) loadIdentities(ctx context.Context) error {
	text, ok, err := t.opts.Ledger.Value(ctx, identitiesKey)
	var all []kept
	if err == nil && ok {
		if err = json.Unmarshal([]byte(text), &all); err != nil {
			err = fmt.Errorf("decode identities of gateways: %w", err)
		}
	}
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range all {
		t.who.by[gatewayKey{k.Area, k.Gateway}] = k
	}
	t.who.loaded = true
	for key, g := range t.gateways {
		b := plant.GatewayBirth{Area: key.area, Gateway: key.name, Session: g.session, Identity: g.live.Identity, Rivals: g.live.Rivals}
		t.recognizedLocked(g, &b, now)
	}
	return err
}

// saveIdentities keeps who has which name.
func (t *Twin) saveIdentities(ctx context.Context) {
	t.mu.Lock()
	if !t.who.unsaved {
		t.mu.Unlock()
		return
	}
	t.who.unsaved = false
	all := make([]kept, 0, len(t.who.by))
	for _, k := range t.who.by {
		all = append(all, k)
	}
	t.mu.Unlock()
	text, err := json.Marshal(all)
	if err == nil {
		err = t.opts.Ledger.SetValue(ctx, identitiesKey, string(text))
	}
	if err != nil {
		t.mu.Lock()
		t.who.unsaved = true
		t.mu.Unlock()
		t.notice("ledger", err.Error())
	}
}

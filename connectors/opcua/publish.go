package opcua

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// mostQueued is how many changes wait for a device that does not take them.
const mostQueued = 100_000

// subscription is one device's subscription on the server. What the server
// reports waits in it until the device takes it.
type subscription struct {
	id         uint32
	publishing time.Duration // as revised by the server
	keepAlive  time.Duration // longest time between two reports

	mu     sync.Mutex
	notes  []note
	queued int
	missed int
	heard  time.Time // of the last report
	next   uint32    // sequence number that comes next
	err    error
	fresh  chan struct{} // has one when something came
}

// note is one report of the server. Without items it is a keep-alive.
type note struct {
	items  []*ua.MonitoredItemNotification
	server time.Time // when the server made it, by its clock
	at     time.Time // when it came, by ours
}

// take gives what came since the last call.
func (s *subscription) take() (notes []note, missed int, heard time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes, missed = s.notes, s.missed
	s.notes, s.queued, s.missed = nil, 0, 0
	return notes, missed, s.heard, s.err
}

// add queues a report. Where nobody takes them, the oldest are dropped and
// counted.
func (s *subscription) add(n note) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes, s.heard = append(s.notes, n), n.at
	s.queued += len(n.items)
	for s.queued > mostQueued && len(s.notes) > 1 {
		s.missed += len(s.notes[0].items)
		s.queued -= len(s.notes[0].items)
		s.notes = s.notes[1:]
	}
	s.wake()
}

func (s *subscription) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake()
}

func (s *subscription) wake() {
	select {
	case s.fresh <- struct{}{}:
	default:
	}
}

// publisher asks the server for reports, for all subscriptions of a session.
type publisher struct {
	session *session

	mu      sync.Mutex
	subs    map[uint32]*subscription
	acks    []*ua.SubscriptionAcknowledgement
	strays  map[uint32]bool // subscriptions that were deleted
	running bool
}

// mostStrays is from how many deleted subscriptions on no others are looked
// for: a server that makes numbers up shall not keep the gateway busy.
const mostStrays = 1000

// create makes a subscription. The lock is held while the server answers, so
// that a report cannot come before its subscription is known.
func (p *publisher) create(ctx context.Context, timeout, publishing time.Duration) (*subscription, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.session
	res, err := s.call(ctx, timeout, &ua.CreateSubscriptionRequest{
		RequestedPublishingInterval: float64(publishing) / float64(time.Millisecond),
		RequestedMaxKeepAliveCount:  keepAliveCount(publishing), RequestedLifetimeCount: 10 * keepAlives, PublishingEnabled: true})
	if err != nil {
		return nil, fmt.Errorf("create subscription: %w", err)
	}
	r, ok := res.(*ua.CreateSubscriptionResponse)
	if !ok {
		return nil, undecodableError{fmt.Errorf("create subscription: the answer is a %T", res)}
	}
	revised := time.Duration(r.RevisedPublishingInterval * float64(time.Millisecond))
	if revised <= 0 {
		revised = publishing
	}
	sub := &subscription{id: r.SubscriptionID, publishing: revised, keepAlive: revised * time.Duration(max(r.RevisedMaxKeepAliveCount, 1)),
		next: 1, heard: time.Now(), fresh: make(chan struct{}, 1)}
	if p.subs == nil {
		p.subs = make(map[uint32]*subscription)
	}
	if p.subs[sub.id] != nil {
		return nil, errors.New("create subscription: the server gave a number twice")
	}
	p.subs[sub.id] = sub
	delete(p.strays, sub.id)
	if !p.running {
		p.running = true
		s.start(p.run)
	}
	return sub, nil
}

// remove forgets a subscription and has the server delete it.
func (p *publisher) remove(sub *subscription, timeout time.Duration) {
	p.mu.Lock()
	delete(p.subs, sub.id)
	p.mark(sub.id) // reports on their way are no reason to delete it twice: its number may be given anew
	p.mu.Unlock()
	if err := p.delete(sub.id, timeout); errors.Is(err, errTimeout) {
		p.mu.Lock()
		delete(p.strays, sub.id)
		p.mu.Unlock()
	}
}

func (p *publisher) delete(id uint32, timeout time.Duration) error {
	if err := p.session.broken(); err != nil {
		return err
	}
	_, err := p.session.call(context.Background(), timeout, &ua.DeleteSubscriptionsRequest{SubscriptionIDs: []uint32{id}})
	return err // it ends by itself too
}

// stray tells whether a subscription that reported is to be deleted: nobody
// knows it, as after a create or delete that took too long. It would take turns
// from the others for as long as the session lives. p.mu is held, so that no
// create is under way.
func (p *publisher) stray(id uint32) bool {
	if id == 0 || p.strays[id] || len(p.strays) >= mostStrays {
		return false
	}
	p.mark(id)
	return true
}

func (p *publisher) mark(id uint32) {
	if p.strays == nil {
		p.strays = make(map[uint32]bool)
	}
	p.strays[id] = true
}

// run keeps one request for reports at the server until no subscription is
// left or the session has ended.
func (p *publisher) run() {
	for {
		p.mu.Lock()
		if len(p.subs) == 0 {
			p.running = false
			p.mu.Unlock()
			return
		}
		acks, longest := p.acks, time.Duration(0)
		p.acks = nil
		for _, s := range p.subs {
			longest = max(longest, s.keepAlive+3*s.publishing)
		}
		p.mu.Unlock()
		if err := p.publish(acks, longest+connectTakes); err != nil {
			p.session.fail(err)
			p.failAll(err)
			return
		}
	}
}

// failAll tells all subscriptions that no report will come any more.
func (p *publisher) failAll(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subs {
		s.fail(err)
	}
	p.running = false
}

// publish asks for one report and delivers it (Part 4, 5.13.5).
func (p *publisher) publish(acks []*ua.SubscriptionAcknowledgement, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	res, err := ask[*ua.PublishResponse](ctx, p.session.ch, &ua.PublishRequest{SubscriptionAcknowledgements: acks}, p.session.token)
	at := time.Now()
	var fault faultError
	if errors.As(err, &fault) {
		switch fault.status & 0xFFFF0000 {
		case ua.StatusBadNoSubscription:
			p.mu.Lock()
			defer p.mu.Unlock()
			for id, s := range p.subs {
				s.fail(err)
				delete(p.subs, id)
			}
			return nil
		case ua.StatusBadTooManyPublishRequests:
			return p.pause(100 * time.Millisecond)
		}
	}
	if errors.Is(err, errTimeout) {
		return nil // silence is for the devices to judge; the next request finds who is left
	}
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	p.session.used.Store(at.UnixNano())
	if p.take(res, at) {
		p.delete(res.SubscriptionID, connectTakes)
	}
	return nil
}

// take delivers a report; stray tells whether its subscription is to be
// deleted.
func (p *publisher) take(res *ua.PublishResponse, at time.Time) (stray bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sub := p.subs[res.SubscriptionID]
	if sub == nil {
		return p.stray(res.SubscriptionID)
	}
	if res.NotificationMessage != nil {
		p.deliver(sub, res, at)
	}
	return false
}

func (p *publisher) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.session.ch.done:
		return p.session.broken()
	}
}

// deliver queues a report for its device and acknowledges it.
func (p *publisher) deliver(sub *subscription, res *ua.PublishResponse, at time.Time) {
	m := res.NotificationMessage
	n := note{server: m.PublishTime, at: at}
	if n.server.IsZero() {
		n.server = res.ResponseHeader.Timestamp
	}
	if len(m.NotificationData) == 0 { // a keep-alive names the number to come
		sub.add(n)
		return
	}
	p.acks = append(p.acks, &ua.SubscriptionAcknowledgement{SubscriptionID: sub.id, SequenceNumber: m.SequenceNumber})
	if m.SequenceNumber != sub.next {
		sub.fail(errors.New("a report of the subscription is missing"))
		return
	}
	if sub.next++; sub.next == 0 {
		sub.next = 1 // Part 4, 7.9: it wraps around to 1
	}
	for _, eo := range m.NotificationData {
		if eo == nil {
			continue
		}
		switch v := eo.Value.(type) {
		case *ua.DataChangeNotification:
			n.items = append(n.items, v.MonitoredItems...)
		case *ua.StatusChangeNotification:
			if severity(v.Status) == plant.Bad || v.Status&0xFFFF0000 == ua.StatusGoodSubscriptionTransferred {
				sub.fail(fmt.Errorf("the server ended the subscription: %s", statusName(v.Status)))
			}
		}
	}
	sub.add(n)
}

package twin

import (
	"sync"

	"linetwin/plant"
)

// subscriberQueue is how many changes may wait for one reader. A reader that
// is slower is let go: it comes back and begins with a snapshot.
const subscriberQueue = 256

// broadcaster hands changes to everybody who listens, and waits for nobody.
type broadcaster struct {
	mu      sync.Mutex
	next    int
	readers map[int]chan plant.Change
	closed  bool
}

func newBroadcaster() *broadcaster { return &broadcaster{readers: map[int]chan plant.Change{}} }

// watched tells whether anybody listens.
func (b *broadcaster) watched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.readers) > 0
}

func (b *broadcaster) subscribe() (<-chan plant.Change, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ch := make(chan plant.Change, subscriberQueue)
	if b.closed {
		close(ch)
		return ch, func() {}
	}
	id := b.next
	b.next++
	b.readers[id] = ch
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(id)
	}
}

func (b *broadcaster) drop(id int) {
	if ch, ok := b.readers[id]; ok {
		delete(b.readers, id)
		close(ch)
	}
}

func (b *broadcaster) send(c plant.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, ch := range b.readers {
		select {
		case ch <- c:
		default:
			b.drop(id)
		}
	}
}

func (b *broadcaster) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for id := range b.readers {
		b.drop(id)
	}
}

// Subscribe gives the changes from now on. The channel is closed when its
// reader is too slow or the twin ends; take a Snapshot after subscribing and
// nothing is missed.
func (t *Twin) Subscribe() (<-chan plant.Change, func()) { return t.live.subscribe() }

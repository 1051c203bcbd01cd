package sparkplug

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"linetwin/plant"
)

// Retainer tells what the broker is to keep. ok is false as long as it cannot
// be told.
type Retainer interface {
	Retained() (all []plant.Retained, ok bool, err error)
}

// boardEvery is how often the board looks for changes: no topic is published
// more often.
const boardEvery = time.Second

// maxStray limits how many topics of others' hands are looked at.
const maxStray = 1 << 16

// Board keeps retained messages on the host's broker: each that changed, all of
// them again after a reconnection. What the site said before and says no more
// is cleared. It has a session of its own: a broker that does not want its
// topics ends that one, and the host goes on.
type Board struct {
	cfg    HostConfig
	source Retainer
	log    *slog.Logger
}

// NewBoard gives a Board for the broker of a host; it dials nothing.
func NewBoard(cfg HostConfig, source Retainer, log *slog.Logger) (*Board, error) {
	if err := faultsError(cfg.Check()); err != nil {
		return nil, err
	}
	if source == nil {
		return nil, errors.New("board: no source")
	}
	return &Board{cfg: cfg, source: source, log: log.With("part", "board")}, nil
}

// Run connects, and connects again, until ctx ends, and returns ctx's error.
// What was published stays with the broker.
func (b *Board) Run(ctx context.Context) error {
	b.cfg.keep(ctx, b.log, func(error) {}, b.serve)
	return ctx.Err()
}

// posted is what one session knows of the broker's retained messages.
type posted struct {
	link  *link
	site  string
	said  map[string][]byte // by topic, as published in this session
	clear map[string]bool   // topics that are to be cleared where they are not said

	mu    sync.Mutex
	stray []string // topics that the broker had, said by our site
}

func (b *Board) serve(ctx context.Context, broker string) error {
	p := &posted{site: b.cfg.Site, said: map[string][]byte{}, clear: map[string]bool{}}
	l, err := b.cfg.open(ctx, broker, opening{client: "linetwin-board-" + b.cfg.Host, receive: p.receive})
	if err != nil {
		return err
	}
	defer l.close()
	p.link = l
	if err := l.subscribe(ctx, map[string]byte{plant.RetainedRoot + "#": 1}); err != nil {
		if !l.client.IsConnectionOpen() || ctx.Err() != nil {
			return err
		}
		b.log.Warn("topics of lines that are gone stay", "error", err)
	}
	b.log.Info("publishes", "broker", broker, "topics", plant.RetainedRoot+"#")
	tick := time.NewTicker(boardEvery)
	defer tick.Stop()
	for {
		if err := b.post(ctx, p); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.lost:
			return &lostError{err: fmt.Errorf("connection to %s lost: %w", broker, l.why)}
		case <-tick.C:
		}
	}
}

// receive takes what the broker kept from before: only that comes with the
// mark of being retained. Another site's is not ours to clear.
func (p *posted) receive(m inbound) {
	if !m.retained || len(m.payload) == 0 {
		return
	}
	var whose plant.Place
	if json.Unmarshal(m.payload, &whose) != nil || whose.Site != p.site {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.stray) < maxStray {
		p.stray = append(p.stray, m.topic)
	}
}

// post publishes what changed, then clears what is said no more.
func (b *Board) post(ctx context.Context, p *posted) error {
	all, ok, err := b.source.Retained()
	if err != nil {
		return fmt.Errorf("publish %s#: %w", plant.RetainedRoot, err)
	}
	if !ok {
		return nil
	}
	p.mu.Lock()
	for _, topic := range p.stray {
		p.clear[topic] = true
	}
	p.stray = nil
	p.mu.Unlock()
	for topic := range p.said {
		p.clear[topic] = true
	}
	for _, r := range all {
		delete(p.clear, r.Topic)
		if bytes.Equal(p.said[r.Topic], r.Payload) {
			continue
		}
		if err := p.put(ctx, r.Topic, r.Payload); err != nil {
			return err
		}
		p.said[r.Topic] = r.Payload
	}
	for topic := range p.clear {
		if err := p.put(ctx, topic, nil); err != nil {
			return err
		}
		delete(p.clear, topic)
		delete(p.said, topic)
	}
	return nil
}

func (p *posted) put(ctx context.Context, topic string, payload []byte) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := p.link.publish(topic, 1, true, payload); err != nil {
		select {
		case <-p.link.lost:
			return &lostError{err: fmt.Errorf("publish %s at %s: %w", topic, p.link.broker, p.link.why)}
		default:
			return fmt.Errorf("publish %s at %s: %w", topic, p.link.broker, err)
		}
	}
	return nil
}

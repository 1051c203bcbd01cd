package main

import (
	"bufio"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// openPage watches a machine as a browser does that has its page open: over the
// stream of events, which it opens anew when it breaks, after the pauses of the
// page (web/ui/src/lib/live.svelte.ts).
type openPage struct {
	url string
	plc *countingPLC

	mu       sync.Mutex
	arrivals []shownAt
}

// shownAt is when the page showed a look at the PLC for the first time.
type shownAt struct {
	at   time.Time
	look uint32
}

func newOpenPage(t testing.TB, api string, plc *countingPLC) *openPage {
	p := &openPage{url: api + "/api/v1/events?machine=" + plc.machine, plc: plc}
	running(t, p.run)
	return p
}

const pageSilence = 25 * time.Second // after which the page opens its stream anew

func (p *openPage) run(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; failures++ {
		if p.watch(ctx) {
			failures = 0
		}
		wait := min(8*time.Second, 500*time.Millisecond<<min(failures, 10))
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(float64(wait) * (0.75 + rand.Float64()/2))):
		}
	}
	return nil
}

// watch reads the stream until it breaks, and tells whether it had begun.
func (p *openPage) watch(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(pageSilence, cancel)
	defer silent.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return false
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false
	}
	lines := bufio.NewReader(res.Body)
	for event := ""; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return true
		}
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = strings.TrimSpace(name)
			silent.Reset(pageSilence)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok && event == "signals" {
			p.show(data)
		}
	}
}

func (p *openPage) show(data string) {
	var signals []struct {
		Name  string   `json:"name"`
		Value *float64 `json:"value"`
	}
	if json.Unmarshal([]byte(data), &signals) != nil {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range signals {
		if s.Name != valueName(0) || s.Value == nil {
			continue
		}
		n := p.plc.counted(uint32(*s.Value), 0)
		if k := len(p.arrivals); k == 0 || n > p.arrivals[k-1].look {
			p.arrivals = append(p.arrivals, shownAt{now, n})
		}
	}
}

// shows tells when the page first showed something that was read after a time.
func (p *openPage) shows(after time.Time) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.arrivals {
		if a.at.Before(after) {
			continue
		}
		if read, ok := p.plc.lookAt(a.look); ok && read.After(after) {
			return a.at, true
		}
	}
	return time.Time{}, false
}

// longestGap gives the longest time within a span in which the page showed
// nothing new.
func (p *openPage) longestGap(from, to time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, longest := from, time.Duration(0)
	for _, a := range p.arrivals {
		if a.at.After(from) && a.at.Before(to) {
			longest, last = max(longest, a.at.Sub(last)), a.at
		}
	}
	return max(longest, to.Sub(last))
}

package sparkplug

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"linetwin/plant"
)

// CountsNode is a Node that awaits confirmations of its reports.
type CountsNode interface {
	// Confirm takes that the host keeps a report; called as the methods of Node.
	Confirm(c plant.CountConfirmation)
}

// CountsSink is a Sink that takes reports of counts; called as the methods of
// Sink.
type CountsSink interface {
	Counts(r plant.CountReport)
}

// Counts sends a report as NDATA, or gives plant.ErrOffline.
func (e *Edge) Counts(r *plant.CountReport) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode counts: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return plant.ErrOffline
	}
	t := now()
	m := outMetric{name: metricCounts, time: t, field: metricFieldString, text: string(text)}
	e.buf = m.append(appendHead(e.buf[:0], t))
	return e.send(e.link, topic{kind: kindNData, area: e.cfg.Area, gateway: e.cfg.Gateway}.String())
}

// reports gives the reports in an NDATA of one of ours to the sink.
func (g *gateway) reports(p *payload) {
	sink, ok := g.host.sink.(CountsSink)
	if !ok {
		return
	}
	for i := range p.metrics {
		m := &p.metrics[i]
		if string(m.name) != metricCounts || m.null {
			continue
		}
		r, err := decodeCounts(m.bytes)
		if err != nil {
			g.foreign(kindNData, err)
			continue
		}
		r.Area, r.Gateway = g.area, g.name
		sink.Counts(r)
	}
}

// maxCounts limits the rows and gaps of a report that are taken.
const maxCounts = 1 << 16

func decodeCounts(b []byte) (plant.CountReport, error) {
	var r plant.CountReport
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", metricCounts, err)
	}
	if r.Book == "" || r.Number == 0 || len(r.Counts)+len(r.Gaps) > maxCounts {
		return r, fmt.Errorf("%s: book %.40q, number %d, %d rows: want a book, a number from 1, and at most %d rows",
			metricCounts, r.Book, r.Number, len(r.Counts)+len(r.Gaps), maxCounts)
	}
	for i := range r.Counts {
		if c := &r.Counts[i]; c.Machine == "" {
			return r, fmt.Errorf("%s: a row without a machine", metricCounts)
		}
	}
	return r, nil
}

// Confirm tells a gateway that a report is kept. One that gets lost is made good
// when the report comes again.
func (h *Host) Confirm(c plant.CountConfirmation) error {
	h.mu.Lock()
	g := h.gateways[[2]string{c.Area, c.Gateway}]
	h.mu.Unlock()
	if g == nil {
		return plant.ErrOffline
	}
	t := now()
	m := outMetric{name: metricCounted, time: t, datatype: typeString, field: metricFieldString, text: c.Book + " " + strconv.FormatUint(c.Number, 10)}
	return h.command(g, m.append(appendHead(nil, t)))
}

// parseCounted reads "book number".
func parseCounted(s string) (c plant.CountConfirmation, err error) {
	book, number, _ := strings.Cut(s, " ")
	c.Book = book
	if c.Number, err = strconv.ParseUint(number, 10, 64); err != nil || book == "" {
		return c, fmt.Errorf(`%s %.64q: want a book and a number, as "QX3 7"`, metricCounted, s)
	}
	return c, nil
}

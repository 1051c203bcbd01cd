package twin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"linetwin/plant"
)

// place is what figures are asked of: one or several lines, or a machine of
// one.
type place struct {
	lines   []*line
	machine *machine // nil: the lines themselves
}

// counted is the account of a place over a part of a span.
type counted struct {
	part
	plant.Account
	provisional bool
	revision    int
	signed      *plant.SignedOff
}

// Figures gives a line's figures over span, split by "", "hour", "shift",
// "day", "week", "product" or "order". Splits are cut at span's ends; span is
// taken as whole minutes, outward. The running window ends at what is known.
func (t *Twin) Figures(ctx context.Context, id string, span plant.Span, by string) ([]plant.Figures, error) {
	l, err := t.lineOf(id)
	if err != nil {
		return nil, err
	}
	return t.figuresOf(ctx, place{lines: []*line{l}}, span, by)
}

// MachineFigures gives the figures of one machine: its own time, its own
// pieces. They have no revision, which is of the line's shifts.
func (t *Twin) MachineFigures(ctx context.Context, id string, span plant.Span, by string) ([]plant.Figures, error) {
	m := t.machines[id]
	if m == nil {
		return nil, fmt.Errorf("machine %q: %w, there are %s", id, plant.ErrNotFound, strings.Join(t.machineIDs(), ", "))
	}
	return t.figuresOf(ctx, place{lines: []*line{m.line}, machine: m}, span, by)
}

// AreaFigures gives the figures of an area: the sums of its lines.
func (t *Twin) AreaFigures(ctx context.Context, id string, span plant.Span, by string) ([]plant.Figures, error) {
	var p place
	for _, l := range t.lines {
		if l.area == id {
			p.lines = append(p.lines, l)
		}
	}
	if len(p.lines) == 0 && !slices.ContainsFunc(t.cfg.Areas, func(a AreaConfig) bool { return a.ID == id }) {
		var ids []string
		for _, a := range t.Areas() {
			ids = append(ids, a.ID)
		}
		return nil, fmt.Errorf("area %q: %w, there are %s", id, plant.ErrNotFound, strings.Join(ids, ", "))
	}
	return t.figuresOf(ctx, p, span, by)
}

// PlantFigures gives the figures of the plant: the sums of all lines.
func (t *Twin) PlantFigures(ctx context.Context, span plant.Span, by string) ([]plant.Figures, error) {
	return t.figuresOf(ctx, place{lines: t.lines}, span, by)
}

// Areas gives the areas with their lines, as the settings order them.
func (t *Twin) Areas() []plant.Area {
	all := []plant.Area{}
	for _, a := range t.cfg.Areas {
		i := slices.IndexFunc(all, func(o plant.Area) bool { return o.ID == a.ID })
		if i < 0 {
			all, i = append(all, plant.Area{ID: a.ID, Name: a.Name, Lines: []string{}}), len(all)
		}
		for _, l := range a.Lines {
			all[i].Lines = append(all[i].Lines, l.ID)
		}
	}
	return all
}

// figuresOf sums a place over the parts of span.
func (t *Twin) figuresOf(ctx context.Context, of place, span plant.Span, by string) ([]plant.Figures, error) {
	if !slices.Contains(splits, by) {
		return nil, fmt.Errorf("split by %q: want hour, shift, day, week, product or order", by)
	}
	span = wholeMinutes(span)
	var all []counted
	for _, l := range of.lines {
		one, err := t.countedOf(ctx, l, of.machine, span, by)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return joined(all, len(of.lines)), nil
}

// countedOf sums a line, or a machine of it, over the parts of span.
func (t *Twin) countedOf(ctx context.Context, l *line, m *machine, span plant.Span, by string) ([]counted, error) {
	from, err := t.pasts(ctx, l, around(span))
	if err != nil {
		return nil, err
	}
	now := t.now()
	t.mu.RLock()
	end := l.known(now, t.cfg.LateAfter)
	if m != nil {
		end = m.known(now, t.cfg.LateAfter)
	}
	t.mu.RUnlock()
	account := func(s plant.Span) plant.Account {
		if m != nil {
			return m.accountFrom(from, s)
		}
		return l.accountFrom(from, s)
	}
	if by == "product" || by == "order" {
		return l.byMade(from, madeSplit{m, plant.Span{From: span.From, To: min(span.To, end)}, by, account}, end), nil
	}
	shifts, err := t.publishedShifts(ctx, l, plant.Span{From: span.From.Add(-24 * time.Hour), To: span.To}) // a shift may have begun a day before
	if err != nil {
		return nil, err
	}
	var all []counted
	for _, p := range l.parts(span, by, t.zone) {
		known := plant.Span{From: p.From, To: min(p.To, end)}
		if known.Empty() {
			continue // not begun
		}
		c := counted{part: p, Account: account(known), provisional: p.To > end}
		c.Switches = l.held(p.Span)
		if p.start != 0 && m == nil {
			published, ok := shifts[p.start]
			c.revision, c.provisional, c.signed = published.revision, c.provisional || !ok, l.signedOff(p.start, published)
		}
		all = append(all, c)
	}
	return all, nil
}

// known gives the end of what a running window of the machine may count.
func (m *machine) known(now plant.Time, late time.Duration) plant.Time {
	return max(m.track.cp.Through, now.Add(-late))
}

// joined gives the figures of parts, those of several lines that belong
// together as one: sums of the same terms, never a mean of percentages.
func joined(all []counted, lines int) []plant.Figures {
	type key struct {
		from                             plant.Time
		shift, day, week, product, order string
	}
	sums := map[key]*counted{}
	var order []*counted
	for i := range all {
		c := &all[i]
		k := key{shift: c.shift, day: c.day, week: c.week, product: c.product, order: c.order}
		if c.hour {
			k.from = c.part.From
		}
		if sums[k] == nil {
			sums[k] = c
			order = append(order, c)
			continue
		}
		sum := sums[k]
		sum.Account.Add(&c.Account)
		sum.provisional = sum.provisional || c.provisional
		sum.revision += c.revision
	}
	if lines > 1 {
		slices.SortStableFunc(order, func(a, b *counted) int {
			return cmp.Or(cmp.Compare(a.Account.From, b.Account.From), cmp.Compare(a.product+a.order, b.product+b.order))
		})
	}
	figures := []plant.Figures{}
	for _, c := range order {
		f := c.Account.Figures()
		f.Shift, f.Day, f.Week, f.Product, f.Order = c.shift, c.day, c.week, c.product, c.order
		f.Provisional, f.Revision = c.provisional, c.revision
		if lines == 1 {
			f.SignedOff = c.signed
		}
		figures = append(figures, f)
	}
	return figures
}

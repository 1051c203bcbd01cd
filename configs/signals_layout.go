package configs

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"
)

// device edits one device's list of signals.
func (s *splicer) device(d *writtenDevice, want []wantedSignal) error {
	p := pairOf(d.node, "signals")
	switch {
	case p == nil:
		return s.newList(d.node, want)
	case p.value.Kind == yaml.AliasNode:
		return nil // the list is another device's; verify sees whether that fits
	case s.done[p.value]:
		return nil
	}
	s.done[p.value] = true
	list := p.value
	if isNull(list) {
		return s.nullList(d.node, p, want)
	}
	at, err := s.offset(list)
	if err != nil {
		return err
	}
	if s.text[at] == '[' {
		return s.flowList(d.node, p, at, want)
	}
	return s.blockList(p, want)
}

// isFlow tells of a mapping in braces.
func (s *splicer) isFlow(n *yaml.Node) (bool, error) {
	at, err := s.offset(n)
	return err == nil && at < len(s.text) && s.text[at] == '{', err
}

// newList gives a device a list that has none.
func (s *splicer) newList(device *yaml.Node, want []wantedSignal) error {
	flow, err := s.isFlow(device)
	if err != nil {
		return err
	}
	if flow {
		at, err := s.offset(device)
		if err != nil {
			return err
		}
		end, err := s.flowEnd(at)
		if err != nil {
			return err
		}
		s.put(end-1, end-1, ", signals: ["+strings.Join(flows(want), ", ")+"]")
		return nil
	}
	indent := device.Column - 1
	last := s.last(device.Line-1, indent)
	s.insert(last, strings.Repeat(" ", indent)+"signals:"+s.eol+s.items(want, indent+2))
	return nil
}

// insert puts whole lines behind a line.
func (s *splicer) insert(line int, text string) {
	at := s.after(line)
	if at == len(s.text) && (at == 0 || s.text[at-1] != '\n') {
		s.put(at, at, s.eol+strings.TrimSuffix(text, s.eol))
		return
	}
	s.put(at, at, text)
}

// items writes signals one to a line, dashes behind indent blanks.
func (s *splicer) items(want []wantedSignal, indent int) string {
	var b strings.Builder
	for _, item := range flows(want) {
		b.WriteString(strings.Repeat(" ", indent) + "- " + item + s.eol)
	}
	return b.String()
}

// flows writes the signals that are to stay.
func flows(want []wantedSignal) []string {
	var all []string
	for i := range want {
		if !want[i].removed {
			all = append(all, want[i].flow())
		}
	}
	return all
}

// nullList fills a key that has no value.
func (s *splicer) nullList(device *yaml.Node, p *pair, want []wantedSignal) error {
	key, err := s.offset(p.key)
	if err != nil {
		return err
	}
	from := key + len("signals:")
	if from > len(s.text) || string(s.text[key:from]) != "signals:" {
		return errors.New("a key that is not plain")
	}
	to := from
	if p.value.Value != "" { // ~ or null
		at, err := s.offset(p.value)
		if err != nil {
			return err
		}
		to = at + len(p.value.Value)
	}
	return s.replace(device, p.key, from, to, want)
}

// replace puts a whole list behind its key.
func (s *splicer) replace(device, key *yaml.Node, from, to int, want []wantedSignal) error {
	flow, err := s.isFlow(device)
	switch items := flows(want); {
	case err != nil:
		return err
	case flow || len(items) == 0:
		s.put(from, to, " ["+strings.Join(items, ", ")+"]")
	default:
		s.put(from, to, s.eol+strings.TrimSuffix(s.items(want, key.Column+1), s.eol))
	}
	return nil
}

// flowList writes a list in brackets anew.
func (s *splicer) flowList(device *yaml.Node, p *pair, at int, want []wantedSignal) error {
	end, err := s.flowEnd(at)
	if err != nil {
		return err
	}
	key, err := s.offset(p.key)
	if err != nil {
		return err
	}
	if from := key + len("signals:"); strings.TrimSpace(string(s.text[from:at])) == "" {
		return s.replace(device, p.key, from, end, want)
	}
	return errors.New("something between key and list")
}

// blockItem is where a signal of a list with dashes stands.
type blockItem struct {
	first, last int // lines, from 0
	from, to    int // bytes of a mapping in braces; to is 0 for other ones
}

// blockList edits a list with dashes, signal by signal.
func (s *splicer) blockList(p *pair, want []wantedSignal) error {
	list := p.value
	items, err := s.blockItems(list)
	if err != nil {
		return err
	}
	if len(flows(want)) == 0 {
		key, err := s.offset(p.key)
		if err != nil {
			return err
		}
		s.put(key+len("signals:"), key+len("signals:"), " []")
	}
	var fresh []wantedSignal
	for i, w := range want {
		switch {
		case w.old == nil:
			fresh = append(fresh, w)
		case w.removed:
			s.put(s.lines[items[i].first], s.after(items[i].last), "")
		case w.changed && items[i].to > 0:
			s.put(items[i].from, items[i].to, w.flow())
		case w.changed:
			s.put(s.lines[items[i].first], s.after(items[i].last), s.blockSignal(&w, list.Column-1))
		}
	}
	if len(fresh) > 0 {
		s.insert(items[len(items)-1].last, s.items(fresh, list.Column-1))
	}
	return nil
}

// blockSignal writes a signal with a line for each key.
func (s *splicer) blockSignal(w *wantedSignal, indent int) string {
	lead := strings.Repeat(" ", indent)
	var b strings.Builder
	for i, pair := range w.pairs() {
		dash := "  "
		if i == 0 {
			dash = "- "
		}
		b.WriteString(lead + dash + pair + s.eol)
	}
	return b.String()
}

// blockItems finds each signal of a list with dashes.
func (s *splicer) blockItems(list *yaml.Node) ([]blockItem, error) {
	indent := list.Column - 1
	end := s.last(list.Line-1, indent)
	var items []blockItem
	for i := list.Line - 1; i <= end; i++ {
		line := s.line(i)
		if indentOf(line) == indent && !blank(line) && (strings.HasPrefix(line[indent:], "- ") || line[indent:] == "-") {
			items = append(items, blockItem{first: i})
		}
		if len(items) == len(list.Content)+1 {
			break
		}
	}
	if len(items) != len(list.Content) {
		return nil, errors.New("dashes that are not one under the other")
	}
	for i := range items {
		it, n := &items[i], list.Content[i]
		it.last = s.last(it.first, indent+1)
		if n.Kind == yaml.AliasNode || n.Kind != yaml.MappingNode {
			continue
		}
		at, err := s.offset(n)
		if err != nil {
			return nil, err
		}
		if at >= len(s.text) || s.text[at] != '{' {
			continue
		}
		it.from = at
		if it.to, err = s.flowEnd(at); err != nil {
			return nil, err
		}
		for it.last+1 < len(s.lines) && s.lines[it.last+1] < it.to {
			it.last++ // a bracket may be closed further left
		}
	}
	return items, nil
}

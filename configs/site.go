package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"linetwin/connectors"
	"linetwin/connectors/sparkplug"
	"linetwin/plant"
	"linetwin/twin"
)

// CheckSite holds files against each other that were found right by
// themselves: gateways of one site among themselves, and the site's twin
// against them. Problems are wrong for certain. Notes are right only where a
// machine's data comes from somewhere else, such as a foreign edge node or a
// gateway whose file was not given.
func CheckSite(files []File) (problems, notes Problems) {
	sites := map[string]*site{}
	firstSite, strangers := "", Problems(nil)
	for i := range files {
		name, ok := files[i].siteName()
		switch {
		case !ok:
		case firstSite == "":
			firstSite = name
		case name != firstSite:
			strangers = append(strangers, files[i].at(0, "site", name, firstSite+", as in the other files, or else they are not held against each other"))
		}
	}
	of := func(group string) *site {
		if sites[group] == nil {
			sites[group] = &site{gateways: map[string]gatewayPlace{}, machines: map[string]machinePlace{}, signals: map[string]signalPlace{}}
		}
		return sites[group]
	}
	for i := range files {
		for j, g := range files[i].Gateways {
			of(files[i].group(g.Site)).gateway(&files[i], j, g)
		}
	}
	for i := range files {
		if t := files[i].Twin; t != nil {
			of(files[i].group(t.Site)).twin(&files[i], t)
		}
	}
	var all, maybe []Problem
	for _, s := range sites {
		all, maybe = append(all, s.problems...), append(maybe, s.notes...)
	}
	return sorted(all), sorted(append(maybe, strangers...))
}

// siteName gives the site of a gateway's or a twin's file; a demo is a site of
// its own.
func (f *File) siteName() (string, bool) {
	switch {
	case f.Kind == KindDemo:
		return "", false
	case f.Twin != nil:
		return f.Twin.Site, true
	case len(f.Gateways) > 0:
		return f.Gateways[0].Site, true
	}
	return "", false
}

// group tells which files belong together: a demo is a site of its own.
func (f *File) group(site string) string {
	if f.Kind == KindDemo {
		return "demo " + f.Name
	}
	return "site " + site
}

// site is what the files say of one site.
type site struct {
	gateways map[string]gatewayPlace // by area/gateway
	machines map[string]machinePlace // by machine
	signals  map[string]signalPlace  // by signal: where it is first

	problems, notes []Problem
}

type gatewayPlace struct {
	file *File
	of   int // gateway in the file
	cfg  *Gateway
}

type machinePlace struct {
	gatewayPlace
	device  int
	signals map[string]plant.Signal
}

type signalPlace struct {
	plant.Signal
	machine string
	file    string
}

func (s *site) wrong(p Problem) { s.problems = append(s.problems, p) }

func (s *site) gateway(f *File, i int, g *Gateway) {
	here := gatewayPlace{f, i, g}
	id := g.Area + "/" + g.Gateway
	if first, ok := s.gateways[id]; ok {
		s.wrong(f.at(i, "gateway", g.Gateway, "a gateway that the area has once ("+first.file.Name+" has it too)"))
	} else {
		s.gateways[id] = here
	}
	signals, err := deviceSignals(g.Devices)
	if err != nil {
		s.wrong(f.at(i, "devices", err.Error(), "devices that can be opened"))
		return
	}
	for _, n := range plant.Under("devices", connectors.Notes(g.Devices)) {
		s.notes = append(s.notes, f.at(i, n.Key, n.Found, n.Allowed))
	}
	for d := range g.Devices {
		machine := g.Devices[d].Machine
		key := fmt.Sprintf("devices[%d]", d)
		if first, ok := s.machines[machine]; ok {
			s.wrong(f.at(i, key+".machine", machine, "a machine that only one gateway of the site has ("+first.cfg.Gateway+" in "+first.file.Name+" has it too)"))
			continue
		}
		m := machinePlace{gatewayPlace: here, device: d, signals: map[string]plant.Signal{}}
		for n, sig := range signals[d] {
			m.signals[sig.Name] = sig
			s.signal(f, i, fmt.Sprintf("%s.signals[%d]", key, n), machine, sig)
		}
		s.machines[machine] = m
	}
}

// signal: a name has one kind and one unit in a whole site. What is wrong
// inside one gateway, its own check has told.
func (s *site) signal(f *File, i int, key, machine string, sig plant.Signal) {
	first, ok := s.signals[sig.Name]
	if !ok {
		s.signals[sig.Name] = signalPlace{sig, machine, f.Name}
		return
	}
	if first.Kind != sig.Kind {
		s.wrong(f.at(i, key+".type", sig.Kind.String(), fmt.Sprintf("%s, as at machine %s in %s: a signal name has one kind in a whole site", first.Kind, first.machine, first.file)))
	}
	if first.Unit != sig.Unit {
		s.wrong(f.at(i, key+".unit", quote(sig.Unit), fmt.Sprintf("%q, as at machine %s in %s: a signal name has one unit in a whole site", first.Unit, first.machine, first.file)))
	}
}

func (s *site) twin(f *File, t *Twin) {
	if len(s.gateways) == 0 {
		return
	}
	areas := map[string]bool{}
	of := map[string]string{} // machine -> area
	for a := range t.Areas {
		areas[t.Areas[a].ID] = true
		for l := range t.Areas[a].Lines {
			line := &t.Areas[a].Lines[l]
			for m := range line.Machines {
				of[line.Machines[m].ID] = t.Areas[a].ID
				s.machine(f, fmt.Sprintf("areas[%d].lines[%d].machines[%d]", a, l, m), &line.Machines[m])
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.gateways)) {
		g := s.gateways[id]
		if !areas[g.cfg.Area] {
			s.wrong(g.file.at(g.of, "area", g.cfg.Area, "one of the areas in "+f.Name+", which hears no others: "+list(areas)))
		}
		if g.cfg.Wire.Acknowledge == sparkplug.AcknowledgeHost && g.cfg.Wire.Host != t.Broker.Host {
			s.wrong(g.file.at(g.of, "wire.host", g.cfg.Wire.Host, t.Broker.Host+", as broker.host in "+f.Name+": this gateway would wait for another host for ever"))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.machines)) {
		m := s.machines[id]
		key := fmt.Sprintf("devices[%d].machine", m.device)
		switch area, ok := of[id]; {
		case !ok:
			s.notes = append(s.notes, m.file.at(m.of, key, id, "a machine of a line; its readings are stored, and shown on no line"))
		case area != m.cfg.Area:
			s.wrong(m.file.at(m.of, key, id, "a machine of area "+m.cfg.Area+"; in "+f.Name+" it is in area "+area))
		}
	}
	s.rules(f, t)
}

// machine holds what a machine's signals should mean against what its gateway
// gives.
func (s *site) machine(f *File, key string, m *twin.MachineConfig) {
	got, ok := s.machines[m.ID]
	if !ok {
		s.notes = append(s.notes, f.at(-1, key+".id", m.ID, "a machine of a gateway; none of these files has it"))
		return
	}
	given := map[string]bool{}
	for name := range got.signals {
		given[name] = true
	}
	allowed := "a signal that " + got.file.Name + " gives for " + m.ID + ": " + list(given)
	for _, role := range slices.Sorted(maps.Keys(m.Roles)) {
		at, sig := key+".roles."+string(role), got.signals[m.Roles[role]]
		switch counts := role == plant.RoleGood || role == plant.RoleReject || role == plant.RoleTotal; {
		case !given[m.Roles[role]]:
			s.wrong(f.at(-1, at, m.Roles[role], allowed))
		case counts && sig.Kind != plant.KindInteger && sig.Kind != plant.KindFloat:
			s.wrong(f.at(-1, at, m.Roles[role]+" ("+sig.Kind.String()+")", "a signal that is a number, because it counts pieces"))
		case m.Counters[role] != 0 && sig.Counter != 0 && m.Counters[role] != sig.Counter:
			s.wrong(f.at(-1, key+".counters."+string(role), fmt.Sprintf("%d", m.Counters[role]), fmt.Sprintf("%d, as counter at the signal in %s", sig.Counter, got.file.Name)))
		}
	}
	for i, c := range m.Characteristics {
		at := fmt.Sprintf("%s.characteristics[%d]", key, i)
		sig := got.signals[c.Signal]
		switch {
		case !given[c.Signal]:
			s.wrong(f.at(-1, at+".signal", c.Signal, allowed))
		case c.Unit != "" && sig.Unit != "" && c.Unit != sig.Unit:
			s.wrong(f.at(-1, at+".unit", quote(c.Unit), fmt.Sprintf("%q, as at the signal in %s", sig.Unit, got.file.Name)))
		}
		if c.Trigger != "" && !given[c.Trigger] {
			s.wrong(f.at(-1, at+".trigger", c.Trigger, allowed))
		}
	}
}

// rules: a rule on a signal that nothing gives never fires.
func (s *site) rules(f *File, t *Twin) {
	for i, l := range t.Limits {
		key := fmt.Sprintf("rules[%d].signal", i)
		m, known := s.machines[l.Machine]
		_, ofMachine := m.signals[l.Signal]
		_, ofAny := s.signals[l.Signal]
		switch {
		case l.Signal == "":
		case known && !ofMachine:
			s.wrong(f.at(-1, key, l.Signal, "a signal of "+l.Machine+": "+strings.Join(slices.Sorted(maps.Keys(m.signals)), ", ")))
		case !ofAny:
			s.notes = append(s.notes, f.at(-1, key, l.Signal, "a signal of a gateway; none of these files has it"))
		}
	}
}

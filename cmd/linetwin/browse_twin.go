package main

import (
	"fmt"
	"strings"

	"linetwin/connectors/opcua"
	"linetwin/plant"
	"linetwin/twin"
)

// The maps of state names that are proposed. The standards write the names with
// a capital, and text is compared as it is.
const (
	packMLNames    = "packml-names"
	machineryNames = "machinery"
)

// twinRoles are the roles that the twin knows, in the order in which they are
// written.
var twinRoles = [...]string{opcua.RoleState, opcua.RoleTotal, opcua.RoleReject, opcua.RoleSpeed, opcua.RoleFault}

// mapping proposes what twin.yaml says of the machines.
func mapping(machines []*foundMachine) []string {
	maps := map[string]bool{}
	lines := []string{"machines: # of a line"}
	for _, m := range machines {
		lines = append(lines, m.mapping(maps)...)
	}
	if len(lines) == 1 {
		return []string{"# no machine of PackML or Machinery was found"}
	}
	if maps[packMLNames] || maps[machineryNames] {
		lines = append(lines, "state_maps: # of the whole site")
	}
	if maps[packMLNames] {
		lines = append(lines, "  "+packMLNames+":")
		lines = append(lines, packMLMap()...)
	}
	if maps[machineryNames] {
		lines = append(lines, "  "+machineryNames+":",
			"    Executing: {state: execute, class: run}",
			"    NotExecuting: {state: idle, class: stop}",
			"    OutOfService: {state: stopped, class: planned_stop}",
			"    NotAvailable: {state: \"off\", class: stop}")
	}
	return lines
}

func (m *foundMachine) mapping(maps map[string]bool) []string {
	lines := []string{"  - id: " + m.id + " # follows " + printable(m.Spec)}
	if m.roles[opcua.RoleState] != "" {
		states := "packml"
		if m.kinds[opcua.RoleState] == plant.KindText {
			states = packMLNames
			if m.Spec == opcua.Machinery {
				states = machineryNames
			}
			maps[states] = true
		}
		lines = append(lines, "    states: "+states)
	}
	var roles []string
	for _, r := range twinRoles {
		if name := m.roles[r]; name != "" {
			roles = append(roles, r+": "+name)
		}
	}
	lines = append(lines, "    roles: {"+strings.Join(roles, ", ")+"}")
	if m.roles[opcua.RoleStateUpper] != "" {
		lines = append(lines, "    # PackML nests its states: the innermost is bad, and time counts as unknown, while the machine is",
			"    # stopped or aborted; "+m.roles[opcua.RoleStateUpper]+" says so then.")
	}
	for _, o := range m.other {
		lines = append(lines, "    # "+printable(o))
	}
	return lines
}

// packMLMap gives PackML's names as the standard writes them.
func packMLMap() []string {
	var lines []string
	known := twin.PackML()
	for i := 1; ; i++ {
		m, ok := known[fmt.Sprint(i)]
		if !ok {
			return lines
		}
		name := string(m.State)
		lines = append(lines, fmt.Sprintf("    %s: {state: %s, class: %v}", strings.ToUpper(name[:1])+name[1:], name, m.Class))
	}
}

package connectors

import (
	"fmt"
	"strings"

	"linetwin/plant"
)

// caseNotes tells of machines, and of signals of one machine, whose names are
// the same but for upper and lower case: Sparkplug advises against them, for
// there are hosts that take them for one (Sparkplug B 3.0, 5.2).
func caseNotes(devices []Config) []plant.Fault {
	var notes []plant.Fault
	same := func(seen map[string]string, key, name string) {
		low := strings.ToLower(name)
		if before, ok := seen[low]; ok && before != name {
			notes = append(notes, plant.Fault{Key: key, Found: fmt.Sprintf("%s beside %s", name, before),
				Allowed: "names that differ in more than case: some Sparkplug hosts take these for one"})
			return
		}
		seen[low] = name
	}
	machines := map[string]string{}
	for i := range devices {
		same(machines, fmt.Sprintf("[%d].machine", i), devices[i].Machine)
		signals := map[string]string{}
		for j := range devices[i].Signals {
			same(signals, fmt.Sprintf("[%d].signals[%d].name", i, j), devices[i].Signals[j].Name)
		}
	}
	return notes
}

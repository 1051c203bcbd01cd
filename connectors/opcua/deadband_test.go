package opcua

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"

	"linetwin/plant"
)

// bandServer takes deadbands or refuses them as told, and has EURanges. It
// does not apply them: what it sends is what the gateway must cope with.
type bandServer struct {
	*testServer
	mu      sync.Mutex
	refuse  ua.StatusCode
	filters []*ua.DataChangeFilter // as asked for, without the heartbeat's
	creates int
}

func startBandServer(t *testing.T) *bandServer {
	t.Helper()
	s := &bandServer{}
	s.testServer = startServer(t, serverOptions{before: 1, handlers: map[uint16]server.Handler{
		id.CreateMonitoredItemsRequest_Encoding_DefaultBinary:          s.create,
		id.TranslateBrowsePathsToNodeIDsRequest_Encoding_DefaultBinary: s.translate,
	}})
	return s
}

// create refuses items one by one, as servers do.
func (s *bandServer) create(sc *uasc.SecureChannel, r ua.Request, n uint32) (ua.Response, error) {
	req := r.(*ua.CreateMonitoredItemsRequest)
	s.mu.Lock()
	defer s.mu.Unlock()
	all := req.ItemsToCreate
	results := make([]*ua.MonitoredItemCreateResult, len(all))
	var taken []*ua.MonitoredItemCreateRequest
	var at []int
	s.creates++
	for i, item := range all {
		if item.RequestedParameters.ClientHandle != heartbeatHandle {
			f, _ := item.RequestedParameters.Filter.Value.(*ua.DataChangeFilter)
			s.filters = append(s.filters, f)
			if f != nil && s.refuse != 0 {
				results[i] = &ua.MonitoredItemCreateResult{StatusCode: s.refuse, FilterResult: ua.NewExtensionObject(nil)}
				continue
			}
		}
		taken, at = append(taken, item), append(at, i)
	}
	req.ItemsToCreate = taken
	res, err := s.MonitoredItemService.CreateMonitoredItems(sc, r, n)
	if c, ok := res.(*ua.CreateMonitoredItemsResponse); ok {
		for i, one := range c.Results {
			results[at[i]] = one
		}
		c.Results = results
	}
	return res, err
}

// translate knows the EURange of nodes that have a node "range-" and their name.
func (s *bandServer) translate(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
	res := &ua.TranslateBrowsePathsToNodeIDsResponse{ResponseHeader: header(r, 0)}
	for _, p := range r.(*ua.TranslateBrowsePathsToNodeIDsRequest).BrowsePaths {
		e, name := p.RelativePath.Elements[0], "range-"+p.StartingNode.StringID()
		s.space.mu.Lock()
		known := s.space.values["s="+name] != nil
		s.space.mu.Unlock()
		one := &ua.BrowsePathResult{StatusCode: ua.StatusBadNoMatch}
		if known && e.TargetName.Name == "EURange" && e.ReferenceTypeID.IntID() == id.HasProperty {
			one = &ua.BrowsePathResult{Targets: []*ua.BrowsePathTarget{{TargetID: ua.NewStringExpandedNodeID(s.space.ID(), name), RemainingPathIndex: 0xFFFFFFFF}}}
		}
		res.Results = append(res.Results, one)
	}
	return res, nil
}

// asked gives the filters that were asked for since the last call.
func (s *bandServer) asked() []*ua.DataChangeFilter {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.filters
	s.filters = nil
	return all
}

// connected gives a device that is connected, and what was asked for since.
func (s *bandServer) connected(t *testing.T, cfg Config, signals ...Signal) *Device {
	t.Helper()
	d := newTestDevice(t, s.testServer, cfg, signals...)
	waitFor(t, func() bool { // as reconnect does
		s.asked()
		return d.Connect(t.Context()) == nil
	})
	return d
}

func (s *bandServer) refusing(status ua.StatusCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = status
}

func TestDeadbandIsAskedOfTheServer(t *testing.T) {
	s := startBandServer(t)
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		s.space.set("s="+n, 1.5)
	}
	s.space.set("s=range-e", &ua.ExtensionObject{EncodingMask: 1, TypeID: ua.NewFourByteExpandedNodeID(0, id.Range_Encoding_DefaultBinary), Value: &ua.Range{Low: 0, High: 10}})
	signals := []Signal{{Name: "a", Node: nsu("s=a"), Type: "float64", Deadband: 0.5}, {Name: "b", Node: nsu("s=b"), Type: "float64", Deadband: 0.5, Scale: new(-0.1)},
		{Name: "c", Node: nsu("s=c"), Type: "float64"}, {Name: "d1", Node: nsu("s=d"), Type: "float64", Deadband: 3}, {Name: "d2", Node: nsu("s=d"), Type: "float64", Deadband: 2},
		{Name: "e", Node: nsu("s=e"), Type: "float64", DeadbandPercent: 25}}
	filter := func(kind ua.DeadbandType, value float64) ua.DataChangeFilter {
		return ua.DataChangeFilter{Trigger: ua.DataChangeTriggerStatusValue, DeadbandType: uint32(kind), DeadbandValue: value}
	}
	want := []ua.DataChangeFilter{filter(1, 0.5), filter(1, 5), {}, filter(1, 2), filter(2, 25)}
	check := func(got []*ua.DataChangeFilter) {
		t.Helper()
		var plain []ua.DataChangeFilter
		for _, f := range got {
			if f == nil {
				f = &ua.DataChangeFilter{}
			}
			plain = append(plain, *f)
		}
		if !slices.Equal(plain, want) {
			t.Errorf("asked for %+v, want %+v", plain, want)
		}
	}
	all := func(d *Device) {
		t.Helper()
		gather(t, d, func(all []plant.Reading) bool { return len(all) >= len(signals) })
	}
	noRevisions := func(d *Device) []string {
		return slices.DeleteFunc(slices.Clone(d.Notes()), func(s string) bool { return strings.HasPrefix(s, "the server made ") })
	}
	d := s.connected(t, subscribing(), signals...)
	check(s.asked())
	all(d)
	if n := noRevisions(d); len(n) != 0 {
		t.Errorf("notes %q of a server that does all", n)
	}
	d.Close()
	for _, c := range []struct {
		status ua.StatusCode
		server bool // it can do none at all, so that it is not asked again
	}{{ua.StatusBadMonitoredItemFilterUnsupported, true}, {ua.StatusBadFilterNotAllowed, false}, {ua.StatusBadDeadbandFilterInvalid, false}, {ua.StatusBadMonitoredItemFilterInvalid, false}} {
		t.Run(statusName(c.status), func(t *testing.T) {
			s.refusing(c.status)
			d := s.connected(t, subscribing(), signals...)
			if got := s.asked(); len(got) != len(want)+4 || slices.ContainsFunc(got[len(want):], func(f *ua.DataChangeFilter) bool { return f != nil }) {
				t.Errorf("%d items asked for, want %d and 4 again without a filter", len(got), len(want))
			}
			all(d)
			note := "deadband applied by the gateway, because the server does not (" + statusName(c.status) + "): a, b, d1, e"
			if n := noRevisions(d); !slices.Equal(n, []string{note}) {
				t.Errorf("notes %q, want %q", n, note)
			}
			other, err := New("n", time.Second, d.cfg, signals, quiet(), nil)
			if err != nil {
				t.Fatal(err)
			}
			other.link = d.link // another device of the session
			defer other.Close()
			waitFor(t, func() bool {
				s.asked()
				return other.Connect(t.Context()) == nil
			})
			if asked := slices.ContainsFunc(s.asked(), func(f *ua.DataChangeFilter) bool { return f != nil }); asked == c.server {
				t.Errorf("another device of the session asks again: %v", asked)
			}
			d.Close()
		})
	}
	t.Run("never", func(t *testing.T) {
		s.refusing(0)
		cfg := subscribing()
		cfg.ServerDeadband = deadbandNever
		d := s.connected(t, cfg, signals...)
		if asked := slices.ContainsFunc(s.asked(), func(f *ua.DataChangeFilter) bool { return f != nil }); asked {
			t.Error("asked for a deadband all the same")
		}
		all(d)
	})
}

func TestPercentDeadband(t *testing.T) {
	s := startBandServer(t)
	for _, mode := range []string{ModePoll, ModeSubscribe} {
		t.Run(mode, func(t *testing.T) {
			s.refusing(ua.StatusBadMonitoredItemFilterUnsupported)
			s.space.set("s=range-a", &ua.ExtensionObject{EncodingMask: 1, TypeID: ua.NewFourByteExpandedNodeID(0, id.Range_Encoding_DefaultBinary), Value: &ua.Range{Low: -100, High: 100}})
			s.space.set("s=range-c", "wide")
			s.space.set("s=range-d", &ua.ExtensionObject{EncodingMask: 1, TypeID: ua.NewFourByteExpandedNodeID(0, id.Range_Encoding_DefaultBinary), Value: &ua.Range{Low: 5, High: 5}})
			for _, n := range []string{"a", "b", "c", "d"} {
				s.space.set("s="+n, 50.0)
			}
			cfg := subscribing()
			cfg.Mode = mode
			if mode == ModePoll {
				cfg.Publishing, cfg.Sampling = 0, 0
			}
			d := s.connected(t, cfg, Signal{Name: "a", Node: nsu("s=a"), Type: "float64", Scale: new(2.0), DeadbandPercent: 10}, // 20 of 200; 40 when scaled
				Signal{Name: "b", Node: nsu("s=b"), Type: "float64", DeadbandPercent: 10}, Signal{Name: "c", Node: nsu("s=c"), Type: "float64", DeadbandPercent: 10},
				Signal{Name: "d", Node: nsu("s=d"), Type: "float64", DeadbandPercent: 10})
			last := map[string]plant.Reading{}
			var seen []plant.Value // of a
			take := func(so func() bool) {
				t.Helper()
				waitFor(t, func() bool {
					for _, r := range poll(t, d).Readings {
						if r.Signal == "a" && r.Value != last["a"].Value {
							seen = append(seen, r.Value)
						}
						last[r.Signal] = r
					}
					return so()
				})
			}
			take(func() bool { return len(last) == 4 })
			b := 50.0
			for _, v := range []float64{60, 70, 31, 30, 29, 40, 49, 50} { // 50 is the last that was told, then 29, then 50
				s.space.set("s=a", v)
				b++
				s.space.set("s=b", b) // no range: every change is told, after those of a
				take(func() bool { return last["b"].Value == plant.Float(b) })
				// whichever order the server reports in, the next report brings a's
				b += 0.5
				s.space.set("s=b", b)
				take(func() bool { return last["b"].Value == plant.Float(b) })
			}
			if want := []plant.Value{plant.Float(100), plant.Float(58), plant.Float(100)}; !slices.Equal(seen, want) {
				t.Errorf("a told %v, want %v", seen, want)
			}
			s.space.setAt("s=a", 50.0, time.Now(), ua.StatusUncertainLastUsableValue)
			take(func() bool { return last["a"].Quality == plant.Uncertain })
			s.space.setAt("s=a", 50.0, time.Now(), ua.StatusBadSensorFailure)
			take(func() bool { return last["a"].Quality == plant.Bad })
			s.space.set("s=a", 51.0)
			take(func() bool { return last["a"].Value == plant.Float(102) })
			notes := strings.Join(d.Notes(), "\n")
			for _, want := range []string{"every change is told, because the node has no EURange: b", "every change is told, because its EURange is no range: c, d"} {
				if !strings.Contains(notes, want) {
					t.Errorf("notes %q lack %q", notes, want)
				}
			}
			if told := strings.Contains(notes, "(BadMonitoredItemFilterUnsupported): a"); told != (mode == ModeSubscribe) {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

package twin

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"linetwin/plant"
)

const auditStart = plant.Time(1_772_431_200_000_000_000) // a whole minute

func minute(n int) plant.Time { return auditStart.Add(time.Duration(n) * time.Minute) }

// ledgers makes accounts of lines such as "press 3 made 10 repeated 1 stored 9".
func ledgers(t *testing.T, text string) *accounts {
	t.Helper()
	in := &accounts{span: plant.Span{From: minute(0), To: minute(10)}, expired: map[string]plant.Time{}, stored: map[machineMinute]uint64{}, quarantined: map[machineMinute]uint64{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		var at int
		if _, err := fmt.Sscan(words[1], &at); err != nil {
			t.Fatal(err)
		}
		c := plant.GatewayCount{Area: "a", Gateway: "g", Count: plant.Count{Machine: words[0], Minute: minute(at)}}
		key := machineMinute{words[0], minute(at)}
		for i := 2; i < len(words); i += 2 {
			var n uint64
			if words[i] == "by" {
				c.Gateway = words[i+1]
				continue
			}
			if _, err := fmt.Sscan(words[i+1], &n); err != nil {
				t.Fatal(err)
			}
			switch words[i] {
			case "made":
				c.Made = n
			case "repeated":
				c.Repeated = n
			case "late":
				c.Late = n
			case "dropped":
				c.Dropped = n
			case "stored":
				in.stored[key] += n
			case "quarantined":
				in.quarantined[key] += n
			case "expired": // before this minute
				in.expired[words[0]] = minute(int(n))
			}
		}
		if c.Made > 0 {
			in.counts = append(in.counts, c)
		}
	}
	return in
}

func TestReconcile(t *testing.T) {
	whole := plant.Span{From: minute(-60), To: minute(60)}
	one := func(g plant.AuditGateway, oldest plant.Time) []auditedGateway {
		g.Area, g.Gateway = "a", "g"
		if g.Counted == (plant.Span{}) {
			g.Counted = whole
		}
		return []auditedGateway{{g, oldest}}
	}
	for _, c := range []struct {
		name     string
		text     string
		gateways []auditedGateway
		gaps     []plant.GatewayGap
		want     []string // differences
		proven   bool
	}{
		{name: "all there", text: "press 1 made 10 stored 10\npress 2 made 5 repeated 2 stored 3", proven: true},
		{name: "late ones were repeats", text: "press 1 made 10 late 4 stored 8", proven: true},
		{name: "late ones were new", text: "press 1 made 10 late 4 stored 10", proven: true},
		{name: "one is missing", text: "press 1 made 10 stored 10\npress 2 made 10 stored 9", want: []string{"press 2-3 unexplained 1"}},
		{name: "more is missing than was late", text: "press 1 made 10 late 2 stored 7", want: []string{"press 1-2 unexplained 1"}},
		{name: "dropped", text: "press 1 made 10 dropped 4 stored 6\npress 2 made 9 dropped 9\npress 3 made 3 dropped 1 stored 1",
			want: []string{"press 1-3 dropped 13", "press 3-4 dropped 1 unexplained 1"}},
		{name: "dropped by retention", text: "press 1 made 10 dropped 4\npress 2 made 9 stored 4\npress 3 made 3 stored 1 expired 3\noven 1 made 1",
			want: []string{"oven 1-2 unexplained 1", "press 1-3 expired 15", "press 3-4 unexplained 2"}},
		{name: "dropped after it was stored", text: "press 1 made 10 dropped 4 stored 10", proven: true},
		{name: "quarantined", text: "press 1 made 10 stored 8 quarantined 2", want: []string{"press 1-2 quarantined 2"}},
		{name: "in quarantine and stored later", text: "press 1 made 10 stored 10 quarantined 2", proven: true},
		{name: "waiting", text: "press 1 made 10\npress 2 made 10 stored 5", gateways: one(plant.AuditGateway{Waiting: 15}, minute(1)),
			want: []string{"press 1-3 waiting 15"}},
		{name: "fewer wait than are missing", text: "press 1 made 10\npress 2 made 10 stored 5", gateways: one(plant.AuditGateway{Waiting: 12}, minute(1)),
			want: []string{"press 1-2 waiting 10", "press 2-3 waiting 2 unexplained 3"}},
		{name: "what waits is newer", text: "press 1 made 10 stored 9\npress 5 made 10 stored 9", gateways: one(plant.AuditGateway{Waiting: 50}, minute(5)),
			want: []string{"press 1-2 unexplained 1", "press 5-6 waiting 1"}},
		{name: "another gateway's wait explains nothing", text: "press 1 made 10 stored 9 by h",
			gateways: append(one(plant.AuditGateway{Waiting: 50}, minute(0)), auditedGateway{plant.AuditGateway{Area: "a", Gateway: "h", Counted: whole}, 0}), want: []string{"press 1-2 unexplained 1"}},
		{name: "a damaged block of unknown machines", text: "press 1 made 10 stored 8\noven 1 made 10 stored 7\noven 7 made 10 stored 9",
			gaps: []plant.GatewayGap{{Area: "a", Gateway: "g", Gap: plant.Gap{Span: plant.Span{From: minute(1), To: minute(3)}, Readings: 4}}},
			want: []string{"oven 1-2 dropped 3", "oven 7-8 unexplained 1", "press 1-2 dropped 1 unexplained 1"}},
		{name: "two gateways made it", text: "press 1 made 10 stored 10\npress 1 made 5 stored 5 by h", proven: false,
			gateways: append(one(plant.AuditGateway{}, 0), auditedGateway{plant.AuditGateway{Area: "a", Gateway: "h", Problem: "x"}, 0})},
		{name: "more than was made", text: "press 1 made 10 stored 12", want: []string{"press 1-2 surplus 2"}},
		{name: "nothing was made", text: "press 1 made 10 stored 10\npress 2 stored 1", want: []string{"press 2-3 surplus 1"}},
		{name: "not told yet", text: "press 1 made 10 stored 10\npress 2 made 3 stored 10\npress 3 stored 10", gateways: one(plant.AuditGateway{Counted: plant.Span{From: minute(0), To: minute(2)}, Problem: "x"}, 0),
			want: []string{"press 2-4 uncounted 17"}},
		{name: "nobody counts it", text: "kiln 1 stored 10\nkiln 2 stored 4", want: []string{"kiln 1-3 uncounted 14"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := ledgers(t, c.text)
			if in.gateways, in.gaps = c.gateways, c.gaps; in.gateways == nil {
				in.gateways = one(plant.AuditGateway{}, 0)
			}
			a, _ := reconcile(in)
			var got []string
			for _, d := range a.Differences {
				text := fmt.Sprintf("%s %d-%d", d.Machine, d.From.Sub(auditStart)/time.Minute, d.To.Sub(auditStart)/time.Minute)
				for _, r := range []struct {
					name string
					n    uint64
				}{{"waiting", d.Waiting}, {"quarantined", d.Quarantined}, {"dropped", d.Dropped}, {"expired", d.Expired}, {"unexplained", d.Unexplained}, {"surplus", d.Surplus}, {"uncounted", d.Uncounted}} {
					if r.n > 0 {
						text += fmt.Sprintf(" %s %d", r.name, r.n)
					}
				}
				got = append(got, text)
			}
			if !reflect.DeepEqual(got, c.want) || a.Proven != c.proven {
				t.Errorf("got %q, proven %v\nwant %q, %v", got, a.Proven, c.want, c.proven)
			}
			s := a.Sums
			if s.Made != s.Repeated+s.Stored-s.Uncounted-s.Surplus+s.Missing() {
				t.Errorf("sums do not add up: %+v", s)
			}
		})
	}
}

// Two halves of a span, each of which had the whole backlog for an explanation,
// are as the whole.
func TestJoinedAudits(t *testing.T) {
	text := "press 1 made 10\npress 7 made 10"
	gateways := []auditedGateway{{plant.AuditGateway{Area: "a", Gateway: "g", Counted: plant.Span{From: minute(-1), To: minute(60)}, Waiting: 12}, minute(1)}}
	whole := ledgers(t, text)
	whole.gateways = gateways
	want, _ := reconcile(whole)
	first, second := ledgers(t, text[:len("press 1 made 10")]), ledgers(t, text[len("press 1 made 10\n"):])
	first.gateways, second.gateways = gateways, gateways
	first.span.To, second.span.From = minute(5), minute(5)
	got, _ := reconcile(first)
	b, _ := reconcile(second)
	got.Join(&b)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("joined %+v\nwhole  %+v", got, want)
	}
}

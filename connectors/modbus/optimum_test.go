package modbus

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fits tells by its own reckoning whether one request may read the given
// points: none lies outside of the limits, and no run of unwanted places
// between two of them is longer than the gap.
func fits(points []point, members []int, l limits) bool {
	gap, most := l.of(points[members[0]].table)
	wanted := map[int]bool{}
	low, high := 1<<16, 0
	for _, i := range members {
		p := &points[i]
		if p.table != points[members[0]].table {
			return false
		}
		for at := int(p.start); at < int(p.start)+int(p.count); at++ {
			wanted[at] = true
		}
		low, high = min(low, int(p.start)), max(high, int(p.start)+int(p.count))
	}
	if high-low > most {
		return false
	}
	hole := 0
	for at := low; at < high; at++ {
		if hole++; wanted[at] {
			hole = 0
		}
		if hole > gap {
			return false
		}
	}
	return true
}

// fewest gives the least number of requests by trying every way to share the
// points out; ten points are many.
func fewest(points []point, l limits) int {
	best := len(points)
	var groups [][]int
	var try func(i int)
	try = func(i int) {
		if len(groups) >= best && i < len(points) {
			return
		}
		if i == len(points) {
			for _, g := range groups {
				if !fits(points, g, l) {
					return
				}
			}
			best = min(best, len(groups))
			return
		}
		for g := range groups {
			groups[g] = append(groups[g], i)
			try(i + 1)
			groups[g] = groups[g][:len(groups[g])-1]
		}
		groups = append(groups, []int{i})
		try(i + 1)
		groups = groups[:len(groups)-1]
	}
	try(0)
	return best
}

// minimum gives the least number of requests by dynamic programming over the
// sorted points of each table: the last request holds the last points from some
// place on, and those before it need the minimum of theirs.
func minimum(points []point, l limits) (total int) {
	for _, t := range [...]table{coils, discrete, holding, input} {
		var own []point
		for _, p := range points {
			if p.table == t {
				own = append(own, p)
			}
		}
		slices.SortFunc(own, func(a, b point) int { return int(a.start) - int(b.start) })
		gap, most := l.of(t)
		need := make([]int, len(own)+1)
		for last := 1; last <= len(own); last++ {
			need[last] = last + 1
			for first := last; first >= 1; first-- {
				end := 0
				apart := false
				for i, p := range own[first-1 : last] {
					apart = apart || i > 0 && int(p.start)-end > gap
					end = max(end, int(p.start)+int(p.count))
				}
				if span := end - int(own[first-1].start); span > most {
					if int(own[last-1].start)-int(own[first-1].start) > most {
						break
					}
					continue
				}
				if !apart {
					need[last] = min(need[last], need[first-1]+1)
				}
			}
		}
		total += need[len(own)]
	}
	return total
}

// TestPlanIsOptimal: no way to share signals out needs fewer requests than the
// plan, and the dynamic programming that the benchmark uses finds the same
// minimum as trying all ways.
func TestPlanIsOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{rapid.IntRange(0, 6).Draw(t, "gap"), rapid.IntRange(4, 16).Draw(t, "registers"), rapid.IntRange(1, 100).Draw(t, "bits")}
		points := make([]point, rapid.IntRange(1, 7).Draw(t, "n"))
		for i := range points {
			p := point{table: rapid.SampledFrom([]table{holding, holding, coils}).Draw(t, "table"), count: 1}
			if !p.table.bits() {
				p.count = uint16(rapid.IntRange(1, 4).Draw(t, "count"))
			}
			p.start = uint16(rapid.IntRange(0, 40).Draw(t, "start"))
			points[i] = p
		}
		got, least, dynamic := len(plan(points, l)), fewest(points, l), minimum(points, l)
		if got != least || dynamic != least {
			t.Fatalf("%d requests planned, %d by dynamic programming, at least %d for %+v within %+v", got, dynamic, least, points, l)
		}
	})
}

// layout gives n signals as PLC programs have them: runs of words and floats
// with holes between them, some coils, some texts.
func layout(random *rand.Rand, n int) []point {
	var points []point
	at := map[table]int{}
	for len(points) < n {
		t := holding
		switch random.IntN(10) {
		case 0:
			t = coils
		case 1, 2:
			t = input
		}
		at[t] += random.IntN(4) * random.IntN(12)
		for range 1 + random.IntN(20) {
			p := point{table: t, start: uint16(at[t]), count: 1}
			if !t.bits() {
				p.count = []uint16{1, 1, 1, 2, 2, 4, 10}[random.IntN(7)]
			}
			if at[t] += int(p.count); at[t] >= 1<<16 || len(points) == n {
				break
			}
			points = append(points, p)
			at[t] += random.IntN(2) * random.IntN(4)
		}
	}
	random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	return points
}

// BenchmarkPlan plans 1,000 signals, and holds the number of requests of 50
// such layouts and limits against the least that there can be.
func BenchmarkPlan(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	planned, least, cycles := 0, 0, 0
	for range 50 {
		points := layout(random, 1000)
		for _, l := range []limits{{8, 125, 2000}, {0, 125, 2000}, {8, 32, 256}, {40, 60, 2000}} {
			planned, least, cycles = planned+len(plan(points, l)), least+minimum(points, l), cycles+1
		}
	}
	if planned < least {
		b.Fatalf("%d requests planned although %d are needed", planned, least)
	}
	points := layout(random, 1000)
	b.ReportAllocs()
	for b.Loop() {
		plan(points, limits{8, 125, 2000})
	}
	b.ReportMetric(float64(planned)/float64(cycles), "requests/cycle")
	b.ReportMetric(float64(least)/float64(cycles), "minimum/cycle")
}

package twin

import (
	"context"
	"math"
	"slices"
	"time"

	"linetwin/plant"
)

// trendDays is how many days a KPI's trend shows.
const trendDays = 14

// scoreInput is what the KPIs of one span are computed from.
type scoreInput struct {
	span     plant.Span
	total    plant.Window   // all lines
	passed   plant.Account  // what passed the steps of all lines
	lines    []plant.Window // by line
	machines []machineScore
	alerts   []plant.Alert
}

type machineScore struct {
	m       *machine
	window  plant.Window
	failed  plant.Reliability
	changes int64 // changeovers that ended
	setup   time.Duration
	first   bool // of its line's flow
}

// kpi is one row of the scorecard: what it is, and how it is computed. A nil
// value means that it cannot be; the why says what is missing.
type kpi struct {
	id, unit string
	name     plant.Name
	formula  plant.Name
	weight   float64
	target   float64
	lower    bool // less is better
	missing  plant.Name
	value    func(*scoreInput) (*float64, []plant.Evidence)
}

// Scorecard computes the transformation scorecard over span: our own index,
// never an official maturity level. What no data at hand gives is missing, and
// says what it would take. oee.md 6.
func (t *Twin) Scorecard(ctx context.Context, span plant.Span) (plant.Scorecard, error) {
	span = wholeMinutes(span)
	now := t.now()
	sources := map[*line]source{}
	trendFrom := startOfDay(span.To-1, t.zone).Add(-(trendDays - 1) * 24 * time.Hour)
	for _, l := range t.lines {
		from, err := t.pasts(ctx, l, plant.Span{From: min(span.From, trendFrom), To: span.To})
		if err != nil {
			return plant.Scorecard{}, err
		}
		sources[l] = from
	}
	alerts, err := t.Alerts(ctx, span, false)
	if err != nil {
		return plant.Scorecard{}, err
	}
	whole := t.scoreInput(sources, span, now)
	whole.alerts = alerts
	var days []*scoreInput
	for at := trendFrom; at < span.To; {
		next := startOfDay(at.Add(36*time.Hour), t.zone)
		days = append(days, t.scoreInput(sources, plant.Span{From: at, To: min(next, span.To)}, now))
		at = next
	}
	sc := plant.Scorecard{Span: span}
	for _, d := range scorecardDomains() {
		sc.Domains = append(sc.Domains, d.score(whole, days))
	}
	return sc, nil
}

func (t *Twin) scoreInput(sources map[*line]source, span plant.Span, now plant.Time) *scoreInput {
	in := &scoreInput{span: span}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, l := range t.lines {
		from := sources[l]
		cut := plant.Span{From: span.From, To: min(span.To, l.known(now, t.cfg.LateAfter))}
		w := l.windowFrom(from, cut)
		in.lines = append(in.lines, w)
		in.total.Add(w)
		for i, m := range l.machines {
			ms := machineScore{m: m, window: m.windowFrom(from, cut), first: i == 0}
			ms.failed = m.failures(from, cut, ms.window.Run)
			var a plant.Account
			m.changeovers(from, cut, &a)
			for _, c := range a.Changeovers {
				ms.changes, ms.setup = ms.changes+c.Ended, ms.setup+c.Time
			}
			if at := l.stepOf(m.cfg.ID); at >= 0 {
				in.passed.AddStep(plant.StepCount{Line: l.cfg.ID, Place: at + 1, Machines: l.steps[at].ids(), Good: ms.window.Good, Reject: ms.window.Reject})
			}
			in.machines = append(in.machines, ms)
		}
	}
	return in
}

type domain struct {
	id   string
	name plant.Name
	kpis []kpi
}

func (d *domain) score(whole *scoreInput, days []*scoreInput) plant.Domain {
	out := plant.Domain{ID: d.id, Name: d.name, KPIs: []plant.KPI{}}
	var weight, have, sum float64
	for _, k := range d.kpis {
		row := plant.KPI{ID: k.id, Name: k.name, Unit: k.unit, Weight: k.weight, Formula: k.formula, Source: "missing", Why: k.missing,
			Evidence: []plant.Evidence{}, Trend: []*float64{}}
		target := k.target
		row.Target = &target
		weight += k.weight
		if k.value != nil {
			v, evidence := k.value(whole)
			row.Evidence = append(row.Evidence, evidence...)
			for _, day := range days {
				dv, _ := k.value(day)
				row.Trend = append(row.Trend, dv)
			}
			if v != nil {
				row.Source, row.Why, row.Value = "measured", plant.Name{}, v
				s := k.points(*v)
				row.Score = &s
				have += k.weight
				sum += k.weight * s
			}
		}
		out.KPIs = append(out.KPIs, row)
	}
	if have > 0 {
		index := sum / have
		out.Index = &index
	}
	out.Share = have / weight
	return out
}

// points gives 0 to 100: linear up to the target, or target over value where
// less is better.
func (k *kpi) points(v float64) float64 {
	switch {
	case k.lower && v <= k.target:
		return 100
	case k.lower:
		return 100 * k.target / v
	default:
		return math.Max(0, math.Min(100, 100*v/k.target))
	}
}

func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func per(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	return number(a / b)
}

func percent(a, b float64) *float64 {
	if p := per(a, b); p != nil {
		return number(*p * 100)
	}
	return nil
}

func fact(en, zh string, v float64, unit string) plant.Evidence {
	return plant.Evidence{Name: plant.Name{En: en, Zh: zh}, Value: &v, Unit: unit}
}

func productionKPIs() []kpi {
	return []kpi{
		{id: "oee", unit: "%", weight: 3, target: 85, name: plant.Name{En: "OEE", Zh: "设备综合效率 (OEE)"},
			formula: plant.Name{En: "sum of ideal cycle × good ÷ known planned time, all lines", Zh: "Σ(理论节拍 × 合格数) ÷ 已知计划时间（全部产线）"},
			missing: plant.Name{En: "no planned time with data in this period", Zh: "该时段没有带数据的计划时间"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				w := &in.total
				return percent(w.IdealGood.Seconds(), w.Known().Seconds()), []plant.Evidence{
					fact("fully productive time", "完全有效时间", w.IdealGood.Hours(), "h"),
					fact("known planned time", "已知计划时间", w.Known().Hours(), "h"),
					fact("unknown time", "未知时间", w.Unknown.Hours(), "h"),
					fact("good pieces", "合格件数", float64(w.Good), "")}
			}},
		{id: "teep", unit: "%", weight: 1, target: 65, name: plant.Name{En: "TEEP", Zh: "设备完全有效生产率 (TEEP)"},
			formula: plant.Name{En: "sum of ideal cycle × good ÷ (all time − unknown)", Zh: "Σ(理论节拍 × 合格数) ÷（全部时间 − 未知时间）"},
			missing: plant.Name{En: "no data in this period", Zh: "该时段没有数据"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				w := &in.total
				if w.Known() == 0 {
					return nil, nil
				}
				all := w.All() - w.Unknown
				return percent(w.IdealGood.Seconds(), all.Seconds()), []plant.Evidence{
					fact("fully productive time", "完全有效时间", w.IdealGood.Hours(), "h"), fact("time", "时间", all.Hours(), "h")}
			}},
		{id: "data", unit: "%", weight: 2, target: 100, name: plant.Name{En: "Machines with data ≥ 95 % of planned time", Zh: "数据覆盖计划时间 ≥95% 的设备"},
			formula: plant.Name{En: "machines whose coverage is at least 95 % ÷ machines in the register", Zh: "数据覆盖率 ≥95% 的设备数 ÷ 登记设备数"},
			missing: plant.Name{En: "no machine is registered", Zh: "没有登记设备"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				var ok, all float64
				for _, m := range in.machines {
					all++
					if p := m.window.Planned(); p > 0 && m.window.Known().Seconds() >= 0.95*p.Seconds() {
						ok++
					}
				}
				return percent(ok, all), []plant.Evidence{fact("machines with data", "有数据的设备", ok, ""), fact("machines in the register", "登记设备", all, "")}
			}},
		{id: "captured", unit: "%", weight: 2, target: 100, name: plant.Name{En: "Counts and states captured automatically", Zh: "产量与状态自动采集率"},
			formula: plant.Name{En: "machines with a state and a piece counter signal ÷ machines in the register", Zh: "具备状态与计数信号的设备数 ÷ 登记设备数"},
			missing: plant.Name{En: "no machine is registered", Zh: "没有登记设备"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				var ok, all float64
				for _, m := range in.machines {
					all++
					r := m.m.cfg.Roles
					if r[plant.RoleState] != "" && (r[plant.RoleGood] != "" || r[plant.RoleTotal] != "") {
						ok++
					}
				}
				return percent(ok, all), []plant.Evidence{fact("machines captured", "自动采集设备", ok, ""), fact("machines in the register", "登记设备", all, "")}
			}},
		{id: "changeover", unit: "min", weight: 1, target: 15, lower: true, name: plant.Name{En: "Changeover time (mean)", Zh: "平均换型时间"},
			formula: plant.Name{En: "time of the bottlenecks' changeovers ÷ their number", Zh: "瓶颈设备换型时间 ÷ 换型次数"},
			missing: plant.Name{En: "no changeover ended in this period", Zh: "该时段没有完成的换型"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				var n int64
				var d time.Duration
				for _, m := range in.machines {
					if slices.Contains(m.m.line.neck, m.m) {
						n, d = n+m.changes, d+m.setup
					}
				}
				return per(d.Minutes(), float64(n)), []plant.Evidence{fact("changeovers", "换型次数", float64(n), ""), fact("time", "时间", d.Minutes(), "min")}
			}},
		{id: "mtbf", unit: "h", weight: 1, target: 8, name: plant.Name{En: "MTBF", Zh: "平均故障间隔 (MTBF)"},
			formula: plant.Name{En: "run time ÷ failures (stops of the machine itself over the threshold), all machines", Zh: "运行时间 ÷ 故障次数（超过阈值的自身停机），全部设备"},
			missing: plant.Name{En: "no failure in this period", Zh: "该时段没有故障"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				r := in.failures()
				return per(r.Operating.Hours(), float64(r.Failures)), []plant.Evidence{fact("run time", "运行时间", r.Operating.Hours(), "h"), fact("failures", "故障次数", float64(r.Failures), "")}
			}},
		{id: "mttr", unit: "min", weight: 1, target: 5, lower: true, name: plant.Name{En: "MTTR", Zh: "平均修复时间 (MTTR)"},
			formula: plant.Name{En: "time of restored failures ÷ their number, all machines", Zh: "已修复故障时间 ÷ 次数，全部设备"},
			missing: plant.Name{En: "no failure was restored in this period", Zh: "该时段没有已修复的故障"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				r := in.failures()
				return per(r.Restoring.Minutes(), float64(r.Restored)), []plant.Evidence{fact("time", "时间", r.Restoring.Minutes(), "min"), fact("failures restored", "已修复故障", float64(r.Restored), "")}
			}},
		{id: "adherence", unit: "%", weight: 1, target: 95, name: plant.Name{En: "Schedule adherence", Zh: "计划达成率"},
			formula: plant.Name{En: "orders finished as planned ÷ orders planned", Zh: "按计划完成的工单 ÷ 计划工单"},
			missing: plant.Name{En: "no orders are entered", Zh: "没有录入工单"}},
		{id: "energy", unit: "kWh", weight: 1, target: 20, lower: true, name: plant.Name{En: "Energy per 1000 pieces", Zh: "千件能耗"},
			formula: plant.Name{En: "energy ÷ good pieces × 1000", Zh: "能耗 ÷ 合格件数 × 1000"},
			missing: plant.Name{En: "energy counters are read but not yet summed over a period", Zh: "已采集电能读数，尚未按时段汇总"}},
	}
}

func (in *scoreInput) failures() (sum plant.Reliability) {
	for _, m := range in.machines {
		sum.Add(m.failed)
	}
	return sum
}

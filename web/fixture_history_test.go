package web

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"linetwin/plant"
)

func find(line string) (lineSeed, error) {
	for _, s := range lineSeeds() {
		if s.id == line {
			return s, nil
		}
	}
	return lineSeed{}, fmt.Errorf("line %s: %w", line, plant.ErrNotFound)
}

func (f *fixture) Figures(_ context.Context, line string, span plant.Span, by string) ([]plant.Figures, error) {
	seed, err := find(line)
	if err != nil {
		return nil, err
	}
	if by != "hour" {
		w := figures(span, max(seed.pace, 0.5))
		if by == "product" {
			w.Product = seed.product.ID
		}
		return []plant.Figures{w}, nil
	}
	var out []plant.Figures
	for t := span.From; t < span.To; t = t.Add(time.Hour) {
		out = append(out, figures(plant.Span{From: t, To: min(t.Add(time.Hour), span.To)}, max(seed.pace, 0.5)))
	}
	return out, nil
}

// history gives a machine's segments: always the same ones for a name and
// span, ending in what the machine does now.
func history(m plant.MachineSnapshot, span plant.Span) []plant.Segment {
	h := fnv.New64a()
	_, _ = h.Write([]byte(m.ID))
	x := h.Sum64() | 1
	next := func(n uint64) uint64 { x ^= x << 13; x ^= x >> 7; x ^= x << 17; return x % n }
	var out []plant.Segment
	classes := []plant.Class{plant.ClassStop, plant.ClassStarved, plant.ClassBlocked, plant.ClassStop, plant.ClassChangeover, plant.ClassStarved}
	for t := span.From; t < m.Since; {
		run := min(t.Add(time.Duration(8+next(40))*time.Minute), m.Since)
		out = append(out, plant.Segment{Machine: m.ID, Span: plant.Span{From: t, To: run}, Class: plant.ClassRun, State: plant.StateExecute})
		c := classes[next(uint64(len(classes)))]
		end := min(run.Add(time.Duration(20+next(600))*time.Second), m.Since)
		s := plant.Segment{Machine: m.ID, Span: plant.Span{From: run, To: end}, Class: c, State: plant.StateHeld}
		if c == plant.ClassStop {
			s.Fault = "E-0104 no part at feeder"
		}
		if next(5) != 0 && end > run { // else time that nobody knows
			out = append(out, s)
		}
		t = end
	}
	return append(out, plant.Segment{Machine: m.ID, Span: plant.Span{From: m.Since, To: m.Through}, Class: m.Class, State: m.State, Fault: m.Fault, Open: true})
}

func (f *fixture) Timeline(_ context.Context, line string, span plant.Span) (plant.Timeline, error) {
	seed, err := find(line)
	if err != nil {
		return plant.Timeline{}, err
	}
	l := f.line(seed, f.clock())
	t := plant.Timeline{Span: span}
	if l.Shift != nil {
		t.Shifts = []plant.ShiftInstance{*l.Shift}
	}
	for _, m := range l.Machines {
		t.Machines = append(t.Machines, plant.MachineTimeline{Machine: m.ID, Name: m.Name, Segments: history(m, span)})
	}
	return t, nil
}

func (f *fixture) Stops(_ context.Context, line string, span plant.Span) ([]plant.Stop, error) {
	t, err := f.Timeline(context.Background(), line, span)
	if err != nil {
		return nil, err
	}
	var out []plant.Stop
	for _, m := range t.Machines {
		for _, s := range m.Segments {
			if s.Class.Down() {
				out = append(out, plant.Stop{ID: m.Machine + "@" + s.From.String(), Line: line, Machine: m.Machine, Span: s.Span, Open: s.Open, Class: s.Class,
					Small: s.Length() < 2*time.Minute, Fault: s.Fault})
			}
		}
	}
	return out, nil
}

func (f *fixture) Signals(machine string) ([]plant.SignalNow, error) {
	known := false
	for _, seed := range lineSeeds() {
		known = known || slices.ContainsFunc(seed.machines, func(m machineSeed) bool { return m.id == machine })
	}
	if !known {
		return nil, fmt.Errorf("machine %s: %w", machine, plant.ErrNotFound)
	}
	now := f.clock()
	s := func(n string, k plant.Kind, unit string, role plant.Role, v plant.Value) plant.SignalNow {
		return plant.SignalNow{Signal: plant.Signal{Name: n, Kind: k, Unit: unit}, Machine: machine, Role: role, Value: v, Time: now.Add(-300 * time.Millisecond), Through: now, State: "good"}
	}
	out := []plant.SignalNow{
		s("temperature", plant.KindFloat, "°C", "", plant.Float(math.Round(wave(now)*10)/10)),
		s("force", plant.KindFloat, "kN", "", plant.Float(math.Round((4.2+math.Sin(float64(now)/3e9))*100)/100)),
		s("good", plant.KindInteger, "", plant.RoleGood, plant.Integer(int64(now/1e9)%100000)),
		s("speed", plant.KindFloat, "1/min", plant.RoleSpeed, plant.Float(32.8)),
		s("state", plant.KindInteger, "", plant.RoleState, plant.Integer(6)),
		s("fault", plant.KindText, "", plant.RoleFault, plant.Text("feeder jam")),
		s("door_closed", plant.KindBoolean, "", "", plant.Boolean(true)),
		s("pressure", plant.KindFloat, "bar", "", plant.Value{}), s("vibration", plant.KindFloat, "mm/s", "", plant.Float(1.1)), s("energy", plant.KindFloat, "kWh", plant.RoleEnergy, plant.Value{}),
	}
	out[7].State, out[7].Quality, out[7].Reason = "bad", plant.Bad, "illegal data address (2)"
	out[8].State, out[8].Through = "stale", now.Add(-41*time.Second)
	out[9].State, out[9].Time = "never", 0
	return out, nil
}

func wave(t plant.Time) float64 {
	x := float64(t) / 1e9
	return 86 + 6*math.Sin(x/600) + 1.5*math.Sin(x/37) + 0.4*math.Sin(x/3.1)
}

func (f *fixture) Readings(_ context.Context, machine, signal string, span plant.Span, points int) ([]plant.Bucket, error) {
	signals, err := f.Signals(machine)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(signals, func(s plant.SignalNow) bool { return s.Name == signal }) {
		return nil, fmt.Errorf("signal %s of %s: %w", signal, machine, plant.ErrNotFound)
	}
	var out []plant.Bucket
	step := span.Length() / time.Duration(points)
	for i := 0; i < points; i++ {
		b := plant.Bucket{Span: plant.Span{From: span.From.Add(time.Duration(i) * step), To: span.From.Add(time.Duration(i+1) * step)}}
		if i > points*45/100 && i < points*52/100 {
			b.Bad = 12
		} else {
			v := wave(b.From)
			b.Count, b.Min, b.Max, b.Mean, b.Last = 18, ptr(v-1), ptr(v+1), ptr(v), plant.Float(v)
		}
		out = append(out, b)
	}
	return out, nil
}

func (f *fixture) alerts(now plant.Time) []plant.Alert {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []plant.Alert{
		{ID: "feeder-jam/a-riveting/1", Rule: "machine-stopped", Severity: plant.SeverityHigh, State: plant.AlertUnacknowledged, Line: "mcb-a", Machine: "a-riveting",
			Message: name("Riveting stopped for 12 min: feeder jam", "铆接停机 12 分钟：送料卡滞"), Since: now.Add(-726 * time.Second), Fired: now.Add(-666 * time.Second), Count: 1},
		{ID: "resistance-drift/a-trip-test/1", Rule: "resistance-drift", Severity: plant.SeverityMedium, State: plant.AlertUnacknowledged, Quality: true, Line: "mcb-a", Machine: "a-trip-test", Signal: "resistance",
			Message: name("Contact resistance drifts up (EWMA)", "接触电阻呈上升漂移 (EWMA)"), Value: ptr(4.31), Unit: "mΩ", Limit: ptr(4.25), Since: now.Add(-3 * time.Hour), Fired: now.Add(-3 * time.Hour), Count: 41},
		{ID: "temp/a-welding/1", Rule: "temperature-high", Severity: plant.SeverityLow, State: plant.AlertReturnedUnacknowledged, Line: "mcb-a", Machine: "a-welding", Signal: "temperature",
			Message: name("Electrode temperature was above 92 °C", "电极温度曾高于 92 °C"), Value: ptr(93.4), Unit: "°C", Limit: ptr(92.0), Since: now.Add(-50 * time.Minute), Fired: now.Add(-49 * time.Minute), Returned: now.Add(-44 * time.Minute), Count: 3},
		{ID: "gateway-away/edge-2/1", Rule: "gateway-away", Severity: plant.SeverityHigh, State: plant.AlertAcknowledged, Line: "mcb-d",
			Message: name("Gateway edge-2 is away", "网关 edge-2 已断开"), Since: now.Add(-17 * time.Minute), Fired: now.Add(-17 * time.Minute), Acked: now.Add(-11 * time.Minute), AckedBy: "li.wei", Count: 1},
	}
	for i := range out {
		if by, ok := f.acked[out[i].ID]; ok {
			out[i].State, out[i].Acked, out[i].AckedBy = plant.AlertAcknowledged, now, by
		}
	}
	return out
}

func (f *fixture) Alerts(_ context.Context, _ plant.Span, openOnly bool) ([]plant.Alert, error) {
	out := f.alerts(f.clock())
	if !openOnly {
		out = append(out, plant.Alert{ID: "old", Rule: "machine-stopped", Severity: plant.SeverityLow, State: plant.AlertNormal, Message: name("Was short", "短暂停机")})
	}
	return out, nil
}

func (f *fixture) Acknowledge(_ context.Context, id, who string) (plant.Alert, error) {
	now := f.clock()
	for _, a := range f.alerts(now) {
		if a.ID == id {
			f.mu.Lock()
			f.acked[id] = who
			f.mu.Unlock()
			a.State, a.Acked, a.AckedBy = plant.AlertAcknowledged, now, who
			f.send(plant.Change{Alert: &a})
			return a, nil
		}
	}
	return plant.Alert{}, fmt.Errorf("alert %s: %w", id, plant.ErrNotFound)
}

func (f *fixture) gateways(now plant.Time) []plant.GatewayLive {
	device := func(m, protocol, endpoint string, link plant.Link, reason string) plant.DeviceStatus {
		d := plant.DeviceStatus{Machine: m, Protocol: protocol, Endpoint: endpoint, Link: link, Reason: reason, Since: now.Add(-3 * time.Hour), LastData: now.Add(-200 * time.Millisecond),
			Signals: 12, Rounds: 53211, EveryMs: 200, RoundMs: 4, Connects: 1}
		if link != plant.LinkFlowing {
			d.Since, d.LastData, d.NextTry, d.BadNow, d.Failures = now.Add(-41*time.Second), now.Add(-41*time.Second), now.Add(4*time.Second), 12, 31
		}
		return d
	}
	one := plant.GatewayLive{GatewayStatus: plant.GatewayStatus{Area: "assembly", Gateway: "edge-1", Version: "1.2.0", Time: now, Started: now.Add(-70 * time.Hour),
		Made: 9312004, Read: 51200311, Stored: 9311992, Waiting: 12, BufferBytes: 81920, BufferMax: 1 << 30, OldestWaits: now.Add(-300 * time.Millisecond), LastSequence: 731002,
		Devices: []plant.DeviceStatus{
			device("a-assembly", "modbus", "tcp://10.0.4.11:502 unit 1", plant.LinkFlowing, ""), device("a-riveting", "modbus", "tcp://10.0.4.13:502 unit 1", plant.LinkFlowing, ""),
			device("a-calibration", "opcua", "opc.tcp://10.0.4.14:4840", plant.LinkFlowing, ""),
			device("b-packing", "opcua", "opc.tcp://10.0.4.26:4840", plant.LinkStale, "BadNodeIdUnknown after the server restarted; resolving again"),
			device("press-1", "modbus", "rtu:///dev/serial/by-id/usb-FTDI_FT232R?baud=19200&parity=even unit 3", plant.LinkConnecting, "no answer within 500 ms"),
		}}, Online: true, Since: now.Add(-70 * time.Hour), LastSeen: now.Add(-200 * time.Millisecond), LagMs: ptr(int64(412)), ClockMs: ptr(int64(3)), MadeRate: 1204.2, StoredRate: 1203.8}
	two := plant.GatewayLive{GatewayStatus: plant.GatewayStatus{Area: "assembly", Gateway: "edge-2", Version: "1.1.4", Time: now.Add(-17 * time.Minute), Started: now.Add(-9 * time.Hour),
		Made: 412000, Read: 880000, Stored: 393588, Waiting: 18412, Dropped: 7, DroppedSpan: plant.Span{From: now.Add(-2 * time.Hour), To: now.Add(-119 * time.Minute)}, BufferBytes: 700 << 20, BufferMax: 1 << 30, BufferError: "disk full", SettingsError: "gateway.yaml:9:5: devices[0].every: found 5ms, allowed: 10ms to 1h0m0s",
		Devices: []plant.DeviceStatus{device("d-calibration", "opcua", "opc.tcp://10.0.5.14:4840", plant.LinkDown, "connection refused")}},
		Since: now.Add(-17 * time.Minute), LastSeen: now.Add(-17 * time.Minute), Gaps: 2}
	calibration := &one.Devices[2]
	calibration.Skipped = 1204
	calibration.Groups = []plant.GroupStatus{{Signals: 9, EveryMs: 200, LastData: now}, {Name: "slow", Signals: 3, EveryMs: 5000, Stale: true, LastData: now.Add(-64 * time.Second)}}
	calibration.Notes = []string{"deadband applied by the gateway, because the server does not (BadFilterNotAllowed): temperature"}
	box := func(host, address, installation string) plant.Identity {
		return plant.Identity{Installation: installation, Start: 7, Host: host, Address: address}
	}
	one.Identity = box("box-4", "10.0.4.2", "K7QX2MZ4PLSD3VTN")
	one.Replaced = &plant.Replaced{At: now.Add(-70 * time.Hour), Before: box("box-1", "10.0.4.2", "T3AA9WLXKE6JQ2RM"), Waiting: 412}
	one.Shared = []plant.Shared{{Machine: "press-1", Area: "press", Gateway: "edge-9", Since: now.Add(-4 * time.Minute)}}
	two.Identity = box("box-5", "10.0.5.2", "A6HH4QPLZX8MK2WE")
	two.Rivals = &plant.Rivals{Since: now.Add(-25 * time.Minute), Last: now.Add(-17 * time.Minute), Turns: 61, Here: two.Identity, Other: box("box-6", "10.0.5.3", "A6HH4QPLZX8MK2WE")}
	two.Dropouts = []plant.Gap{
		{Machine: "d-calibration", Span: plant.Span{From: now.Add(-2 * time.Hour), To: now.Add(-119 * time.Minute)}, Readings: 5},
		{Span: plant.Span{From: now.Add(-26 * time.Hour), To: now.Add(-25 * time.Hour)}, Readings: 2},
	}
	hour := plant.Span{From: now.Floor(time.Minute).Add(-time.Hour), To: now.Floor(time.Minute)}
	one.Audit = &plant.GatewayAudit{At: now.Add(-4 * time.Minute), Span: hour, AuditSums: plant.AuditSums{Made: 4334400, Repeated: 31, Stored: 4334369}}
	two.Audit = &plant.GatewayAudit{At: now.Add(-4 * time.Minute), Span: hour, AuditSums: plant.AuditSums{Made: 188210, Stored: 188190, Waiting: 12, Dropped: 7, Unexplained: 1}}
	three := plant.GatewayLive{GatewayStatus: plant.GatewayStatus{Area: "assembly", Gateway: "ignition-7"}, Online: true, Foreign: true, Since: now.Add(-time.Hour), LastSeen: now.Add(-time.Second), MadeRate: 3.5}
	return []plant.GatewayLive{one, two, three}
}

func (f *fixture) Audit(_ context.Context, span plant.Span, gateway string) (plant.Audit, error) {
	if gateway != "" && gateway != "edge-2" {
		return plant.Audit{}, fmt.Errorf("gateway %s: %w", gateway, plant.ErrNotFound)
	}
	sums := plant.AuditSums{Made: 600, Stored: 593, Dropped: 7}
	return plant.Audit{Span: span, Sums: sums, Gateways: []plant.AuditGateway{{Area: "assembly", Gateway: "edge-2", Counted: span}},
		Differences: []plant.AuditDifference{{Machine: "d-calibration", Gateways: []string{"assembly/edge-2"}, Span: span, AuditSums: sums}}, Gaps: []plant.GatewayGap{}}, nil
}

func (f *fixture) Scorecard(_ context.Context, span plant.Span) (plant.Scorecard, error) {
	trend := func(base float64) []*float64 {
		var out []*float64
		for i := 0; i < 7; i++ {
			out = append(out, ptr(base+3*math.Sin(float64(i)+base)))
		}
		out[2] = nil
		return out
	}
	kpi := func(id, en, zh, unit, source string, value, target, score float64) plant.KPI {
		k := plant.KPI{ID: id, Name: name(en, zh), Unit: unit, Source: source, Weight: 1, Target: ptr(target),
			Formula: name("minutes run / minutes planned", "开动分钟数 / 计划分钟数"), Evidence: []plant.Evidence{{Name: name("Minutes run", "开动分钟数"), Value: ptr(2411.0), Unit: "min"}, {Name: name("Minutes planned", "计划分钟数"), Value: ptr(3100.0), Unit: "min"}}}
		if source == "missing" {
			k.Why = name("LineTwin has no source for this yet: enter it under Settings", "LineTwin 尚无此数据来源：请在设置中填报")
			return k
		}
		k.Value, k.Score, k.Trend = ptr(value), ptr(score), trend(value)
		return k
	}
	return plant.Scorecard{Span: span, Domains: []plant.Domain{
		{ID: "rd", Name: name("R&D design", "研发设计"), Share: 0.25, Index: ptr(42.0), KPIs: []plant.KPI{
			kpi("cpk", "Characteristics with Cpk ≥ 1.33", "Cpk ≥ 1.33 的特性占比", "%", "measured", 66.7, 90, 42), kpi("change", "Engineering change to first piece", "设计变更到首件时间", "h", "missing", 0, 24, 0),
			kpi("download", "Parameter sets downloaded automatically", "参数自动下发占比", "%", "missing", 0, 80, 0)}},
		{ID: "production", Name: name("Production", "生产制造"), Share: 1, Index: ptr(71.3), KPIs: []plant.KPI{
			kpi("connected", "Machines with data ≥ 95 % of planned time", "数据覆盖率 ≥ 95 % 的设备占比", "%", "measured", 88.5, 95, 86), kpi("oee", "OEE", "设备综合效率 (OEE)", "%", "measured", 77.9, 85, 79),
			kpi("changeover", "Changeover time", "换型时间", "min", "measured", 31.4, 20, 55), kpi("mtbf", "MTBF", "平均故障间隔", "h", "measured", 6.2, 8, 74), kpi("energy", "Energy per 1000 pieces", "千件能耗", "kWh", "entered", 41.0, 38, 70)}},
		{ID: "quality", Name: name("Quality", "质量管控"), Share: 0.8, Index: ptr(83.0), KPIs: []plant.KPI{
			kpi("fpy", "First-pass yield", "一次合格率", "%", "measured", 97.8, 98.5, 88), kpi("spc", "Critical characteristics under SPC", "关键特性 SPC 覆盖率", "%", "entered", 70, 100, 70)}},
		{ID: "logistics", Name: name("Logistics", "物流"), Share: 0.5, Index: ptr(58.0), KPIs: []plant.KPI{
			kpi("starved", "Minutes starved per shift", "每班待料时间", "min", "measured", 34, 15, 44), kpi("otif", "On time in full", "准时足量交付率", "%", "missing", 0, 95, 0)}},
		{ID: "warehousing", Name: name("Warehousing", "仓储"), Share: 0, KPIs: []plant.KPI{kpi("turns", "Inventory turns", "库存周转次数", "", "missing", 0, 12, 0), kpi("accuracy", "Record accuracy", "账实相符率", "%", "missing", 0, 99.5, 0)}},
	}}, nil
}

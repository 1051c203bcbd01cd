package simulator

import "math"

// none is a limit that is not there.
func none() float64 { return math.NaN() }

// cycles gives the best cycles in ms of line A's two products: C32 takes an
// eighth longer, for its thicker wire.
func cycles(ms int64) [products]int64 { return [products]int64{c16: ms, c32: ms + ms/8} }

// jams are the usual ways to fail: many short ones, few long ones. base is the
// first of the machine's fault codes.
func jams(base int64) []faultPlan {
	return []faultPlan{
		{base + 1, 0.52, 22, 0.5},  // feeder jam
		{base + 2, 0.30, 40, 0.5},  // part misplaced
		{base + 3, 0.13, 150, 0.4}, // sensor or gripper
		{base + 4, 0.05, 480, 0.4}, // drive or tool failure
	}
}

func lineA() []machinePlan {
	return []machinePlan{
		{id: "a-assembly", en: "Coil and arc chute assembly", zh: "线圈与灭弧室装配", cycle: cycles(1600), mtbf: 1500, micro: 1500, setup: 4,
			reject: .004, faults: jams(100), power: 2.2, protocol: modbusTCP, port: 0, unit: 2, layout: layoutCDAB(),
			measure: measurePlan{signal: "spring_force", unit: "N", en: "Spring force", zh: "弹簧力", mean: 12, sigma: .35, lsl: 10.5, usl: 13.5, each: 10, decimals: 100}},
		{id: "a-welding", en: "Bimetal welding", zh: "双金属焊接", cycle: cycles(1700), buffer: 60, mtbf: 1800, setup: 3,
			reject: .005, faults: jams(200), power: 9.5, protocol: opcUA, namespace: namespaceA, prefix: "Welding.",
			measure: measurePlan{signal: "weld_energy", unit: "J", en: "Weld energy", zh: "焊接能量", mean: 54, sigma: 1.6, lsl: 46, usl: 62, each: 10, decimals: 10}},
		{id: "a-riveting", en: "Riveting", zh: "铆接", cycle: cycles(1700), buffer: 60, mtbf: 1700, setup: 3,
			reject: .003, faults: jams(300), power: 3.1, protocol: modbusTCP, port: 0, unit: 1, layout: layoutCDAB(),
			measure: measurePlan{signal: "rivet_force", unit: "kN", en: "Rivet force", zh: "铆接力", mean: 3.2, sigma: .08, lsl: 2.8, usl: 3.6, each: 10, decimals: 1000}},
		{id: "a-calibration", en: "Thermal calibration", zh: "热校准", cycle: cycles(1830), buffer: 80, mtbf: 2400, setup: 8,
			reject: .008, faults: jams(400), power: 12, protocol: opcUA, namespace: namespacePlant, prefix: "A.Calibration.", extra: "lot",
			measure: measurePlan{signal: "trip_time", unit: "s", en: "Trip time at 2.55 In", zh: "2.55 In 脱扣时间", mean: math.Log(12), sigma: .35, log: true, lsl: 1, usl: 60, each: 1, cavities: 12, decimals: 100}},
		{id: "a-trip-test", en: "Instantaneous trip test", zh: "瞬时脱扣测试", cycle: cycles(1700), buffer: 80, mtbf: 2600, setup: 3,
			reject: .004, faults: jams(500), power: 4.4, protocol: opcUA, namespace: namespaceA, prefix: "TripTest.",
			measure: measurePlan{signal: "trip_current", unit: "In", en: "Trip current", zh: "脱扣电流", mean: 7.2, sigma: .42, lsl: 5, usl: 10, each: 1, decimals: 100}},
		{id: "a-delay-test", en: "Delay test", zh: "延时测试", cycle: cycles(1700), buffer: 60, mtbf: 3000, setup: 3,
			reject: .004, faults: jams(600), power: 5.2, protocol: modbusTCP, port: 1, unit: 1, layout: layoutInput(),
			measure: measurePlan{signal: "delay_time", unit: "s", en: "Delay at 1.45 In", zh: "1.45 In 延时", mean: math.Log(38), sigma: .25, log: true, lsl: 8, usl: 180, each: 2, cavities: 10, decimals: 10}},
		{id: "a-dielectric", en: "Dielectric test", zh: "耐压测试", cycle: cycles(1600), buffer: 60, mtbf: 3200, setup: 4,
			reject: .003, faults: jams(700), power: 1.8, protocol: opcUA, namespace: namespaceA, prefix: "Dielectric.",
			measure: measurePlan{signal: "leakage", unit: "mA", en: "Leakage current", zh: "泄漏电流", mean: .42, sigma: .09, lsl: none(), usl: 1, each: 1, decimals: 1000}},
		{id: "a-resistance", en: "Contact resistance test", zh: "接触电阻测试", cycle: cycles(1500), buffer: 60, mtbf: 3600, setup: 4,
			reject: .003, faults: jams(800), power: .9, protocol: modbusTCP, port: 2, unit: 1, layout: layoutABCD(),
			measure: measurePlan{signal: "resistance", unit: "mOhm", en: "Contact resistance", zh: "接触电阻", mean: 1.9, sigma: .12, lsl: none(), usl: 2.6, each: 2, decimals: 1000}},
		{id: "a-marking", en: "Laser marking", zh: "激光打标", cycle: cycles(1600), buffer: 60, mtbf: 3400, setup: 3,
			reject: .003, faults: jams(900), power: 2.6, protocol: modbusTCP, port: 3, unit: 1, layout: layoutHoles(),
			measure: measurePlan{signal: "vision_score", unit: "%", en: "Vision score", zh: "视觉评分", mean: 95, sigma: 1.2, lsl: 88, usl: none(), each: 5, decimals: 10}},
		{id: "a-packing", en: "Packing", zh: "包装", cycle: cycles(1500), buffer: 80, mtbf: 3000, micro: 1300, setup: 4,
			reject: .001, faults: jams(1000), power: 1.4, protocol: opcUA, namespace: namespaceA, prefix: "Packing.", extra: "boxes",
			measure: measurePlan{signal: "box_weight", unit: "g", en: "Box weight", zh: "箱重", mean: 1450, sigma: 9, lsl: 1400, usl: 1500, each: 12, decimals: 1}},
	}
}

func lineB() []machinePlan {
	one := func(ms int64) [products]int64 { return [products]int64{d63: ms} }
	return []machinePlan{
		{id: "b-assembly", en: "Coil and arc chute assembly", zh: "线圈与灭弧室装配", cycle: one(2100), mtbf: 1600, micro: 1400, setup: 4,
			reject: .005, faults: jams(100), power: 2.4, protocol: opcUA, namespace: namespaceB, prefix: "Assembly.",
			measure: measurePlan{signal: "spring_force", unit: "N", en: "Spring force", zh: "弹簧力", mean: 12.2, sigma: .36, lsl: 10.5, usl: 13.5, each: 10, decimals: 100}},
		{id: "b-welding", en: "Bimetal welding", zh: "双金属焊接", cycle: one(2200), buffer: 50, mtbf: 1500, setup: 3,
			reject: .006, faults: jams(200), power: 10.5, protocol: modbusTCP, port: 4, unit: 1, layout: layoutCDAB(),
			measure: measurePlan{signal: "weld_energy", unit: "J", en: "Weld energy", zh: "焊接能量", mean: 57, sigma: 1.7, lsl: 46, usl: 66, each: 10, decimals: 10}},
		{id: "b-calibration", en: "Thermal calibration", zh: "热校准", cycle: one(2400), buffer: 60, mtbf: 2000, setup: 8,
			reject: .010, faults: jams(400), power: 13, protocol: opcUA, namespace: namespaceB, prefix: "Calibration.", extra: "lot",
			measure: measurePlan{signal: "trip_time", unit: "s", en: "Trip time at 2.55 In", zh: "2.55 In 脱扣时间", mean: math.Log(21), sigma: .33, log: true, lsl: 1, usl: 120, each: 1, cavities: 12, decimals: 100}},
		{id: "b-trip-test", en: "Instantaneous trip test", zh: "瞬时脱扣测试", cycle: one(2200), buffer: 60, mtbf: 2400, setup: 3,
			reject: .005, faults: jams(500), power: 4.8, protocol: modbusTCP, port: 4, unit: 2, layout: layoutBADC(),
			measure: measurePlan{signal: "trip_current", unit: "In", en: "Trip current", zh: "脱扣电流", mean: 14.5, sigma: .9, lsl: 10, usl: 20, each: 1, decimals: 100}},
		{id: "b-dielectric", en: "Dielectric test", zh: "耐压测试", cycle: one(2100), buffer: 60, mtbf: 3000, setup: 4,
			reject: .003, faults: jams(700), power: 1.9, protocol: opcUA, namespace: namespaceB, prefix: "Dielectric.", resets: true,
			measure: measurePlan{signal: "leakage", unit: "mA", en: "Leakage current", zh: "泄漏电流", mean: .45, sigma: .09, lsl: none(), usl: 1, each: 1, decimals: 1000}},
		{id: "b-packing", en: "Packing", zh: "包装", cycle: one(2000), buffer: 60, mtbf: 2800, micro: 1500, setup: 4,
			reject: .001, faults: jams(1000), power: 1.4, protocol: modbusTCP, port: 4, unit: 3, layout: layoutDCBA(), extra: "boxes",
			measure: measurePlan{signal: "box_weight", unit: "g", en: "Box weight", zh: "箱重", mean: 1510, sigma: 10, lsl: 1450, usl: 1570, each: 12, decimals: 1}},
	}
}

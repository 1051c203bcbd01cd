package twin

import (
	"sort"
	"strings"

	"linetwin/plant"
)

// scorecardDomains gives the five domains of the industrial chain with their
// KPIs and published weights. oee.md 6.
func scorecardDomains() []domain {
	return []domain{
		{id: "rd", name: plant.Name{En: "R&D design", Zh: "研发设计"}, kpis: designKPIs()},
		{id: "production", name: plant.Name{En: "Production", Zh: "生产制造"}, kpis: productionKPIs()},
		{id: "quality", name: plant.Name{En: "Quality", Zh: "质量管控"}, kpis: qualityKPIs()},
		{id: "logistics", name: plant.Name{En: "Logistics", Zh: "物流"}, kpis: logisticsKPIs()},
		{id: "warehousing", name: plant.Name{En: "Warehousing", Zh: "仓储"}, kpis: warehousingKPIs()},
	}
}

func absent(id, unit string, target float64, lower bool, name, formula, missing plant.Name) kpi {
	return kpi{id: id, unit: unit, weight: 1, target: target, lower: lower, name: name, formula: formula, missing: missing}
}

func designKPIs() []kpi {
	return []kpi{
		absent("change-to-piece", "d", 5, true, plant.Name{En: "Engineering change to first piece (median)", Zh: "工程变更到首件（中位数）"},
			plant.Name{En: "median of first piece made − change released", Zh: "首件时间 − 变更发布时间 的中位数"},
			plant.Name{En: "no engineering changes are entered (PLM)", Zh: "没有录入工程变更（PLM）"}),
		absent("parameters", "%", 90, false, plant.Name{En: "Parameter sets downloaded automatically", Zh: "工艺参数自动下发率"},
			plant.Name{En: "sets downloaded by the system ÷ all sets used", Zh: "系统下发的参数集 ÷ 全部参数集"},
			plant.Name{En: "no recipe downloads are recorded", Zh: "没有参数下发记录"}),
		absent("capable", "%", 95, false, plant.Name{En: "Characteristics with Cpk ≥ 1.33", Zh: "Cpk ≥ 1.33 的特性"},
			plant.Name{En: "characteristics with Cpk ≥ 1.33 ÷ characteristics with limits", Zh: "Cpk ≥ 1.33 的特性数 ÷ 有规格限的特性数"},
			plant.Name{En: "capability needs approved control charts", Zh: "过程能力需要已批准的控制图"}),
		{id: "specified", unit: "%", weight: 1, target: 100, name: plant.Name{En: "Machines with a specification", Zh: "具备质量规格的设备"},
			formula: plant.Name{En: "machines with at least one characteristic with limits ÷ machines in the register", Zh: "至少有一项带规格限特性的设备数 ÷ 登记设备数"},
			missing: plant.Name{En: "no machine is registered", Zh: "没有登记设备"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				var ok float64
				for _, m := range in.machines {
					for _, c := range m.m.characteristics {
						if c.LSL != nil || c.USL != nil {
							ok++
							break
						}
					}
				}
				all := float64(len(in.machines))
				return percent(ok, all), []plant.Evidence{fact("machines with a specification", "具备规格的设备", ok, ""), fact("machines in the register", "登记设备", all, "")}
			}},
	}
}

func qualityKPIs() []kpi {
	return []kpi{
		{id: "fpy", unit: "%", weight: 2, target: 98, name: plant.Name{En: "First-pass yield (count FPY)", Zh: "一次合格率（按计数）"},
			formula: plant.Name{En: "good ÷ (good + reject), all lines; rework is not told apart", Zh: "合格 ÷（合格 + 不良），全部产线；未区分返工"},
			missing: plant.Name{En: "no pieces in this period", Zh: "该时段没有产量"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				g, r := float64(in.total.Good), float64(in.total.Reject)
				return percent(g, g+r), []plant.Evidence{fact("good pieces", "合格件数", g, ""), fact("rejected pieces", "不良件数", r, "")}
			}},
		{id: "rty", unit: "%", weight: 2, target: 95, name: plant.Name{En: "Rolled throughput yield", Zh: "流通合格率 (RTY)"},
			formula: plant.Name{En: "product of each step's good ÷ (good + reject); lines weighted with the pieces that they began", Zh: "各工序 合格 ÷（合格 + 不良）之积；各产线按投入件数加权"},
			missing: plant.Name{En: "no pieces in this period", Zh: "该时段没有产量"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				y := in.passed.Figures().Yield
				var facts []plant.Evidence
				for _, s := range y.Steps {
					v, name := *s.FPY*100, s.Line+": "+strings.Join(s.Machines, " + ")
					facts = append(facts, plant.Evidence{Name: plant.Name{En: name, Zh: name}, Value: &v, Unit: "%"})
				}
				if y.RTY == nil {
					return nil, facts
				}
				return percent(*y.RTY, 1), facts
			}},
		{id: "response", unit: "min", weight: 1, target: 5, lower: true, name: plant.Name{En: "Response time to a quality signal (median)", Zh: "质量信号响应时间（中位数）"},
			formula: plant.Name{En: "median of acknowledged − fired over quality alerts", Zh: "质量提醒 确认时间 − 触发时间 的中位数"},
			missing: plant.Name{En: "no quality alert was acknowledged in this period", Zh: "该时段没有被确认的质量提醒"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				var all []float64
				fired := 0
				for _, a := range in.alerts {
					if a.Quality {
						fired++
						if a.Acked != 0 {
							all = append(all, a.Acked.Sub(a.Fired).Minutes())
						}
					}
				}
				facts := []plant.Evidence{fact("quality alerts", "质量提醒", float64(fired), ""), fact("acknowledged", "已确认", float64(len(all)), "")}
				if len(all) == 0 {
					return nil, facts
				}
				sort.Float64s(all)
				mid := (all[(len(all)-1)/2] + all[len(all)/2]) / 2
				return &mid, facts
			}},
		absent("tested", "%", 100, false, plant.Name{En: "Serials tested in line", Zh: "在线测试覆盖率"},
			plant.Name{En: "serials with every test ÷ serials made", Zh: "完成全部测试的序列号 ÷ 产出序列号"},
			plant.Name{En: "serial numbers are not tracked over the stations yet", Zh: "尚未跨工站追踪序列号"}),
		absent("spc", "%", 100, false, plant.Name{En: "Critical characteristics under SPC", Zh: "纳入 SPC 的关键特性"},
			plant.Name{En: "characteristics with an approved chart ÷ critical ones", Zh: "有已批准控制图的特性 ÷ 关键特性"},
			plant.Name{En: "no control chart is approved", Zh: "没有已批准的控制图"}),
		absent("cost", "CNY", 1000, true, plant.Name{En: "Scrap and rework cost", Zh: "报废与返工成本"},
			plant.Name{En: "rejected pieces × cost of a piece", Zh: "不良件数 × 单件成本"},
			plant.Name{En: "no costs are entered", Zh: "没有录入成本"}),
	}
}

func logisticsKPIs() []kpi {
	return []kpi{
		{id: "starved", unit: "min", weight: 1, target: 30, lower: true, name: plant.Name{En: "Minutes starved at the bottlenecks", Zh: "瓶颈待料时间"},
			formula: plant.Name{En: "time in which bottlenecks waited for material, small stops included", Zh: "瓶颈设备等待物料的时间（含小停机）"},
			missing: plant.Name{En: "no data in this period", Zh: "该时段没有数据"},
			value: func(in *scoreInput) (*float64, []plant.Evidence) {
				if in.total.Known() == 0 {
					return nil, nil
				}
				v := in.total.Starved.Minutes()
				return &v, []plant.Evidence{fact("known planned time", "已知计划时间", in.total.Known().Minutes(), "min")}
			}},
		absent("otif", "%", 95, false, plant.Name{En: "On time in full", Zh: "准时足量交付率"},
			plant.Name{En: "orders delivered on time in full ÷ orders due", Zh: "准时足量交付订单 ÷ 到期订单"},
			plant.Name{En: "no orders are entered (ERP)", Zh: "没有录入订单（ERP）"}),
		absent("lead", "d", 3, true, plant.Name{En: "Order lead time", Zh: "订单交期"},
			plant.Name{En: "delivered − ordered, median", Zh: "交付 − 下单，中位数"}, plant.Name{En: "no orders are entered (ERP)", Zh: "没有录入订单（ERP）"}),
		absent("calls", "%", 95, false, plant.Name{En: "Material calls answered on time", Zh: "叫料准时响应率"},
			plant.Name{En: "calls answered on time ÷ calls", Zh: "准时响应次数 ÷ 叫料次数"}, plant.Name{En: "no material calls are entered (WMS)", Zh: "没有叫料记录（WMS）"}),
		absent("agv", "%", 80, false, plant.Name{En: "Moves by AGV", Zh: "AGV 搬运占比"},
			plant.Name{En: "moves by AGV ÷ moves", Zh: "AGV 搬运 ÷ 全部搬运"}, plant.Name{En: "no moves are entered (WMS)", Zh: "没有搬运记录（WMS）"}),
	}
}

func warehousingKPIs() []kpi {
	wms := plant.Name{En: "no stock data is entered (WMS)", Zh: "没有库存数据（WMS）"}
	return []kpi{
		absent("turns", "", 12, false, plant.Name{En: "Inventory turns per year", Zh: "年库存周转次数"}, plant.Name{En: "issued in a year ÷ mean stock", Zh: "年出库 ÷ 平均库存"}, wms),
		absent("accuracy", "%", 99, false, plant.Name{En: "Record accuracy", Zh: "账实相符率"}, plant.Name{En: "counts that match ÷ counts", Zh: "相符盘点 ÷ 盘点"}, wms),
		absent("dock", "h", 4, true, plant.Name{En: "Dock to stock", Zh: "到货入库时间"}, plant.Name{En: "put away − received, median", Zh: "上架 − 收货，中位数"}, wms),
		absent("stockout", "", 1, true, plant.Name{En: "Stock-out events", Zh: "缺货次数"}, plant.Name{En: "times that stock was zero when called", Zh: "叫料时库存为零的次数"}, wms),
		absent("fifo", "%", 98, false, plant.Name{En: "FIFO compliance", Zh: "先进先出符合率"}, plant.Name{En: "issues of the oldest lot ÷ issues", Zh: "最旧批次出库 ÷ 全部出库"}, wms),
	}
}

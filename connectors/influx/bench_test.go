package influx

import (
	"fmt"
	"testing"
	"time"

	"linetwin/connectors/historytest"
	"linetwin/plant"
)

// stream makes a round of 20 machines with 50 signals, as gateways send it.
func stream(round int) []*plant.Batch {
	at := plant.Stamp(time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)).Add(time.Duration(round) * time.Second)
	batches := make([]*plant.Batch, 20)
	for m := range batches {
		machine := fmt.Sprintf("machine-%02d", m)
		b := &plant.Batch{Area: "assembly", Line: "mcb-a", Gateway: "edge-1", Machine: machine,
			Complete: plant.Span{From: at.Add(-time.Second), To: at}, Readings: make([]plant.Reading, 50)}
		for s := range b.Readings {
			b.Readings[s] = plant.Reading{Machine: machine, Signal: fmt.Sprintf("signal-%02d", s), Time: at, Value: plant.Float(float64(s) + float64(round)/7)}
		}
		batches[m] = b
	}
	return batches
}

// BenchmarkEncode encodes a round of 1,000 readings.
func BenchmarkEncode(b *testing.B) {
	h, q := &History{}, &request{}
	batches := stream(1)
	b.ReportAllocs()
	for b.Loop() {
		q.items = q.items[:0]
		for _, batch := range batches {
			h.gather(q, batch)
		}
		q.body, _, _ = encode(q.body[:0], q.items, bytesPerRequest)
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "readings/s")
	b.ReportMetric(float64(len(q.body))/1000, "B/reading")
}

// BenchmarkWrite writes ten rounds of a plant with 1,000 signals at a time.
func BenchmarkWrite(b *testing.B) {
	d := historytest.StartInfluxdWithUsers(b)
	d.CreateDatabase(b, "bench")
	h := open(b, d, "bench")
	defer h.Close()
	round, readings := 0, 0
	var batches []*plant.Batch
	for b.Loop() {
		b.StopTimer()
		batches = batches[:0]
		for range 10 {
			batches = append(batches, stream(round)...)
			round++
		}
		b.StartTimer()
		if err := h.Write(b.Context(), batches); err != nil {
			b.Fatal(err)
		}
		readings += 10_000
	}
	b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
}

// BenchmarkRead charts, and reads, a day of one reading a second.
func BenchmarkRead(b *testing.B) {
	d := historytest.StartInfluxdWithUsers(b)
	d.CreateDatabase(b, "bench")
	h := open(b, d, "bench")
	defer h.Close()
	start := plant.Stamp(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	batch := &plant.Batch{Machine: "m"}
	for s := range 86_400 {
		batch.Readings = append(batch.Readings, plant.Reading{Signal: "s", Time: start.Add(time.Duration(s) * time.Second), Value: plant.Float(float64(s) / 3)})
	}
	if err := h.Write(b.Context(), []*plant.Batch{batch}); err != nil {
		b.Fatal(err)
	}
	day := plant.Span{From: start, To: start.Add(24 * time.Hour)}
	charts := func(from string) {
		for _, points := range []int{100, 1000} {
			b.Run(fmt.Sprint("chart of ", points, from), func(b *testing.B) {
				for b.Loop() {
					if _, err := h.Chart(b.Context(), "m", "s", day, points); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	charts(" from readings")
	b.Run("sum a day up", func(b *testing.B) {
		for b.Loop() {
			for hour := range 24 {
				if err := h.aggregateHour(b.Context(), hourOf{"m", start.Add(time.Duration(hour) * time.Hour)}, 0); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	if n, err := h.Aggregate(b.Context(), plant.At(time.Now()).Add(later)); err != nil || n != 24 {
		b.Fatal(n, err)
	}
	charts(" from minutes")
	b.Run("record", func(b *testing.B) {
		for b.Loop() {
			if r, err := h.Record(b.Context(), "m", nil, day); err != nil || len(r.Readings) != 86_400 {
				b.Fatal(len(r.Readings), err)
			}
		}
	})
}

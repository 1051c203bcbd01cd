package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"linetwin/plant"
)

func pack(t testing.TB) *packer {
	t.Helper()
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encodeAll(e *encoder, batches []plant.Batch) []byte {
	e.reset()
	for i := range batches {
		e.add(&batches[i], start)
	}
	b, _ := e.finish(nil)
	return b
}

func decodeAll(p *packer, block []byte) ([]plant.Batch, error) {
	var r blockReader
	if err := openBlock(&r, p, block); err != nil {
		return nil, err
	}
	var out []plant.Batch
	for {
		var b plant.Batch
		more, err := r.next(&b)
		if err != nil || !more {
			return out, err
		}
		out = append(out, b)
	}
}

// same tells whether two batches say the same; floats are compared by bits.
func same(a, b *plant.Batch) bool {
	if a.Machine != b.Machine || a.Complete != b.Complete || len(a.Readings) != len(b.Readings) {
		return false
	}
	for i := range a.Readings {
		if a.Readings[i] != b.Readings[i] && !bothNaN(a.Readings[i], b.Readings[i]) {
			return false
		}
	}
	return true
}

func bothNaN(a, b plant.Reading) bool {
	x, y := a.Value.Float(), b.Value.Float()
	a.Value, b.Value = plant.Value{}, plant.Value{}
	return a == b && math.Float64bits(x) == math.Float64bits(y)
}

func genValue() *rapid.Generator[plant.Value] {
	return rapid.OneOf(
		rapid.Map(rapid.Float64(), plant.Float),
		rapid.Map(rapid.Float32(), func(f float32) plant.Value { return plant.Float(float64(f)) }),
		rapid.Map(rapid.Int32(), func(n int32) plant.Value { return plant.Float(float64(n) / 100) }),
		rapid.Map(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.MaxFloat64, 5e-324, 1 << 53, 1e15, -0.1, 21.3}), plant.Float),
		rapid.Map(rapid.Int64(), plant.Integer),
		rapid.Map(rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 0, -1}), plant.Integer),
		rapid.Map(rapid.Bool(), plant.Boolean),
		rapid.Map(rapid.SampledFrom([]string{"", "C16", "断路器", "\xff\x00"}), plant.Text),
		rapid.Just(plant.Value{}),
	)
}

func genBatch() *rapid.Generator[plant.Batch] {
	return rapid.Custom(func(t *rapid.T) plant.Batch {
		when := rapid.Map(rapid.Int64Range(-5_000, 5_000), func(ms int64) plant.Time { return start + plant.Time(ms)*plant.Millisecond })
		if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			when = rapid.Map(rapid.Int64(), func(ns int64) plant.Time { return plant.Time(ns / 4) })
		}
		b := plant.Batch{Machine: rapid.SampledFrom([]string{"a", "press-1", "saw"}).Draw(t, "machine"),
			Complete: plant.Span{From: when.Draw(t, "from"), To: when.Draw(t, "to")}}
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			b.Readings = append(b.Readings, plant.Reading{
				Machine: b.Machine, Signal: rapid.SampledFrom([]string{"state", "good", "temperature", ""}).Draw(t, "signal"),
				Time: when.Draw(t, "time"), Value: genValue().Draw(t, "value"), Quality: plant.Quality(rapid.IntRange(0, 4).Draw(t, "quality")),
				Reason: rapid.SampledFrom([]string{"", "time-out", "illegal address"}).Draw(t, "reason"),
			})
		}
		return b
	})
}

func TestBlockRoundTrip(t *testing.T) {
	p := pack(t)
	e := newEncoder(p)
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(genBatch(), 1, 20).Draw(t, "batches")
		out, err := decodeAll(p, encodeAll(e, in))
		if err != nil {
			t.Fatal(err)
		}
		if len(out) != len(in) {
			t.Fatalf("%d batches, want %d", len(out), len(in))
		}
		for i := range in {
			if !same(&in[i], &out[i]) {
				t.Fatalf("batch %d:\n got %+v\nwant %+v", i, out[i], in[i])
			}
		}
	})
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	p := pack(t)
	for _, e := range []*encoder{newEncoder(p), newEncoder(nil)} {
		block := encodeAll(e, machineLike(20))
		for i := range block {
			bad := bytes.Clone(block)
			bad[i] ^= 0x10
			if _, err := decodeAll(p, bad); !errors.Is(err, errCodec) {
				t.Fatalf("byte %d of %d changed: error %v", i, len(block), err)
			}
			if _, err := decodeAll(p, block[:i]); !errors.Is(err, errCodec) {
				t.Fatalf("cut to %d of %d bytes: error %v", i, len(block), err)
			}
		}
	}
}

func TestBlockInfo(t *testing.T) {
	p := pack(t)
	block := encodeAll(newEncoder(p), machineLike(100))
	var r blockReader
	if err := openBlock(&r, p, block); err != nil {
		t.Fatal(err)
	}
	want := blockInfo{batches: 100, readings: r.info.readings, kept: start, oldest: start, newest: start.Add(99 * 200 * 1e6)}
	if !reflect.DeepEqual(r.info, want) || r.info.readings < 300 {
		t.Errorf("info %+v, want %+v", r.info, want)
	}
}

// FuzzBlock feeds payloads that pass the checksum, so that the decoder itself
// is tried and not only its guard.
func FuzzBlock(f *testing.F) {
	p := pack(f)
	for _, e := range []*encoder{newEncoder(p), newEncoder(nil)} {
		f.Add(encodeAll(e, machineLike(5)))
		f.Add(encodeAll(e, []plant.Batch{{Machine: "a"}}))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) >= blockHead {
			block = bytes.Clone(block)
			block[0] = blockVersion
			sum := checksum(block[5:])
			block[1], block[2], block[3], block[4] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		}
		got, err := decodeAll(p, block)
		if err != nil {
			if !errors.Is(err, errCodec) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := decodeAll(p, encodeAll(newEncoder(p), got))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%d batches came back as %d: %v", len(got), len(again), err)
		}
		for i := range got {
			if !same(&got[i], &again[i]) {
				t.Fatalf("batch %d: got %+v want %+v", i, again[i], got[i])
			}
		}
	})
}

// FuzzTail looks for records in anything.
func FuzzTail(f *testing.F) {
	e := newEncoder(nil)
	record := appendRecord(nil, 7, func(dst []byte) []byte { return append(dst, encodeAll(e, machineLike(1))...) })
	f.Add(record)
	f.Add(append(record[:len(record)-3], record...))
	f.Add(appendRecord(nil, 9, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, torn := scanTail(data)
		sum := torn
		for _, r := range records {
			sum += tailHead + len(r.block)
		}
		if sum != len(data) {
			t.Fatalf("%d bytes accounted of %d", sum, len(data))
		}
	})
}

func TestTornTailRecordsAreCutOut(t *testing.T) {
	record := func(n uint64) []byte {
		return appendRecord(nil, n, func(dst []byte) []byte { return append(dst, "block"...) })
	}
	missing := append(append(record(1), make([]byte, 4096)...), record(2)...)
	cut := append(record(1), record(2)[:11]...)
	for _, c := range []struct {
		name    string
		data    []byte
		numbers []uint64
		torn    int
	}{
		{"whole", append(record(1), record(2)...), []uint64{1, 2}, 0},
		{"cut at the end", cut, []uint64{1}, 11},
		{"a page is missing", missing, []uint64{1, 2}, 4096},
		{"nothing", nil, nil, 0},
		{"only zeros", make([]byte, 100), nil, 100},
	} {
		records, torn := scanTail(c.data)
		var numbers []uint64
		for _, r := range records {
			numbers = append(numbers, r.number)
		}
		if !reflect.DeepEqual(numbers, c.numbers) || torn != c.torn {
			t.Errorf("%s: numbers %v, torn %d, want %v, %d", c.name, numbers, torn, c.numbers, c.torn)
		}
	}
}

// machineLike gives n rounds of 200 ms of a machine as the demo has them: a
// state that seldom changes, counters that step, float32 temperatures, scaled
// registers, a noisy float64 power, and a product now and then.
func machineLike(n int) []plant.Batch { return oneLike(1, n) }

// oneLike is one of several such machines.
func oneLike(seed uint64, n int) []plant.Batch {
	rnd := rand.New(rand.NewPCG(seed, 2))
	var out []plant.Batch
	good, state, temperature, power := int64(1000), int64(6), 180.0, 4200.0
	before := start
	for i := range n {
		at := start.Add(200*1e6).Add(-200*1e6) + plant.Time(i)*200*plant.Millisecond
		b := plant.Batch{Machine: "a-calibration", Complete: plant.Span{From: before, To: at}}
		before = at
		put := func(signal string, v plant.Value) {
			b.Readings = append(b.Readings, plant.Reading{Machine: b.Machine, Signal: signal, Time: at, Value: v})
		}
		if i%50 == 0 {
			state = 6 + int64(rnd.IntN(3))
			put("state", plant.Integer(state))
		}
		if i%9 == 0 {
			good++
			put("good", plant.Integer(good))
			put("trip_time", plant.Float(math.Round((22+rnd.NormFloat64())*1000)/1000))
		}
		temperature += rnd.NormFloat64() * 0.2
		put("temperature", plant.Float(float64(float32(math.Round(temperature*10)/10))))
		put("current", plant.Float(math.Round((4+rnd.NormFloat64()*0.05)*100)/100))
		power += rnd.NormFloat64() * 5
		put("power", plant.Float(math.Round(power)))
		put("force", plant.Float(float64(float32(12.5+rnd.NormFloat64()*0.01))))
		if i%1000 == 0 {
			put("product", plant.Text(fmt.Sprintf("NB1-C%d", 10+rnd.IntN(3)*6)))
		}
		out = append(out, b)
	}
	return out
}

func BenchmarkEncode(b *testing.B) {
	batches := machineLike(4000)
	for _, c := range []struct {
		name string
		e    *encoder
	}{{"plain", newEncoder(nil)}, {"zstd", newEncoder(pack(b))}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			readings, size := 0, 0
			var dst []byte
			for b.Loop() {
				c.e.reset()
				for i := range batches {
					c.e.add(&batches[i], start)
					if c.e.size() >= blockTarget || i == len(batches)-1 {
						var info blockInfo
						dst, info = c.e.finish(dst[:0])
						readings, size = readings+info.readings, size+len(dst)
						c.e.reset()
					}
				}
			}
			b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
			b.ReportMetric(float64(size)/float64(readings), "B/reading")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	p := pack(b)
	block := encodeAll(newEncoder(p), machineLike(4000))
	var r blockReader
	var batch plant.Batch
	readings := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := openBlock(&r, p, block); err != nil {
			b.Fatal(err)
		}
		for {
			more, err := r.next(&batch)
			if err != nil {
				b.Fatal(err)
			}
			if !more {
				break
			}
			readings += len(batch.Readings)
		}
	}
	b.ReportMetric(float64(readings)/b.Elapsed().Seconds(), "readings/s")
}

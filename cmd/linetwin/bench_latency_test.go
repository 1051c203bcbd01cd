package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// changes is how many changes BenchmarkLatency makes in each mode.
const changes = 120

// BenchmarkLatency measures on line A of the demo, which is looked at every
// 200 ms: simulated plant, gateway and twin, with its broker and its history,
// are a process each. A signal is set in the plant, at times that are spread
// evenly over the poll's interval, and awaited in the twin's live stream.
func BenchmarkLatency(b *testing.B) {
	c := newChain(b)
	for _, m := range []struct{ mode, machine string }{
		{"modbus", "a-riveting"}, {"opcua-read", "a-trip-test"}, {"opcua-subscribe", "a-calibration"},
	} {
		b.Run(m.mode, func(b *testing.B) {
			for b.Loop() {
				c.measure(b, m.mode, m.machine)
			}
		})
	}
}

// chain is everything between a plant and the twin's stream.
type chain struct {
	folder   string
	control  string            // URL of the plant
	api      string            // URL of the twin
	modes    map[string]string // by machine
	receiver *receiver
}

func newChain(b *testing.B) *chain {
	c := &chain{folder: b.TempDir(), control: "http://" + freeAddress(b), api: "http://" + freeAddress(b), modes: map[string]string{}}
	path := program(b)
	launch(b, nil, path, "simulate", "--opcua", freeAddress(b), "--modbus", "127.0.0.1:0", "--line", "mcb-a", "--continuous",
		"--data", filepath.Join(c.folder, "plant"), "--control", strings.TrimPrefix(c.control, "http://"))
	until(b, "the plant serves", func() bool { return get(c.control+"/status", &struct{}{}) == nil })
	broker := freeAddress(b)
	c.settings(b, broker)
	launch(b, nil, path, "twin", filepath.Join(c.folder, "twin.yaml"))
	launch(b, nil, path, "gateway", filepath.Join(c.folder, "gateway.yaml"))
	c.receiver = &receiver{silent: true, source: func(machine string) bool { return c.modes[machine] == "opcua-subscribe" }}
	c.receiver.run(b, broker, "bench")
	until(b, "line A flows", func() bool {
		var l struct {
			Age *int64 `json:"data_age_ms"`
		}
		return get(c.api+"/api/v1/lines/mcb-a", &l) == nil && l.Age != nil && *l.Age < 2000
	})
	return c
}

// settings writes those of the demo, with the addresses of this chain.
func (c *chain) settings(b *testing.B, broker string) {
	b.Helper()
	raw, err := os.ReadFile("../../configs/demo.yaml")
	if err != nil {
		b.Fatal(err)
	}
	var demo struct {
		Gateways []map[string]any `yaml:"gateways"`
		Twin     map[string]any   `yaml:"twin"`
	}
	if err := yaml.Load(raw, &demo); err != nil {
		b.Fatal(err)
	}
	urls := c.urls(b)
	g, t := demo.Gateways[0], demo.Twin
	pki := filepath.Join(c.folder, "pki")
	g["wire"] = map[string]any{"brokers": []string{"tcp://" + broker}}
	g["buffer"] = map[string]any{"folder": filepath.Join(c.folder, "buffer")}
	g["certificates"] = pki
	for _, d := range g["devices"].([]any) {
		d := d.(map[string]any)
		machine := d["machine"].(string)
		c.modes[machine] = "modbus"
		protocol, ok := d["modbus"].(map[string]any)
		if !ok {
			c.modes[machine] = "opcua-read"
			if protocol = d["opcua"].(map[string]any); protocol["mode"] == "subscribe" {
				c.modes[machine] = "opcua-subscribe"
			}
		}
		protocol["url"] = urls[machine]
	}
	write(b, filepath.Join(c.folder, "gateway.yaml"), g)
	t["broker"] = map[string]any{"embedded": map[string]any{"listen": broker, "folder": filepath.Join(c.folder, "broker")}}
	t["history"] = map[string]any{"embedded": map[string]any{"folder": filepath.Join(c.folder, "history")}}
	t["ledger"] = map[string]any{"sqlite": filepath.Join(c.folder, "ledger.db")}
	t["web"] = map[string]any{"listen": strings.TrimPrefix(c.api, "http://")}
	write(b, filepath.Join(c.folder, "twin.yaml"), t)
	der, err := os.ReadFile(filepath.Join(c.folder, "plant", "simulator.der"))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(pki, "trusted"), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pki, "trusted", "simulator.der"), der, 0o600); err != nil {
		b.Fatal(err)
	}
}

// urls gives the address of each machine's controller.
func (c *chain) urls(b *testing.B) map[string]string {
	b.Helper()
	var status struct {
		Endpoints []struct {
			URL      string   `json:"url"`
			Machines []string `json:"machines"`
		} `json:"endpoints"`
	}
	if err := get(c.control+"/status", &status); err != nil {
		b.Fatal(err)
	}
	urls := map[string]string{}
	for _, e := range status.Endpoints {
		for _, m := range e.Machines {
			urls[m] = e.URL
		}
	}
	return urls
}

// arrival is a signal's value in the twin's stream.
type arrival struct {
	value float64
	at    time.Time
}

func (c *chain) measure(b *testing.B, mode, machine string) {
	const signal = "temperature" // has no role in the twin, and numbers that no machine reaches
	arrivals := make(chan arrival, 4096)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.listen(ctx, machine, signal, arrivals) }()
	c.set(b, machine, signal, 999)
	if _, err := await(arrivals, ended, 999); err != nil {
		b.Fatal(err)
	}
	c.receiver.measure(true)
	var took []float64
	for i := range changes {
		// A change is seen just after a poll, so the next one is made this long
		// after a poll. Steps of the golden ratio cover the interval evenly.
		_, share := math.Modf(float64(i) * math.Phi)
		time.Sleep(time.Duration(share * float64(200*time.Millisecond)))
		value := float64(1000 + i)
		at := c.set(b, machine, signal, value)
		seen, err := await(arrivals, ended, value)
		if err != nil {
			b.Fatalf("%s of %s: %v", signal, machine, err)
		}
		took = append(took, float64(seen.Sub(at).Microseconds())/1000)
	}
	c.receiver.measure(false)
	c.set(b, machine, signal, nil)
	var ages []float64
	_, byMachine := c.receiver.noted()
	for m, a := range byMachine {
		if c.modes[m] == mode {
			ages = append(ages, a...)
		}
	}
	from := "read"
	if mode == "opcua-subscribe" {
		from = "change"
	}
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(quantile(took, 0), "change-to-twin-min-ms")
	b.ReportMetric(quantile(took, 0.5), "change-to-twin-p50-ms")
	b.ReportMetric(quantile(took, 0.99), "change-to-twin-p99-ms")
	b.ReportMetric(quantile(took, 1), "change-to-twin-max-ms")
	b.ReportMetric(quantile(ages, 0.5), from+"-to-host-p50-ms")
	b.ReportMetric(quantile(ages, 0.99), from+"-to-host-p99-ms")
	b.ReportMetric(float64(len(ages)), "batches")
}

// set makes the plant's controller serve a value, and tells from when.
func (c *chain) set(b *testing.B, machine, signal string, value any) time.Time {
	b.Helper()
	body, err := json.Marshal(map[string]any{"machine": machine, "signal": signal, "value": value})
	if err != nil {
		b.Fatal(err)
	}
	res, err := http.Post(c.control+"/set", "application/json", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	var answer struct {
		At time.Time `json:"at"`
	}
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(raw, &answer) != nil || answer.At.IsZero() {
		b.Fatalf("set %s %s: %s %s %v", machine, signal, res.Status, raw, err)
	}
	return answer.At
}

// await gives the time at which a value arrived.
func await(arrivals <-chan arrival, ended <-chan error, value float64) (time.Time, error) {
	deadline := time.After(30 * time.Second)
	for {
		select {
		case a := <-arrivals:
			if a.value == value {
				return a.at, nil
			}
		case err := <-ended:
			return time.Time{}, fmt.Errorf("the stream ended: %w", err)
		case <-deadline:
			return time.Time{}, fmt.Errorf("%v has not arrived in the twin for 30 s", value)
		}
	}
}

// listen reads the twin's stream until ctx ends.
func (c *chain) listen(ctx context.Context, machine, signal string, arrivals chan<- arrival) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.api+"/api/v1/events?machine="+machine, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	event := ""
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		now := time.Now()
		key, data, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case key == "event":
			event = data
		case key == "data" && event == "signals":
			var signals []struct {
				Name    string          `json:"name"`
				Machine string          `json:"machine"`
				Value   json.RawMessage `json:"value"`
			}
			if err := json.Unmarshal([]byte(data), &signals); err != nil {
				return err
			}
			for _, s := range signals {
				var v float64
				if s.Machine == machine && s.Name == signal && json.Unmarshal(s.Value, &v) == nil {
					arrivals <- arrival{v, now}
				}
			}
		}
	}
	return fmt.Errorf("stream of %s: %s %v", machine, res.Status, lines.Err())
}

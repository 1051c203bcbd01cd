package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linetwin/configs"
	"linetwin/connectors/opcua"
	"linetwin/simulator"
)

// demoFlags are what `linetwin demo` can be told.
type demoFlags struct {
	listen  string
	data    string
	seed    uint64
	speed   float64
	history string
	control string
}

func (a *app) demo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use: "demo", Short: "Run a whole factory: simulated plant, gateways, broker, twin and pages", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runDemo(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the pages")
	flags.StringVar(&f.data, "data", "data/demo", "folder that keeps the demo's data; remove it to begin anew")
	flags.Uint64Var(&f.seed, "seed", 1, "the same seed gives the same plant")
	flags.Float64Var(&f.speed, "speed", 1, "how many times faster than the clock the plant runs")
	flags.StringVar(&f.history, "history", "7d", "how much past a first start produces, as 7d or 12h; 0 for none")
	flags.StringVar(&f.control, "control", "", "serve HTTP on this loopback address to force faults and read the ledger")
	return cmd
}

// demoState is what a demo's folder remembers of its plant, so that a second
// start goes on with the same one.
type demoState struct {
	Seed    uint64    `json:"seed"`
	Anchor  time.Time `json:"anchor"` // begin of the plant
	Filled  bool      `json:"filled"` // the past is complete in the gateways' buffers
	Start   time.Time `json:"start"`  // end of the past: the first start
	Through time.Time `json:"through"`
}

func (a *app) runDemo(ctx context.Context, f *demoFlags) error {
	log, err := a.log()
	if err != nil {
		return err
	}
	past, err := parsePast(f.history)
	if err != nil {
		return err
	}
	cfg, err := configs.LoadDemo()
	if err != nil {
		return err
	}
	d := &demo{app: a, cfg: cfg, flags: f, log: log}
	if err := d.open(past); err != nil {
		return err
	}
	return d.run(ctx)
}

// parsePast takes a duration that may be in days, as 7d.
func parsePast(s string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(s, "d")
	if n, err := strconv.ParseFloat(days, 64); isDays && err == nil && n >= 0 && n <= 31 {
		return time.Duration(n * 24 * float64(time.Hour)), nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 && d <= 31*24*time.Hour {
		return d, nil
	}
	if s == "0" {
		return 0, nil
	}
	return 0, fmt.Errorf("--history: found %q, allowed: 0 to 31d, as in 7d or 12h", s)
}

// demo is a whole factory in one process.
type demo struct {
	app   *app
	cfg   *configs.Demo
	flags *demoFlags
	log   *slog.Logger
	state demoState
	plant *simulator.Plant
	urls  map[string]string // endpoint's name -> URL as configured
}

// open reads or makes the demo's folder and brings all paths below it.
func (d *demo) open(past time.Duration) error {
	if err := os.MkdirAll(d.flags.data, 0o750); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if err := d.loadState(past); err != nil {
		return err
	}
	under := func(path string) string { return filepath.Join(d.flags.data, strings.TrimPrefix(path, "data/")) }
	for i := range d.cfg.Gateways {
		g := &d.cfg.Gateways[i]
		g.Config.Buffer.Folder, g.Certificates = under(g.Config.Buffer.Folder), under(g.Certificates)
	}
	t := &d.cfg.Twin
	t.History.Embedded.Folder, t.Ledger.SQLite = under(t.History.Embedded.Folder), under(t.Ledger.SQLite)
	t.Broker.Embedded.Folder = under(t.Broker.Embedded.Folder)
	t.Broker.Embedded.Listen = ifFree(t.Broker.Embedded.Listen)
	t.Web.Listen = d.flags.listen
	if faults := t.Web.Check(); len(faults) > 0 {
		return fmt.Errorf("--listen: found %s, allowed: %s", faults[0].Found, faults[0].Allowed)
	}
	s := d.cfg.Simulator
	cfg := simulator.Config{Seed: d.state.Seed, Speed: d.flags.speed, OPCUA: s.OPCUA, Modbus: s.Modbus, Lines: s.Lines,
		Folder: filepath.Join(d.flags.data, "simulator"), Anchor: d.state.Anchor, Log: d.log}
	asConfigured, err := simulator.New(cfg)
	if err != nil {
		return err
	}
	d.urls = map[string]string{}
	for _, e := range asConfigured.Endpoints() {
		d.urls[e.Name] = e.URL
		if _, address, _ := strings.Cut(e.URL, "://"); ifFree(address) != address {
			cfg.OPCUA, cfg.Modbus = "127.0.0.1:0", "127.0.0.1:0"
		}
	}
	d.plant, err = simulator.New(cfg)
	return err
}

// ifFree gives an address if nobody listens there, else any free one of the
// same host.
func ifFree(address string) string {
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
		return address
	}
	host, _, _ := net.SplitHostPort(address)
	return net.JoinHostPort(host, "0")
}

func (d *demo) stateFile() string { return filepath.Join(d.flags.data, "demo.json") }

func (d *demo) loadState(past time.Duration) error {
	raw, err := os.ReadFile(d.stateFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.state = demoState{Seed: d.flags.seed, Anchor: time.Now().Add(-past).Truncate(time.Second), Filled: past == 0}
		return d.saveState()
	case err != nil:
		return fmt.Errorf("--data: %w", err)
	}
	if err := json.Unmarshal(raw, &d.state); err != nil {
		return fmt.Errorf("--data: %s: %w; remove the folder to begin anew", d.stateFile(), err)
	}
	if d.state.Seed != d.flags.seed {
		d.log.Warn("the folder holds another plant; its seed counts", "data", d.flags.data, "seed", d.state.Seed)
	}
	return nil
}

func (d *demo) saveState() error {
	raw, err := json.Marshal(d.state)
	if err != nil {
		return err
	}
	temp := d.stateFile() + ".new"
	if err := os.WriteFile(temp, raw, 0o640); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	return os.Rename(temp, d.stateFile())
}

// run serves the plant, then starts the twin, then the gateways.
func (d *demo) run(ctx context.Context) error {
	factory := func(ctx context.Context) error {
		select {
		case <-d.plant.Ready():
			return d.serve(ctx)
		case <-ctx.Done():
			return nil
		}
	}
	if d.flags.control == "" {
		return within(ctx, d.plant.Run, factory)
	}
	return within(ctx, d.plant.Run, func(ctx context.Context) error {
		return together(ctx, factory, func(ctx context.Context) error { return serveControl(ctx, d.flags.control, d.plant.Control()) })
	})
}

func (d *demo) serve(ctx context.Context) error {
	if d.state.Start.IsZero() {
		d.state.Start = d.plant.Start()
		if err := d.saveState(); err != nil {
			return err
		}
	}
	d.speedUp()
	t, err := newTwin(ctx, &d.cfg.Twin, d.log.With("role", "twin"))
	if err != nil {
		return err
	}
	defer t.close()
	return within(ctx, func(ctx context.Context) error {
		return t.run(ctx, func(url string) { fmt.Fprintln(d.app.stdout, "LineTwin is at", url) })
	}, func(ctx context.Context) error {
		select {
		case <-t.broker.Ready():
			return d.runGateways(ctx, "tcp://"+t.broker.Addr())
		case <-ctx.Done():
			return nil
		}
	})
}

// speedUp sets the ideal cycles of a plant that runs faster than the clock.
func (d *demo) speedUp() {
	if d.flags.speed == 1 {
		return
	}
	for _, p := range d.cfg.Twin.Products {
		for m, cycle := range p.IdealCycle {
			p.IdealCycle[m] = time.Duration(float64(cycle) / d.flags.speed)
		}
	}
}

func (d *demo) runGateways(ctx context.Context, broker string) error {
	address := map[string]string{} // configured -> bound
	for _, e := range d.plant.Endpoints() {
		address[d.urls[e.Name]] = e.URL
	}
	var jobs []func(context.Context) error
	owner := map[string]*gatewayRole{}
	for i := range d.cfg.Gateways {
		c := &d.cfg.Gateways[i]
		c.Wire.Brokers = []string{broker}
		for j := range c.Devices {
			switch dev := &c.Devices[j]; {
			case dev.Modbus != nil:
				dev.Modbus.URL = moved(address, dev.Modbus.URL)
			case dev.OPCUA != nil:
				dev.OPCUA.URL = moved(address, dev.OPCUA.URL)
			}
		}
		pki := &opcua.PKI{Folder: c.Certificates}
		if err := pki.Trust(d.plant.Certificate()); err != nil {
			return fmt.Errorf("trust the simulated controllers: %w", err)
		}
		g, err := newGateway(c, d.log.With("role", "gateway"))
		if err != nil {
			return err
		}
		jobs = append(jobs, g.run)
		for j := range c.Devices {
			owner[c.Devices[j].Machine] = g
		}
	}
	if !d.state.Filled {
		jobs = append(jobs, func(ctx context.Context) error { return d.fill(ctx, owner) })
	}
	return together(ctx, jobs...)
}

func moved(address map[string]string, url string) string {
	if to, ok := address[url]; ok {
		return to
	}
	return url
}

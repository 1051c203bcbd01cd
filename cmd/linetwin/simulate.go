package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"linetwin/simulator"
)

// simulateFlags are what `linetwin simulate` can be told.
type simulateFlags struct {
	cfg     simulator.Config
	anchor  string
	ledger  string
	control string
}

func (a *app) simulate() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use: "simulate", Short: "Simulate a breaker plant that speaks OPC UA and Modbus", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSimulate(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.cfg.Seed, "seed", 1, "the same seed and anchor give the same plant")
	flags.Float64Var(&f.cfg.Speed, "speed", 1, "how many times faster than the clock")
	flags.StringVar(&f.cfg.OPCUA, "opcua", "", "address of the OPC UA server (default 127.0.0.1:4840)")
	flags.StringVar(&f.cfg.Modbus, "modbus", "", "address of the first of five Modbus servers (default 127.0.0.1:5020)")
	flags.StringSliceVar(&f.cfg.Lines, "line", nil, "lines to simulate (default all)")
	flags.BoolVar(&f.cfg.Continuous, "continuous", false, "no shifts and no breaks")
	flags.StringVar(&f.cfg.Folder, "data", "data/simulator", "folder of the OPC UA server's certificate")
	flags.StringVar(&f.anchor, "anchor", "", "time at which the plant begins, RFC 3339 (default now)")
	flags.StringVar(&f.ledger, "ledger", "", "write the true ledger to this file at the end and on SIGUSR1")
	flags.StringVar(&f.control, "control", "", "serve HTTP on this loopback address to force faults and read the ledger")
	return cmd
}

func (a *app) runSimulate(ctx context.Context, f *simulateFlags) error {
	log, err := a.log()
	if err != nil {
		return err
	}
	f.cfg.Log = log
	if f.anchor != "" {
		if f.cfg.Anchor, err = time.Parse(time.RFC3339, f.anchor); err != nil {
			return fmt.Errorf("--anchor: found %q, allowed: a time such as 2026-01-31T06:00:00Z", f.anchor)
		}
	}
	plant, err := simulator.New(f.cfg)
	if err != nil {
		return err
	}
	jobs := []func(context.Context) error{plant.Run, func(ctx context.Context) error {
		select {
		case <-plant.Ready():
			for _, e := range plant.Endpoints() {
				fmt.Fprintf(a.stdout, "%s %s\n", e.Name, e.URL)
			}
			fmt.Fprintln(a.stdout, "ready")
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	}}
	if f.control != "" {
		jobs = append(jobs, func(ctx context.Context) error { return serveControl(ctx, f.control, plant.Control()) })
	}
	if f.ledger != "" {
		jobs = append(jobs, func(ctx context.Context) error { return writeLedgers(ctx, plant, f.ledger) })
	}
	return together(ctx, jobs...)
}

// serveControl serves handler on a loopback address until ctx ends.
func serveControl(ctx context.Context, address string, handler http.Handler) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !loopback(host) {
		return fmt.Errorf("--control: found %q, allowed: a loopback address such as 127.0.0.1:9090", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--control: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	return together(ctx,
		func(context.Context) error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		func(ctx context.Context) error {
			<-ctx.Done()
			return server.Close()
		})
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// writeLedgers writes the plant's ledger on each SIGUSR1 and at the end.
func writeLedgers(ctx context.Context, plant *simulator.Plant, file string) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	defer signal.Stop(asked)
	for {
		select {
		case <-asked:
			if err := writeLedger(plant, file); err != nil {
				return err
			}
		case <-ctx.Done():
			return writeLedger(plant, file)
		}
	}
}

func writeLedger(plant *simulator.Plant, file string) error {
	f, err := os.CreateTemp(".", ".ledger-*")
	if err != nil {
		return fmt.Errorf("--ledger: %w", err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(plant.WriteLedger(f), f.Close()); err != nil {
		return fmt.Errorf("--ledger: %w", err)
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("--ledger: %w", err)
	}
	return nil
}

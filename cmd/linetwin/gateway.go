package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"linetwin/configs"
	"linetwin/connectors"
	"linetwin/connectors/opcua"
	"linetwin/connectors/sparkplug"
	"linetwin/gateway"
)

func (a *app) gateway() *cobra.Command {
	return &cobra.Command{
		Use: "gateway FILE", Short: "Poll PLCs and forward their readings", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			log, err := a.log()
			if err != nil {
				return err
			}
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			seen := configs.MarkOf(args[0])
			cfg, err := configs.LoadGateway(args[0])
			if err != nil {
				return err
			}
			g, err := newGateway(cfg, log)
			if err != nil {
				return err
			}
			log.Info("gateway starts", "gateway", cfg.Gateway, "area", cfg.Area, "devices", len(cfg.Devices), "brokers", cfg.Wire.Brokers, "version", version)
			cfg.Devices = nil // what is needed of them others have
			defer func() { log.Info("gateway stops", "gateway", cfg.Gateway, "waiting", g.core.Status().Waiting) }()
			settings := &reloader{
				file: args[0], seen: seen, hup: hup, running: cfg, opener: g.opener, sources: g.sources, core: g.core,
				log: log.With("gateway", cfg.Gateway),
			}
			return together(cmd.Context(), g.run, settings.run, frugal)
		},
	}
}

// gatewayRole is a gateway with its devices and its wire.
type gatewayRole struct {
	opener  *connectors.Opener
	sources []*connectors.Supervisor
	core    *gateway.Gateway
	edge    *sparkplug.Edge
}

func newGateway(cfg *configs.Gateway, log *slog.Logger) (*gatewayRole, error) {
	own := log.With("gateway", cfg.Gateway)
	clock := gateway.NewClock(own)
	opener := connectors.NewOpener(connectors.Options{Log: own, At: clock.At, PKI: &opcua.PKI{Folder: cfg.Certificates, Log: own}})
	sources, err := opener.Open(cfg.Devices)
	if err != nil {
		return nil, err
	}
	// The settings stay as they were read: others are compared with them.
	of, wire := cfg.Config, cfg.Wire
	of.Version = version
	// What the wire holds back is not sent again meanwhile.
	of.Delivery.Resend = max(of.Delivery.Resend, 2*wire.Hold())
	of.Clock = clock
	core, err := gateway.New(of, gatewayDevices(sources), log)
	if err != nil {
		return nil, err
	}
	wire.Folder = of.Buffer.Folder
	edge, err := sparkplug.NewEdge(wire, core, log)
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	return &gatewayRole{opener: opener, sources: sources, core: core, edge: edge}, nil
}

func gatewayDevices(sources []*connectors.Supervisor) []gateway.Device {
	devices := make([]gateway.Device, len(sources))
	for i, s := range sources {
		devices[i] = gateway.Device{Machine: s.Machine(), Signals: s.Signals(), Deadbands: s.Deadbands(), Source: s}
	}
	return devices
}

// run works until ctx ends.
func (g *gatewayRole) run(ctx context.Context) error {
	return together(ctx,
		func(ctx context.Context) error { return g.core.Run(ctx, g.edge) },
		g.edge.Run,
	)
}

package main

import (
	"context"
	"fmt"
	"log/slog"

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
			cfg, err := configs.LoadGateway(args[0])
			if err != nil {
				return err
			}
			g, err := newGateway(cfg, log)
			if err != nil {
				return err
			}
			log.Info("gateway starts", "gateway", cfg.Gateway, "area", cfg.Area, "devices", len(cfg.Devices), "brokers", cfg.Wire.Brokers, "version", version)
			defer func() { log.Info("gateway stops", "gateway", cfg.Gateway, "waiting", g.core.Status().Waiting) }()
			return g.run(cmd.Context())
		},
	}
}

// gatewayRole is a gateway with its devices and its wire.
type gatewayRole struct {
	core *gateway.Gateway
	edge *sparkplug.Edge
}

func newGateway(cfg *configs.Gateway, log *slog.Logger) (*gatewayRole, error) {
	own := log.With("gateway", cfg.Gateway)
	sources, err := connectors.Open(cfg.Devices, connectors.Options{
		Log: own, PKI: &opcua.PKI{Folder: cfg.Certificates, Log: own},
	})
	if err != nil {
		return nil, err
	}
	devices := make([]gateway.Device, len(sources))
	for i, s := range sources {
		devices[i] = gateway.Device{Machine: s.Machine(), Signals: s.Signals(), Deadbands: s.Deadbands(), Source: s}
	}
	cfg.Config.Version = version
	core, err := gateway.New(cfg.Config, devices, log)
	if err != nil {
		return nil, err
	}
	edge, err := sparkplug.NewEdge(cfg.Wire, core, log)
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	return &gatewayRole{core: core, edge: edge}, nil
}

// run works until ctx ends.
func (g *gatewayRole) run(ctx context.Context) error {
	return together(ctx,
		func(ctx context.Context) error { return g.core.Run(ctx, g.edge) },
		g.edge.Run,
	)
}

package main

import (
	"context"
	"errors"
	"fmt"

	"linetwin/configs"
	"linetwin/connectors/sparkplug"
)

// probeWire tries the way to the brokers of a file's gateways or twin.
func (a *app) probeWire(ctx context.Context, args []string, f *probeFlags) error {
	if len(args) > 1 || len(f.machines)+len(f.signals) > 0 || f.orders {
		return errors.New("--wire: found addresses, --machine, --signal or --orders as well, allowed: one file and --output")
	}
	file, err := configs.ReadFile(args[0], configs.Options{})
	if err != nil {
		return err
	}
	var steps []sparkplug.Step
	switch {
	case file.Kind == configs.KindGateway:
		steps, err = sparkplug.ProbeEdge(ctx, file.Gateways[0].Wire)
	case file.Kind == configs.KindTwin && file.Twin.Broker.Embedded != nil:
		return fmt.Errorf("%s: the twin brings its own broker along (broker.embedded): try the way to it with a gateway's file", args[0])
	case file.Kind == configs.KindTwin:
		steps, err = sparkplug.ProbeHost(ctx, file.Twin.Broker.HostConfig)
	default:
		return fmt.Errorf("%s is a %s's file, which has no way of its own to a broker: give a gateway's or a twin's", args[0], file.Kind)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	return a.printSteps(steps, f.output)
}

// printSteps prints a row for each step; it is an error if one failed.
func (a *app) printSteps(steps []sparkplug.Step, form string) error {
	r := newRows(a.stdout, form, "broker", "step", "result", "ms", "found")
	failed, unknown := 0, 0
	for _, s := range steps {
		switch s.Result {
		case sparkplug.StepFailed:
			failed++
		case sparkplug.StepUnknown:
			unknown++
		}
		if err := r.add(s.Broker, s.Name, s.Result, s.Took.Milliseconds(), s.Text); err != nil {
			return err
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	text := fmt.Sprintf("%d of %d steps are good", len(steps)-failed-unknown, len(steps))
	if unknown > 0 {
		text += fmt.Sprintf(", %d cannot be told", unknown)
	}
	if failed > 0 {
		return fmt.Errorf("%s, %d failed", text, failed)
	}
	_, err := fmt.Fprintln(a.stderr, text)
	return err
}

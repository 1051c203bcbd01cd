package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"linetwin/configs"
	"linetwin/connectors"
	"linetwin/connectors/modbus"
	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// probeFlags are what `linetwin probe` can be told.
type probeFlags struct {
	reach
	output   string
	machines []string
	signals  []string
	orders   bool
	wire     bool

	unit, count, bit, length int
	order                    string
}

func (a *app) probe() *cobra.Command {
	f := probeFlags{bit: -1}
	cmd := &cobra.Command{
		Use:   "probe FILE [--wire] | probe URL ADDRESS [TYPE]... | probe URL NODE...",
		Short: "Connect to devices once, read every signal once, and show all that is known of it",
		Long: "With a gateway's settings file: connect to each device, read each signal once. With a URL: read\n" +
			"registers (holding:0 float32) or nodes (ns=2;s=Temperature) without any file; an OPC UA URL alone\n" +
			"lists what the server offers. Nothing is ever written. The command succeeds if every signal is good.\n" +
			"With --wire: connect to the brokers of a gateway's or twin's file instead, and tell step by step what\n" +
			"works: name, TCP, TLS with all certificates, user, subscriptions, the twin's answer.",
		Example: "  linetwin probe gateway.yaml --machine a-riveting\n" +
			"  linetwin probe gateway.yaml --wire\n" +
			"  linetwin probe tcp://192.168.10.21:502 --unit 1 holding:10 float32\n" +
			"  linetwin probe tcp://192.168.10.21:502 holding:0 --count 50\n" +
			"  linetwin probe opc.tcp://192.168.10.31:4840\n" +
			"  linetwin probe opc.tcp://192.168.10.31:4840 --security None i=2258",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runProbe(cmd.Context(), args, &f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", outTable, "table, json or csv")
	flags.StringSliceVar(&f.machines, "machine", nil, "only these machines of the file")
	flags.StringSliceVar(&f.signals, "signal", nil, "only these signals of the file")
	flags.BoolVar(&f.wire, "wire", false, "not the devices but the way to the broker: try each step of it once (gateway's or twin's file)")
	flags.BoolVar(&f.orders, "orders", false, "modbus: show each value in every byte order and at the addresses beside it (always for a single one)")
	flags.IntVar(&f.unit, "unit", 1, "modbus: unit (slave) identifier")
	flags.IntVar(&f.count, "count", 1, "modbus: read this many values, one after the other, from each address")
	flags.StringVar(&f.order, "order", "", "modbus: byte order, such as CDAB")
	flags.IntVar(&f.bit, "bit", -1, "modbus: bit of a register, 0 to 15")
	flags.IntVar(&f.length, "length", 0, "modbus: length of a string, in bytes")
	f.flags(cmd)
	return cmd
}

func (a *app) runProbe(ctx context.Context, args []string, f *probeFlags) error {
	if err := checkOutput(f.output, outTable, outJSON, outCSV); err != nil {
		return err
	}
	if f.wire {
		return a.probeWire(ctx, args, f)
	}
	if f.orders && f.output == outCSV {
		return errors.New("--orders: found --output csv, allowed: table or json")
	}
	log, err := a.quietLog()
	if err != nil {
		return err
	}
	direct := strings.Contains(args[0], "://")
	var jobs []probeJob
	switch {
	case !direct:
		jobs, err = f.fromFile(args, log)
	case strings.HasPrefix(args[0], "opc.tcp://"):
		if len(args) == 1 {
			return a.showOffers(ctx, args[0], f)
		}
		jobs, err = f.fromNodes(ctx, args, log)
	default:
		jobs, err = f.fromAddresses(args)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		return err
	}
	return a.look(ctx, jobs, f, direct)
}

// quietLog tells warnings only, unless more was asked for: what a probe finds
// stands in its rows.
func (a *app) quietLog() (*slog.Logger, error) {
	if a.logLevel == "info" {
		a.logLevel = "warn"
	}
	return a.log()
}

// probeJob is one gateway's devices.
type probeJob struct {
	devices []connectors.Config
	options connectors.ProbeOptions
}

// look probes and prints.
func (a *app) look(ctx context.Context, jobs []probeJob, f *probeFlags, direct bool) error {
	machines, signals := 0, 0
	for _, j := range jobs {
		machines += len(j.devices)
		for _, d := range j.devices {
			signals += len(d.Signals)
		}
	}
	views := f.orders || signals == 1 && f.output == outTable
	p := a.progress()
	var all []connectors.Probed
	before := 0
	for _, j := range jobs {
		j.options.Views = views
		j.options.Progress = func(done int, machine string) {
			p.tell("machine %d of %d (%s)", before+done, machines, machine)
		}
		found, err := connectors.Probe(ctx, j.devices, j.options)
		if err != nil {
			p.done()
			if direct {
				return errors.New(strings.ReplaceAll(err.Error(), "devices[0].", ""))
			}
			return err
		}
		all = append(all, found...)
		before += len(j.devices)
	}
	p.done()
	if err := a.printProbed(all, f.output, direct, views); err != nil {
		return err
	}
	return a.summary(ctx, all)
}

// summary tells how many signals are good; it is an error if not all are.
func (a *app) summary(ctx context.Context, all []connectors.Probed) error {
	var count [3]int
	total := 0
	for _, d := range all {
		for _, s := range d.Signals {
			total++
			count[min(int(s.Reading.Quality), 2)]++
		}
	}
	text := fmt.Sprintf("%d of %d signals of %d machines are good", count[plant.Good], total, len(all))
	if len(all) == 1 {
		text = fmt.Sprintf("%d of %d signals are good", count[plant.Good], total)
	}
	if n := count[plant.Uncertain]; n > 0 {
		text += fmt.Sprintf(", %d uncertain", n)
	}
	if n := count[plant.Bad]; n > 0 {
		text += fmt.Sprintf(", %d bad", n)
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted: " + text)
	case count[plant.Good] < total:
		return errors.New(text)
	}
	_, err := fmt.Fprintln(a.stderr, text)
	return err
}

// fromFile takes the devices of a gateway's file, or those of a demo's.
func (f *probeFlags) fromFile(args []string, log *slog.Logger) ([]probeJob, error) {
	if len(args) > 1 {
		return nil, fmt.Errorf("found %q after the file, allowed: nothing; addresses and nodes come after a URL", args[1])
	}
	// A technician's computer need not have the broker's password.
	file, err := configs.ReadFile(args[0], configs.Options{WithoutSecrets: true})
	if err != nil {
		return nil, err
	}
	if len(file.Gateways) == 0 {
		return nil, fmt.Errorf("%s is a %s's file, which has no devices: give a gateway's", args[0], file.Kind)
	}
	var jobs []probeJob
	for _, g := range file.Gateways {
		job := probeJob{options: connectors.ProbeOptions{Log: log, PKI: &opcua.PKI{Folder: g.Certificates, Log: log}}}
		for _, d := range g.Devices {
			if len(f.machines) > 0 && !slices.Contains(f.machines, d.Machine) {
				continue
			}
			if len(f.signals) > 0 {
				d.Signals = slices.DeleteFunc(slices.Clone(d.Signals), func(s connectors.Signal) bool { return !slices.Contains(f.signals, s.Name) })
			}
			if d.OPCUA != nil && unresolved(d.OPCUA.User.Password.Reveal()) {
				return nil, fmt.Errorf("%s: the variable or file with the password of machine %s is not here", args[0], d.Machine)
			}
			if len(d.Signals) > 0 {
				job.devices = append(job.devices, d)
			}
		}
		if len(job.devices) > 0 {
			jobs = append(jobs, job)
		}
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("%s has no signal %s of machine %s", args[0], anyOf(f.signals), anyOf(f.machines))
	}
	return jobs, nil
}

// unresolved tells whether a secret's variable or file was not there.
func unresolved(secret string) bool {
	return strings.HasPrefix(secret, "${env:") || strings.HasPrefix(secret, "${file:")
}

func anyOf(names []string) string {
	if len(names) == 0 {
		return "(any)"
	}
	return strings.Join(names, " or ")
}

// fromNodes takes nodes of a server.
func (f *probeFlags) fromNodes(ctx context.Context, args []string, log *slog.Logger) ([]probeJob, error) {
	if err := f.needsSecurity(ctx, args[0]); err != nil {
		return nil, err
	}
	c, err := f.config(args[0])
	if err != nil {
		return nil, err
	}
	d := connectors.Config{Machine: "device", OPCUA: &c}
	for i, n := range args[1:] {
		d.Signals = append(d.Signals, connectors.Signal{Name: "node-" + strconv.Itoa(i+1), Node: n})
	}
	return []probeJob{{[]connectors.Config{d}, connectors.ProbeOptions{Log: log, PKI: f.pki(log), AnyType: true}}}, nil
}

// fromAddresses takes registers of a device: each address, its type if one
// follows, and as many further ones as the count says.
func (f *probeFlags) fromAddresses(args []string) ([]probeJob, error) {
	if len(args) == 1 {
		return nil, fmt.Errorf("found no address after %s, allowed: addresses such as holding:0, each with a type such as float32", args[0])
	}
	if f.count < 1 || f.count > mostCount {
		return nil, fmt.Errorf("--count: found %d, allowed: 1 to %d", f.count, mostCount)
	}
	d := connectors.Config{Machine: "device", Modbus: &modbus.Config{URL: args[0], Unit: f.unit, Timeout: f.timeout}}
	rest := args[1:]
	for len(rest) > 0 {
		s := connectors.Signal{Address: rest[0]}
		if rest = rest[1:]; len(rest) > 0 && typeWord.MatchString(rest[0]) {
			s.Type, rest = rest[0], rest[1:]
		}
		if f.bit >= 0 {
			s.Bit = &f.bit
		}
		if s.Type == "" && s.Bit == nil && !bits(s.Address) {
			s.Type = "uint16"
		} else if s.Type == "" {
			s.Type = "bool"
		}
		f.fit(&s)
		for range f.count {
			s.Name = fmt.Sprintf("%s.%d", strings.ReplaceAll(s.Address, ":", "."), len(d.Signals)+1)
			d.Signals = append(d.Signals, s)
			next, err := after(&s)
			if err != nil && f.count > 1 {
				return nil, err
			}
			s.Address = next
		}
	}
	return []probeJob{{[]connectors.Config{d}, connectors.ProbeOptions{}}}, nil
}

// fit gives a signal those of the flags that its type has a use for.
func (f *probeFlags) fit(s *connectors.Signal) {
	if s.Type == "string" {
		s.Length = f.length
	}
	if long := len(f.order) > 2; long == (registers(s) > 1 && s.Type != "string") {
		s.Order = f.order
	}
}

// mostCount bounds what one command reads.
const mostCount = 2000

// typeWord is what a type looks like, also a mistyped one; addresses never do.
var typeWord = regexp.MustCompile(`^[a-z]+[0-9]*$`)

// bits tells whether an address is one of the tables of single bits.
func bits(address string) bool {
	return strings.HasPrefix(address, "coil:") || strings.HasPrefix(address, "discrete:") ||
		strings.Trim(address, "0123456789") == "" && (address[0] == '0' || address[0] == '1')
}

// after gives the address of the value after a signal's.
func after(s *connectors.Signal) (string, error) {
	head := strings.TrimRight(s.Address, "0123456789")
	digits := s.Address[len(head):]
	n, err := strconv.Atoi(digits)
	if err != nil {
		return "", fmt.Errorf("address %q: found no number at its end, allowed: holding:N and so on", s.Address)
	}
	step := registers(s)
	if head == "" { // 00001 keeps its digits
		return fmt.Sprintf("%0*d", len(digits), n+step), nil
	}
	return head + strconv.Itoa(n+step), nil
}

// registers gives how many a signal takes, or 1 bit.
func registers(s *connectors.Signal) int {
	switch {
	case s.Type == "string":
		return (s.Length + 1) / 2
	case strings.HasSuffix(s.Type, "32"):
		return 2
	case strings.HasSuffix(s.Type, "64"):
		return 4
	}
	return 1
}

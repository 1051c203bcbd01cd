package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"linetwin/connectors/opcua"
)

// browseFlags are what `linetwin browse` can be told.
type browseFlags struct {
	reach
	output  string
	walk    opcua.Walk
	filter  string
	machine string
	twin    bool
}

func (a *app) browse() *cobra.Command {
	var f browseFlags
	cmd := &cobra.Command{
		Use:   "browse URL",
		Short: "Walk through an OPC UA server and write its variables as a gateway's settings",
		Long: "Walk through the address space of an OPC UA server and write what can be read as devices: for\n" +
			"gateway.yaml, which `linetwin check` accepts. Machines that follow PackML (OPC 30050) or Machinery\n" +
			"(OPC 40001-1) become devices of their own, with the mapping for twin.yaml. Nothing is ever written\n" +
			"to the server. When it is interrupted, what was found so far is written.",
		Example: "  linetwin browse opc.tcp://192.168.10.31:4840 --security None > devices.yaml\n" +
			"  linetwin browse opc.tcp://192.168.10.31:4840 --security None --from 'ns=2;s=Press' --filter temp --output table",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runBrowse(cmd.Context(), args[0], &f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", outYAML, "yaml, table, json or csv")
	flags.StringVar(&f.walk.From, "from", "", "node where to begin (default the Objects folder)")
	flags.IntVar(&f.walk.Depth, "depth", 0, "how many steps down (default as far as it goes)")
	flags.IntVar(&f.walk.Limit, "limit", 10000, "most variables to find; 0 for any number")
	flags.StringVar(&f.filter, "filter", "", "only variables whose path has this text, or fits this regular expression; case does not matter")
	flags.StringVar(&f.machine, "machine", "new-machine", "name of the machine in the settings")
	flags.BoolVar(&f.twin, "twin", false, "print only the mapping for twin.yaml")
	f.flags(cmd)
	return cmd
}

func (f *browseFlags) check(url string) error {
	if err := checkOutput(f.output, outYAML, outTable, outJSON, outCSV); err != nil {
		return err
	}
	if !strings.HasPrefix(url, "opc.tcp://") {
		return fmt.Errorf("found %q, allowed: opc.tcp://host:port. A Modbus device has no names to browse; which registers answer shows: linetwin probe %s holding:0 --count 100", url, url)
	}
	if f.walk.Depth < 0 || f.walk.Limit < 0 {
		return errors.New("--depth and --limit: found less than 0, allowed: 0 or more")
	}
	if !validMachine(f.machine) {
		return fmt.Errorf("--machine: found %q, allowed: 1 to 64 of a-z A-Z 0-9 _ -", f.machine)
	}
	if f.filter != "" {
		re, err := regexp.Compile("(?i)" + f.filter)
		if err != nil {
			re = regexp.MustCompile("(?i)" + regexp.QuoteMeta(f.filter)) // plain text
		}
		f.walk.Match = re.MatchString
	}
	return nil
}

// found takes what a walk gives, and writes it.
type found interface {
	variable(v opcua.Variable) error
	// end writes what is left. Notes say what is missing from the whole.
	end(notes []string) error
}

func (a *app) runBrowse(ctx context.Context, url string, f *browseFlags) error {
	if err := f.check(url); err != nil {
		return err
	}
	e, cfg, err := a.explore(ctx, url, f)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	defer e.Close()
	var out found = &listing{rows: newRows(a.stdout, f.output, "path", "node", "type", "unit", "description", "low", "high", "enum", "machine", "role", "note")}
	if f.output == outYAML || f.twin {
		out = newSettings(a.stdout, f, cfg, e.Server())
	}
	p := a.progress()
	f.walk.Progress = func(w opcua.Walked) { p.tell("%d nodes, %d variables ...", w.Nodes, w.Variables) }
	walked, failure := e.Browse(ctx, f.walk, out.variable)
	p.done()
	interrupted := failure != nil && ctx.Err() != nil
	notes := f.notes(walked, failure, interrupted)
	if err := out.end(notes); err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(a.stderr, "note:", n)
	}
	switch {
	case interrupted:
		return errors.New("interrupted: only a part was walked")
	case failure != nil:
		return failure
	case walked.Variables == 0:
		return fmt.Errorf("no variable was found among %d nodes", walked.Nodes)
	}
	_, err = fmt.Fprintf(a.stderr, "%d variables of %d nodes\n", walked.Variables, walked.Nodes)
	return err
}

func (a *app) explore(ctx context.Context, url string, f *browseFlags) (*opcua.Explorer, opcua.Config, error) {
	log, err := a.quietLog()
	if err != nil {
		return nil, opcua.Config{}, err
	}
	if err := f.needsSecurity(ctx, url); err != nil {
		return nil, opcua.Config{}, err
	}
	cfg, err := f.config(url)
	if err != nil {
		return nil, cfg, err
	}
	e, err := opcua.Explore(ctx, cfg, f.pki(log), log)
	return e, cfg, err
}

// notes says what is missing from what was written.
func (f *browseFlags) notes(w opcua.Walked, failure error, interrupted bool) []string {
	var notes []string
	switch {
	case interrupted:
		notes = append(notes, fmt.Sprintf("partial: interrupted after %d nodes and %d variables", w.Nodes, w.Variables))
	case failure != nil:
		notes = append(notes, fmt.Sprintf("partial: after %d nodes and %d variables: %v", w.Nodes, w.Variables, failure))
	case w.Cut:
		notes = append(notes, fmt.Sprintf("cut: there are more than %d variables; see --limit, --filter and --from", f.walk.Limit))
	}
	for _, why := range w.Why {
		notes = append(notes, "not browsed: "+why)
	}
	if more := w.Failed - len(w.Why); more > 0 {
		notes = append(notes, fmt.Sprintf("not browsed: %d more nodes", more))
	}
	return notes
}

// listing writes variables as rows.
type listing struct{ rows *rows }

func (l *listing) variable(v opcua.Variable) error {
	var low, high, enum, machine any
	if v.Low != 0 || v.High != 0 {
		low, high = v.Low, v.High
	}
	if len(v.Enum) > 0 {
		enum = strings.Join(v.Enum, ", ")
	}
	if v.Machine != nil {
		machine = v.Machine.Name
	}
	return l.rows.add(strings.Join(v.Path, "/"), v.Node, text(v.Type), text(v.Unit), text(v.Description), low, high, enum, machine, text(v.Role), text(v.Why))
}

func (l *listing) end([]string) error { return l.rows.close() }

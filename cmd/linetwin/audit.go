package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linetwin/configs"
	"linetwin/plant"
)

// auditPart is how much of a long range is asked for at once.
const auditPart = time.Hour

type auditFlags struct{ from, to, gateway, output string }

func (a *app) audit() *cobra.Command {
	var f auditFlags
	c := &cobra.Command{
		Use: "audit FILE", Short: "Hold what gateways made against what history has", Args: cobra.ExactArgs(1),
		Long: `Asks the running twin of FILE, per machine and minute of readings' time, what its gateways made and what its
history has, and names every difference: waiting at the gateway, quarantined, dropped,
expired by history's retention, or unexplained.

The exit code is 0 where all is in history, 2 where something is missing, is too much, or was not counted, and
1 where the audit could not be made.`,
		Example: `  linetwin audit twin.yaml                              the last hour
  linetwin audit twin.yaml --from 24h --to 1h           from 24 hours ago to one hour ago
  linetwin audit twin.yaml --from 2026-03-02T08:00:00+08:00 --to 2026-03-02T16:00:00+08:00 --output csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output, outTable, outJSON, outCSV); err != nil {
				return err
			}
			now := time.Now()
			span, err := f.span(now)
			if err != nil {
				return err
			}
			cfg, err := configs.LoadTwin(args[0])
			if err != nil {
				return err
			}
			audit, err := a.askAudit(cmd.Context(), "http://"+reachable(cfg.Web.Listen), span, f.gateway)
			if err != nil {
				return err
			}
			if err := a.printAudit(&audit, f.output); err != nil {
				return err
			}
			if !audit.Proven {
				return exitError{2, "audit: it is not proven that all that was made is stored"}
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.from, "from", "1h", "begin: a time as 2026-03-02T08:00:00+08:00, or how long ago as 24h")
	c.Flags().StringVar(&f.to, "to", "0s", "end, not part of it: as --from")
	c.Flags().StringVar(&f.gateway, "gateway", "", "only the machines that this gateway counted: its name, or area/name")
	c.Flags().StringVar(&f.output, "output", outTable, "table, json or csv")
	return c
}

// span reads the ends; those told by how long ago are cut to whole minutes.
func (f *auditFlags) span(now time.Time) (plant.Span, error) {
	from, err1 := auditTime("--from", f.from, now)
	to, err2 := auditTime("--to", f.to, now)
	if err := errors.Join(err1, err2); err != nil {
		return plant.Span{}, err
	}
	if from >= to {
		return plant.Span{}, fmt.Errorf("--from: found %s, allowed: a time before --to, %s", from, to)
	}
	if to > plant.At(now) {
		return plant.Span{}, fmt.Errorf("--to: found %s, allowed: not after now, %s", to, plant.At(now))
	}
	return plant.Span{From: from, To: to}, nil
}

func auditTime(flag, text string, now time.Time) (plant.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return plant.At(now.Add(-ago)).Floor(time.Minute), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || plant.At(t) != plant.At(t).Floor(time.Minute) {
		return 0, fmt.Errorf("%s: found %q, allowed: a whole minute as 2026-03-02T08:00:00+08:00, or how long ago as 24h", flag, text)
	}
	return plant.At(t), nil
}

// reachable gives an address at which a listener can be reached from here.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// askAudit asks for one part after the other, and tells on stderr how far it is.
func (a *app) askAudit(ctx context.Context, base string, span plant.Span, gateway string) (plant.Audit, error) {
	var whole plant.Audit
	for from := span.From; from < span.To; from = from.Add(auditPart) {
		part := plant.Span{From: from, To: min(from.Add(auditPart), span.To)}
		q := url.Values{"from": {part.From.String()}, "to": {part.To.String()}}
		if gateway != "" {
			q.Set("gateway", gateway)
		}
		var answer plant.Audit
		if err := ask(ctx, http.MethodGet, base+"/api/v1/audit?"+q.Encode(), nil, &answer); err != nil {
			return whole, fmt.Errorf("audit from %s to %s: %w", part.From, part.To, err)
		}
		if from == span.From {
			whole = answer
		} else {
			whole.Join(&answer)
		}
		if span.Length() > auditPart {
			fmt.Fprintf(a.stderr, "audited up to %s: %d made, %d missing\n", part.To, whole.Sums.Made, whole.Sums.Missing())
		}
	}
	return whole, nil
}

// printAudit prints the differences as rows, or all of it as JSON. With a table
// the sums and what could not be proven stand below it.
func (a *app) printAudit(audit *plant.Audit, form string) error {
	if form == outJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(audit)
	}
	r := newRows(a.stdout, form, "machine", "from", "to", "gateways", "made", "repeated", "stored", "waiting", "quarantined", "dropped", "expired", "unexplained", "surplus", "uncounted")
	for i := range audit.Differences {
		d := &audit.Differences[i]
		cells := []any{d.Machine, d.From, d.To, strings.Join(d.Gateways, " "), d.Made, d.Repeated, d.Stored}
		for _, n := range []uint64{d.Waiting, d.Quarantined, d.Dropped, d.Expired, d.Unexplained, d.Surplus, d.Uncounted} {
			if n == 0 && form == outTable {
				cells = append(cells, nil)
			} else {
				cells = append(cells, n)
			}
		}
		if err := r.add(cells...); err != nil {
			return err
		}
	}
	if form == outCSV {
		for _, note := range auditNotes(audit) {
			fmt.Fprintln(a.stderr, note)
		}
		return r.close()
	}
	if len(audit.Differences) > 0 {
		if err := r.close(); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	for _, note := range auditNotes(audit) {
		fmt.Fprintln(a.stdout, note)
	}
	return nil
}

// auditNotes gives the sums, the dropped times and the gateways' problems in words.
func auditNotes(audit *plant.Audit) []string {
	s := &audit.Sums
	notes := []string{fmt.Sprintf("%s to %s: %d made, of these %d repeated; %d stored, %d waiting, %d quarantined, %d dropped, %d expired, %d unexplained; %d surplus, %d uncounted",
		audit.From, audit.To, s.Made, s.Repeated, s.Stored, s.Waiting, s.Quarantined, s.Dropped, s.Expired, s.Unexplained, s.Surplus, s.Uncounted)}
	for i := range audit.Gaps {
		g := &audit.Gaps[i]
		machine := g.Machine
		if machine == "" {
			machine = "unknown machines"
		}
		notes = append(notes, fmt.Sprintf("gateway %s/%s dropped %d readings of %s from %s to %s", g.Area, g.Gateway, g.Readings, printable(machine), g.From, g.To))
	}
	for i := range audit.Gateways {
		if g := &audit.Gateways[i]; g.Problem != "" {
			notes = append(notes, fmt.Sprintf("gateway %s/%s %s", g.Area, g.Gateway, g.Problem))
		}
	}
	if len(audit.Gateways) == 0 {
		notes = append(notes, "no gateway was ever heard")
	}
	if audit.Proven {
		notes = append(notes, "proven: all that was made is stored")
	}
	return notes
}

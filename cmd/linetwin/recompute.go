package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"linetwin/configs"
	"linetwin/plant"
)

// recomputePart is how much of a long range is asked for at once.
const recomputePart = 7 * 24 * time.Hour

type recomputeFlags struct {
	auditFlags
	lines   []string
	dry     bool
	by, why string
}

func (a *app) recompute() *cobra.Command {
	var f recomputeFlags
	c := &cobra.Command{
		Use: "recompute FILE", Short: "Make the figures of past shifts anew from history", Args: cobra.ExactArgs(1),
		Long: `Asks the running twin of FILE to fold the readings of a past range once more, with the settings and entries of now,
and prints the closed shifts whose figures are others than the published ones. Without --dry-run they are restated:
the published figures stay beside the new ones, with the reason "recomputed by ...".

A shift of which history has deleted readings stays as it is, and is named. The twin has to run: its stores have one
owner, and what it holds in memory must not differ from what is in them.`,
		Example: `  linetwin recompute twin.yaml --from 2026-01-01T00:00:00+08:00 --dry-run
  linetwin recompute twin.yaml --from 720h --line mcb-a --why "state 14 is a changeover" --output csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(f.output, outTable, outJSON, outCSV); err != nil {
				return err
			}
			span, err := f.span(time.Now())
			if err != nil {
				return err
			}
			cfg, err := configs.LoadTwin(args[0])
			if err != nil {
				return err
			}
			effects, err := a.askRecompute(cmd.Context(), "http://"+reachable(cfg.Web.Listen), span, &f)
			if err := errors.Join(err, a.printEffects(effects, f.output)); err != nil {
				return err
			}
			done := "restated"
			if f.dry {
				done = "would be restated"
			}
			fmt.Fprintf(a.stderr, "%s to %s: %d shifts %s\n", span.From, span.To, changed(effects), done)
			return nil
		},
	}
	me := ""
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	c.Flags().StringVar(&f.from, "from", "", "begin: a time as 2026-03-02T08:00:00+08:00, or how long ago as 720h")
	c.Flags().StringVar(&f.to, "to", "0s", "end, not part of it: as --from")
	c.Flags().StringArrayVar(&f.lines, "line", nil, "only this line; may be given several times")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "say what would change, and change nothing")
	c.Flags().StringVar(&f.by, "by", me, "who wants it, as revisions are to name them")
	c.Flags().StringVar(&f.why, "why", "", "and why")
	c.Flags().StringVar(&f.output, "output", outTable, "table, json or csv")
	cobra.CheckErr(c.MarkFlagRequired("from"))
	return c
}

// askRecompute asks for one part after the other, and tells on stderr how far
// it is. With an error it gives what came before it.
func (a *app) askRecompute(ctx context.Context, base string, span plant.Span, f *recomputeFlags) ([]plant.Effect, error) {
	type request struct {
		From  plant.Time `json:"from"`
		To    plant.Time `json:"to"`
		Lines []string   `json:"lines,omitempty"`
		Dry   bool       `json:"dry_run"`
		By    string     `json:"by"`
		Why   string     `json:"why,omitempty"`
	}
	all := []plant.Effect{}
	for from := span.From; from < span.To; from = from.Add(recomputePart) {
		r := request{From: from, To: min(from.Add(recomputePart), span.To), Lines: f.lines, Dry: f.dry, By: f.by, Why: f.why}
		var effects []plant.Effect
		if err := ask(ctx, http.MethodPost, base+"/api/v1/recompute", r, &effects); err != nil {
			return all, fmt.Errorf("recompute from %s to %s: %w", r.From, r.To, err)
		}
		all = append(all, effects...)
		if span.Length() > recomputePart {
			fmt.Fprintf(a.stderr, "recomputed up to %s: %d shifts differ\n", r.To, changed(all))
		}
	}
	return all, nil
}

// changed counts the shifts that became others.
func changed(effects []plant.Effect) (n int) {
	for i := range effects {
		if effects[i].Why != plant.EffectKept {
			n++
		}
	}
	return n
}

// printEffects prints what changed as rows, or all of it as JSON.
func (a *app) printEffects(effects []plant.Effect, form string) error {
	if form == outJSON {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(effects)
	}
	r := newRows(a.stdout, form, "line", "shift", "name", "oee_before", "oee_after", "good_before", "good_after", "reject_before", "reject_after", "run_s_before", "run_s_after", "revision", "why")
	for i := range effects {
		e := &effects[i]
		cells := []any{e.Line, e.Shift}
		before, after := cellsOf(e.Before), cellsOf(e.After)
		one := e.After
		if one == nil {
			one = e.Before
		}
		if one == nil {
			continue
		}
		cells = append(cells, one.Shift)
		for i := range before {
			cells = append(cells, before[i], after[i])
		}
		if err := r.add(append(cells, one.Revision, e.Why)...); err != nil {
			return err
		}
	}
	if len(effects) == 0 && form == outTable {
		return nil
	}
	return r.close()
}

// cellsOf gives the figures that a row shows; nil for what there is not.
func cellsOf(f *plant.Figures) [4]any {
	if f == nil {
		return [4]any{}
	}
	cells := [4]any{nil, f.Good, f.Reject, f.RunS}
	if f.OEE != nil {
		cells[0] = fmt.Sprintf("%.4f", *f.OEE)
	}
	return cells
}

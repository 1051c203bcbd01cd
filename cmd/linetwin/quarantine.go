package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"linetwin/connectors/sqlite"
	"linetwin/plant"
)

// retrier is a quarantine with the history that refused what is in it.
type retrier struct {
	*sqlite.Aside
	write func(context.Context, []*plant.Batch) error
}

// Retry stores again what f chooses.
func (r retrier) Retry(ctx context.Context, f plant.QuarantineFilter, as string) (plant.Retried, error) {
	return r.Aside.Retry(ctx, f, as, r.write)
}

// refusals asks a running twin about its quarantine.
type refusals struct {
	*app
	url    string
	filter plant.QuarantineFilter
}

func (a *app) quarantine() *cobra.Command {
	q := &refusals{app: a}
	cmd := &cobra.Command{
		Use: "quarantine", Short: "Show the readings that history refused, and store them again", Args: cobra.NoArgs,
		Long: "Asks the twin that runs on this computer. Without a command, list what was refused: which signal, why and how many.",
		RunE: func(cmd *cobra.Command, _ []string) error { return q.list(cmd.Context()) },
	}
	cmd.PersistentFlags().StringVar(&q.url, "url", "http://127.0.0.1:8080", "address of the twin's pages")
	cmd.PersistentFlags().StringVar(&q.filter.Machine, "machine", "", "only of this machine")
	cmd.PersistentFlags().StringVar(&q.filter.Signal, "signal", "", "only of signals of this name")
	var as string
	retry := &cobra.Command{
		Use: "retry", Short: "Store again what was refused, once the cause is mended", Args: cobra.NoArgs,
		Long: "What is stored leaves the quarantine, the rest stays. Readings of a signal whose type has changed are\n" +
			"stored with --signal NAME --as OTHER under another name, beside those of the former type.",
		RunE: func(cmd *cobra.Command, _ []string) error { return q.retry(cmd.Context(), as) },
	}
	retry.Flags().StringVar(&as, "as", "", "store them as readings of a signal of this name; needs --signal")
	cmd.AddCommand(retry, &cobra.Command{
		Use: "download", Short: "Write the refused readings to standard output, as lines of JSON, the latest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return q.download(cmd.Context()) },
	})
	return cmd
}

func (q *refusals) list(ctx context.Context) error {
	var sum plant.Quarantine
	if err := q.ask(ctx, http.MethodGet, "", nil, &sum); err != nil {
		return err
	}
	table := newRows(q.stdout, outTable, "readings", "machine", "signal", "kind", "from", "to", "why")
	for _, g := range sum.Groups {
		if q.filter.Machine != "" && q.filter.Machine != g.Machine || q.filter.Signal != "" && q.filter.Signal != g.Signal {
			continue
		}
		if err := table.add(g.Count, g.Machine, g.Signal, g.Kind, g.Span.From, g.Span.To, g.Why); err != nil {
			return err
		}
	}
	if len(table.held) > 0 {
		if err := table.close(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(q.stdout, "%d readings are kept; %d were too many or too old to keep\n", sum.Waiting, sum.Dropped)
	return err
}

func (q *refusals) download(ctx context.Context) error {
	query := url.Values{"limit": {strconv.Itoa(100_000)}}
	for name, value := range map[string]string{"machine": q.filter.Machine, "signal": q.filter.Signal} {
		if value != "" {
			query.Set(name, value)
		}
	}
	var refused []json.RawMessage
	if err := q.ask(ctx, http.MethodGet, "/readings?"+query.Encode(), nil, &refused); err != nil {
		return err
	}
	for _, r := range refused {
		if _, err := fmt.Fprintf(q.stdout, "%s\n", r); err != nil {
			return err
		}
	}
	return nil
}

func (q *refusals) retry(ctx context.Context, as string) error {
	request := map[string]string{}
	for name, value := range map[string]string{"machine": q.filter.Machine, "signal": q.filter.Signal, "as": as} {
		if value != "" {
			request[name] = value
		}
	}
	var done plant.Retried
	if err := q.ask(ctx, http.MethodPost, "/retry", request, &done); err != nil {
		return err
	}
	_, err := fmt.Fprintf(q.stdout, "%d tried, %d stored, %d refused again\n", done.Tried, done.Stored, done.Refused)
	return err
}

// ask sends a request about the quarantine to the twin and reads its answer.
func (q *refusals) ask(ctx context.Context, method, path string, request, answer any) error {
	err := ask(ctx, method, strings.TrimSuffix(q.url, "/")+"/api/v1/quarantine"+path, request, answer)
	if err != nil {
		return fmt.Errorf("quarantine: --url %s: %w", q.url, err)
	}
	return nil
}

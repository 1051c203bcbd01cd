package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"linetwin/configs"
	"linetwin/connectors/broker"
	"linetwin/connectors/influx"
	"linetwin/connectors/sparkplug"
	"linetwin/connectors/sqlite"
	"linetwin/plant"
	"linetwin/twin"
	"linetwin/web"
)

func (a *app) twin() *cobra.Command {
	return &cobra.Command{
		Use: "twin FILE", Short: "Keep the live model of a site's lines and serve its pages", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			log, err := a.log()
			if err != nil {
				return err
			}
			cfg, err := configs.LoadTwin(args[0])
			if err != nil {
				return err
			}
			t, err := newTwin(cmd.Context(), cfg, log)
			if err != nil {
				return err
			}
			defer t.close()
			log.Info("twin starts", "site", cfg.Site, "version", version)
			defer log.Info("twin stops", "site", cfg.Site)
			return t.run(cmd.Context(), func(url string) { fmt.Fprintln(a.stdout, "LineTwin is at", url) })
		},
	}
}

// twinRole is a twin with its stores, its wire and its pages.
type twinRole struct {
	cfg    *configs.Twin
	log    *slog.Logger
	broker *broker.Broker // nil: it is somewhere else
	model  *twin.Twin
	web    *web.Server
	meters *meters
	wire   *wireWatch
	stores []io.Closer
	aside  retrier

	background []func(context.Context) error // what the stores do beside
}

// newTwin opens the stores and puts the parts together; it listens nowhere.
func newTwin(ctx context.Context, cfg *configs.Twin, log *slog.Logger) (*twinRole, error) {
	t := &twinRole{cfg: cfg, log: log, meters: newMeters(), wire: &wireWatch{}}
	if err := t.open(ctx); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *twinRole) open(ctx context.Context) error {
	cfg, log := t.cfg, t.log
	history, err := t.openHistory(ctx)
	if err != nil {
		return err
	}
	ledger, err := sqlite.OpenLedger(ctx, cfg.Ledger.SQLite)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	t.stores = append(t.stores, ledger)
	outlet, _ := history.(twin.Outlet) // InfluxDB; what is embedded only the API reads
	t.model, err = twin.New(cfg.Config, twin.Options{History: history, Ledger: ledger, Books: ledger, Counter: history, Outlet: outlet, Rules: cfg.Rules(), Version: version, Log: log})
	if err != nil {
		return err
	}
	if cfg.Broker.Embedded != nil {
		if t.broker, err = broker.New(*cfg.Broker.Embedded, log); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
	}
	t.web, err = web.New(cfg.Web, web.Sources{
		Plant: t.model, Signals: t.model, Alerts: t.model, Live: t.model, Scorecard: t.model, Losses: t.model, Places: t.model, Yields: t.model, Entries: t.model, Quarantine: t.aside, Audits: t.model, Recompute: t.model, Plans: t.model,
		Metrics: t.meters.handler(t.model, t.wire), Ready: t.wire.ready(t.model.Ready),
	}, version, log)
	if err != nil {
		return fmt.Errorf("web: %w", err)
	}
	return nil
}

// history is what the twin asks of a store.
type history interface {
	twin.History
	twin.Counter
}

// wholeQuarantine is a history in InfluxDB that tells all that was set aside,
// also before this start.
type wholeQuarantine struct {
	*influx.History
	aside *sqlite.Aside
}

func (w wholeQuarantine) Quarantine(ctx context.Context, limit int) ([]plant.Refused, error) {
	return w.aside.Refused(ctx, plant.QuarantineFilter{}, limit)
}

func (t *twinRole) openHistory(ctx context.Context) (history, error) {
	if c := t.cfg.History.Influx; c != nil {
		h, err := influx.Open(*c, t.log)
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		t.stores = append(t.stores, h)
		aside, err := sqlite.OpenAside(ctx, c.Quarantine)
		if err != nil {
			return nil, fmt.Errorf("history.influxdb.quarantine: %w", err)
		}
		t.stores = append(t.stores, aside)
		h.KeepAside(aside)
		t.aside, t.meters.quarantined = retrier{aside, h.Write}, h.Quarantined
		t.background = append(t.background, h.Run)
		if err := h.Ping(ctx); err != nil {
			// It may come up later: the gateways keep the data until then.
			t.log.Warn("history is not there yet", "error", err)
		}
		return wholeQuarantine{h, aside}, nil
	}
	h, err := sqlite.OpenHistory(ctx, *t.cfg.History.Embedded, t.log)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	t.stores = append(t.stores, h)
	t.aside = retrier{h.Aside(), h.Write}
	t.meters.retained = h.Retained
	t.meters.quarantined, t.background = h.Quarantined, append(t.background, h.Run)
	return h, nil
}

// run works until ctx ends; ready is told the URL of the pages.
func (t *twinRole) run(ctx context.Context, ready func(url string)) error {
	jobs := []func(context.Context) error{t.web.Run, func(ctx context.Context) error {
		select {
		case <-t.web.Ready():
			ready("http://" + t.web.Addr() + "/")
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	}}
	jobs = append(append(jobs, t.background...), t.listen)
	work := func(ctx context.Context) error { return together(ctx, jobs...) }
	if t.broker == nil {
		return work(ctx)
	}
	return within(ctx, t.broker.Run, work)
}

// listen brings what gateways send to the model, once the broker is there.
func (t *twinRole) listen(ctx context.Context) error {
	cfg := t.cfg.Broker.HostConfig
	if t.broker != nil {
		select {
		case <-t.broker.Ready():
			if err := t.local(&cfg.Connection); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
	host, err := sparkplug.NewHost(cfg, t.model, t.log)
	if err != nil {
		return fmt.Errorf("wire: %w", err)
	}
	t.meters.listen(host.Stats)
	t.wire.follow(host)
	jobs := []func(context.Context) error{host.Run,
		func(ctx context.Context) error { return t.model.Run(ctx, host) },
		func(ctx context.Context) error { return t.watch(ctx, host) }}
	if on := t.cfg.Publish.MQTT; on == nil || *on {
		board, err := sparkplug.NewBoard(cfg, t.model, t.log)
		if err != nil {
			return fmt.Errorf("publish.mqtt: %w", err)
		}
		jobs = append(jobs, board.Run)
	}
	return together(ctx, jobs...)
}

// local makes the twin's own connection to its embedded broker: the same
// listener as for gateways, with the same security.
func (t *twinRole) local(c *sparkplug.Connection) error {
	c.Brokers = []string{"tcp://" + t.broker.Addr()}
	c.User, c.Password = t.broker.Local()
	files := t.cfg.Broker.Embedded.TLS
	if files.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return fmt.Errorf("broker.embedded.tls: %w", err)
	}
	// The broker is known by its very certificate, whoever signed it.
	c.Brokers = []string{"tls://" + t.broker.Addr()}
	c.TLS.CA = files.Cert
	switch leaf := pair.Leaf; {
	case len(leaf.DNSNames) > 0:
		c.TLS.ServerName = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		c.TLS.ServerName = leaf.IPAddresses[0].String()
	default:
		return fmt.Errorf("broker.embedded.tls: %s names no host: allowed: a certificate with a DNS name or an IP address", files.Cert)
	}
	if files.CA != "" { // clients must show a certificate: we show the broker's
		c.TLS.Cert, c.TLS.Key = files.Cert, files.Key
	}
	return nil
}

// watch tells the model what the wire and the store had to refuse.
func (t *twinRole) watch(ctx context.Context, host *sparkplug.Host) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		t.notice(host.Stats())
		kind, text, count := t.wire.notice()
		t.model.Notice(kind, text, count)
	}
}

func (t *twinRole) notice(s sparkplug.Stats) {
	var foreign uint64
	for _, n := range s.Foreign {
		foreign += n
	}
	for _, n := range []struct {
		kind, text string
		count      uint64
	}{
		{"foreign", "messages on our topics that are not Sparkplug B", foreign},
		{"overload", "messages dropped because they came faster than they could be taken; gateways send them again", s.Dropped},
		{"unresolved", "metrics that no birth announced", s.Unresolved},
		{"quarantine", "readings that history refused and set aside", uint64(t.meters.quarantined())},
	} {
		if n.count > 0 {
			t.model.Notice(n.kind, n.text, n.count)
		}
	}
}

func (t *twinRole) close() error {
	var errs []error
	for _, s := range t.stores {
		errs = append(errs, s.Close())
	}
	t.stores = nil
	return errors.Join(errs...)
}

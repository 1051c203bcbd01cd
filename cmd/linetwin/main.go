// Command linetwin is the whole of LineTwin in one program: the gateway on an
// edge box, the twin on a server, a simulated plant, and all of them together
// as a demo. All wiring of packages happens here and only here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"linetwin/configs"
)

// version is set at link time: -ldflags "-X main.version=...".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		var code exitError
		if errors.As(err, &code) {
			os.Exit(code.code)
		}
		os.Exit(1)
	}
}

// run executes one command line. It tells errors on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	app := &app{stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:           "linetwin",
		Short:         "Smart-factory gateway and digital twin",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.PersistentFlags().StringVar(&app.logLevel, "log", "info", "log level: debug, info, warn or error")
	root.PersistentFlags().StringVar(&app.logFormat, "log-format", "text", "log format: text or json")
	root.AddCommand(app.demo(), app.gateway(), app.twin(), app.simulate(), app.check(), app.probe(), app.browse(),
		app.signals(), app.profiles(), app.trust(), app.quarantine(), app.audit(), app.recompute(), app.version())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	var problems configs.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(stderr, problems.Error())
	} else {
		fmt.Fprintln(stderr, "linetwin:", err)
	}
	return err
}

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	text string
}

func (e exitError) Error() string { return e.text }

// app is what all commands share.
type app struct {
	stdout, stderr      io.Writer
	logLevel, logFormat string
}

func (a *app) log() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, fmt.Errorf("--log: found %q, allowed: debug, info, warn, error", a.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	switch a.logFormat {
	case "text":
		handler = slog.NewTextHandler(a.stderr, options)
	case "json":
		handler = slog.NewJSONHandler(a.stderr, options)
	default:
		return nil, fmt.Errorf("--log-format: found %q, allowed: text, json", a.logFormat)
	}
	// What libraries say on their own is for those who look for it.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(handler, slog.LevelDebug).Writer())
	return slog.New(handler), nil
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Tell the program's version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, "linetwin", version)
			return err
		},
	}
}

// together runs jobs until one fails or ctx ends, ends the others, and returns
// when all have ended: the first error, or nil when it was only ctx.
func together(ctx context.Context, jobs ...func(context.Context) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(jobs))
	for _, job := range jobs {
		go func() { ended <- job(inner) }()
	}
	var first error
	for range jobs {
		err := <-ended
		if first == nil && err != nil && !(errors.Is(err, context.Canceled) && inner.Err() != nil) {
			first = err
		}
		cancel()
	}
	return first
}

// within runs inner inside outer: when ctx ends, or one of them fails, inner
// ends first and outer after it, so that inner can still say goodbye to what
// outer serves. It gives the first error.
func within(ctx context.Context, outer, inner func(context.Context) error) error {
	outerCtx, stopOuter := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOuter()
	innerCtx, stopInner := context.WithCancel(ctx)
	defer stopInner()
	outerEnded := make(chan error, 1)
	go func() {
		err := outer(outerCtx)
		stopInner()
		outerEnded <- err
	}()
	err := inner(innerCtx)
	stopOuter()
	outerErr := <-outerEnded
	for _, e := range []error{outerErr, err} {
		if e != nil && !errors.Is(e, context.Canceled) {
			return e
		}
	}
	return nil
}

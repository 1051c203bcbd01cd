package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linetwin/connectors/opcua"
	"linetwin/plant"
)

// reach is how a command that is given an address, not a file, gets to an OPC
// UA server. Passwords come from the environment or a file: what stands on a
// command line is for all to see.
type reach struct {
	security     string
	user         string
	passwordEnv  string
	passwordFile string
	plain        bool
	certificate  string
	key          string
	certificates string
	timeout      time.Duration
}

func (r *reach) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.security, "security", "", "opcua: None, or policy and mode as in Basic256Sha256/SignAndEncrypt")
	f.StringVar(&r.user, "user", "", "opcua: sign in with this name")
	f.StringVar(&r.passwordEnv, "password-env", "", "opcua: environment variable that holds the password")
	f.StringVar(&r.passwordFile, "password-file", "", "opcua: file that holds the password")
	f.BoolVar(&r.plain, "plain-password", false, "opcua: allow the password to travel unencrypted")
	f.StringVar(&r.certificate, "user-certificate", "", "opcua: sign in with the certificate in this file")
	f.StringVar(&r.key, "user-key", "", "opcua: file with that certificate's key")
	f.StringVar(&r.certificates, "certificates", "data/pki", "opcua: folder of our certificate and those that are trusted")
	f.DurationVar(&r.timeout, "timeout", 0, "how long one request may take (default opcua 2s, modbus 500ms)")
}

// config gives the settings for a server; their password is taken from where
// the flags say.
func (r *reach) config(url string) (opcua.Config, error) {
	c := opcua.Config{URL: url, Security: r.security, Timeout: r.timeout, User: opcua.User{Name: r.user, Plain: r.plain, Certificate: r.certificate, Key: r.key}}
	if r.user == "" && (r.passwordEnv != "" || r.passwordFile != "") {
		return c, fmt.Errorf("--user: missing, allowed: the name that the password is of")
	}
	switch {
	case r.passwordEnv != "" && r.passwordFile != "":
		return c, fmt.Errorf("--password-file: found --password-env as well, allowed: one of them")
	case r.passwordEnv != "":
		p, ok := os.LookupEnv(r.passwordEnv)
		if !ok || p == "" {
			return c, fmt.Errorf("--password-env: the variable %s is not set", r.passwordEnv)
		}
		c.User.Password = plant.Secret(p)
	case r.passwordFile != "":
		b, err := os.ReadFile(r.passwordFile)
		if err != nil {
			return c, fmt.Errorf("--password-file: %w", err)
		}
		c.User.Password = plant.Secret(strings.TrimRight(string(b), "\r\n"))
	}
	return c, nil
}

// needsSecurity tells which securities a server offers where none was chosen:
// to choose the weakest silently would be wrong, and the strongest may ask for
// certificates.
func (r *reach) needsSecurity(ctx context.Context, url string) error {
	if r.security != "" {
		return nil
	}
	offers, err := opcua.Offers(ctx, url, r.timeout)
	if err != nil {
		return err
	}
	var names []string
	for _, o := range offers {
		if o.Usable {
			names = append(names, o.Security)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("--security: the server offers none that is allowed here; see: linetwin probe %s", url)
	}
	return fmt.Errorf("--security: missing; this server offers: %s", strings.Join(names, ", "))
}

func (r *reach) pki(log *slog.Logger) *opcua.PKI {
	return &opcua.PKI{Folder: r.certificates, Log: log}
}

// terminal tells whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress tells how far long work is, in one line of a terminal that changes.
type progress struct {
	w     io.Writer // nil for nobody
	began time.Time
	told  time.Time
	width int
}

// patience is how long work may take until its progress is told.
const patience = time.Second

func (a *app) progress() *progress {
	p := &progress{began: time.Now()}
	if terminal(a.stderr) {
		p.w = a.stderr
	}
	return p
}

func (p *progress) tell(format string, args ...any) {
	now := time.Now()
	if p.w == nil || now.Sub(p.began) < patience || now.Sub(p.told) < patience/10 {
		return
	}
	p.told = now
	text := printable(fmt.Sprintf(format, args...))
	fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", max(0, p.width-width(text))))
	p.width = width(text)
}

// done takes the line away.
func (p *progress) done() {
	if p.w != nil && p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
	}
}

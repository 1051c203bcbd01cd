package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linetwin/connectors/opcua"
)

func (a *app) trust() *cobra.Command {
	var folder, distrust string
	var renew bool
	cmd := &cobra.Command{
		Use:   "trust [FINGERPRINT | FILE]",
		Short: "List OPC UA certificates, trust or distrust a server's, renew the gateway's",
		Long: "Without an argument, tell the gateway's own certificate and list those that are trusted and\n" +
			"those that were refused. With the beginning of a refused certificate's fingerprint (SHA-256 or\n" +
			"SHA-1), or with a file that holds a certificate, trust it.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			undo := cmd.Flags().Changed("distrust")
			if given := len(args); undo && (given > 0 || renew) || renew && given > 0 {
				return errors.New("trust: one thing at a time: FINGERPRINT or FILE, --distrust, or --renew")
			}
			// Nothing is made here: a mistyped folder must not become a new identity.
			if _, err := os.Stat(filepath.Join(folder, "own")); err != nil {
				return fmt.Errorf("no certificates in %s; the gateway's setting \"certificates\" names the folder, seen from its working folder", folder)
			}
			pki := &opcua.PKI{Folder: folder}
			switch {
			case undo:
				return a.distrust(pki, distrust)
			case renew:
				return a.renew(pki)
			case len(args) == 1:
				return a.trustOne(pki, args[0])
			}
			return a.listCertificates(pki)
		},
	}
	cmd.Flags().StringVar(&folder, "certificates", "data/pki", "the gateway's folder of certificates")
	cmd.Flags().StringVar(&distrust, "distrust", "", "the beginning of the fingerprint of a trusted certificate, to trust it no more")
	cmd.Flags().BoolVar(&renew, "renew", false, "make a new certificate of the gateway now, with the same key and application URI")
	return cmd
}

// trustOne trusts a file's certificate, or a refused one.
func (a *app) trustOne(pki *opcua.PKI, which string) error {
	promote := pki.Promote
	if info, err := os.Stat(which); err == nil && !info.IsDir() || strings.ContainsAny(which, "./\\") {
		promote = pki.TrustFile
	}
	c, err := promote(which)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "trusted %s (%s); a gateway that runs connects within 30 s\n", c.Fingerprint, c.Subject)
	return err
}

func (a *app) distrust(pki *opcua.PKI, prefix string) error {
	c, err := pki.Distrust(prefix)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "no longer trusted: %s (%s); a connection that is open lasts until the gateway is restarted\n", c.Fingerprint, c.Subject)
	return err
}

func (a *app) renew(pki *opcua.PKI) error {
	was, is, err := pki.Renew()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "renewed; the one before is kept as %s\nServers must trust the new one. A gateway that runs shows it when it connects the next time.\n\n", was.File)
	return a.describe(is)
}

// describe tells all that one needs to make a server trust our certificate.
func (a *app) describe(own opcua.Certificate) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "This gateway\t%s\nfile\t%s\napplication URI\t%s\nSHA-256\t%s\nSHA-1\t%s\nvalid until\t%s\n",
		own.Subject, own.File, own.URI, own.Fingerprint, own.Thumbprint, own.To.Std().Format("2006-01-02"))
	return w.Flush()
}

func (a *app) listCertificates(pki *opcua.PKI) error {
	own, err := pki.Own()
	if err != nil {
		return err
	}
	if err := a.describe(own); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSTATE\tFINGERPRINT (SHA-256)\tAPPLICATION URI\tEXPIRES\tSUBJECT")
	n := 0
	for _, of := range []struct {
		state string
		list  func() ([]opcua.Certificate, error)
	}{{"trusted", pki.Trusted}, {"refused", pki.Rejected}} {
		certs, err := of.list()
		if err != nil {
			return err
		}
		for _, c := range certs {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", of.state, c.Fingerprint, c.URI, c.To.Std().Format("2006-01-02"), c.Subject)
		}
		n += len(certs)
	}
	if n == 0 {
		_, err := fmt.Fprintln(a.stdout, "\nNo server is trusted, and none was refused.")
		return err
	}
	return w.Flush()
}

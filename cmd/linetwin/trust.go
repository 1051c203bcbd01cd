package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linetwin/connectors/opcua"
)

func (a *app) trust() *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use:   "trust [FINGERPRINT]",
		Short: "List OPC UA server certificates, or trust one that was refused",
		Long: "Without an argument, tell the gateway's own certificate and list those that are trusted and\n" +
			"those that were refused. With the beginning of a refused certificate's fingerprint, trust it.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			// Nothing is made here: a mistyped folder must not become a new identity.
			if _, err := os.Stat(filepath.Join(folder, "own")); err != nil {
				return fmt.Errorf("no certificates in %s; the gateway's setting \"certificates\" names the folder, seen from its working folder", folder)
			}
			pki := &opcua.PKI{Folder: folder}
			if len(args) == 1 {
				c, err := pki.Promote(args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "trusted %s (%s); a gateway that runs connects within 30 s\n", c.Fingerprint, c.Subject)
				return err
			}
			return a.listCertificates(pki)
		},
	}
	cmd.Flags().StringVar(&folder, "certificates", "data/pki", "the gateway's folder of certificates")
	return cmd
}

func (a *app) listCertificates(pki *opcua.PKI) error {
	own, err := pki.Own()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(state string, c opcua.Certificate) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", state, c.Fingerprint, c.URI, c.To.Std().Format("2006-01-02"))
	}
	fmt.Fprintln(w, "STATE\tFINGERPRINT (SHA-256)\tAPPLICATION URI\tEXPIRES")
	row("own", own)
	for _, of := range []struct {
		state string
		list  func() ([]opcua.Certificate, error)
	}{{"trusted", pki.Trusted}, {"refused", pki.Rejected}} {
		certs, err := of.list()
		if err != nil {
			return err
		}
		for _, c := range certs {
			row(of.state, c)
		}
	}
	return w.Flush()
}

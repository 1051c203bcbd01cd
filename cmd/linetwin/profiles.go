package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linetwin/configs"
)

func (a *app) profiles() *cobra.Command {
	return &cobra.Command{
		Use:   "profiles [NAME]",
		Short: "List the device profiles that are built in, or print one",
		Long: "List the device profiles that are built in. With a name, print that profile as it stands: the\n" +
			"beginning of one of your own. A device names it by its key \"profile\".",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.printProfile(args[0])
			}
			return a.listProfiles()
		},
	}
}

func (a *app) printProfile(name string) error {
	p, err := configs.FindProfile(name, "")
	if err != nil {
		return fmt.Errorf("%w; linetwin profiles lists them", err)
	}
	_, err = a.stdout.Write(p.Text)
	return err
}

func (a *app) listProfiles() error {
	all, err := configs.Profiles()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tPROTOCOL\tSIGNALS\tTITLE\tTESTED")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", p.Name, p.Protocol, p.Signals(), p.Title, firstSentence(p.Tested))
	}
	return w.Flush()
}

// firstSentence keeps a list in lines.
func firstSentence(s string) string {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == '.' && (s[i+1] == ' ' || s[i+1] == '\n') {
			return s[:i]
		}
	}
	return s
}

package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"linetwin/configs"
)

func (a *app) check() *cobra.Command {
	var o configs.Options
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check settings files and tell everything that is wrong, at once",
		Long: "Check settings files, each by itself. Files of one site are held against each other too: give the\n" +
			"twin's with those of its gateways. Notes are no errors.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, names []string) error { return a.runCheck(names, o) },
	}
	cmd.Flags().BoolVar(&o.WithoutSecrets, "without-secrets", false, "do not ask for the variables and files of passwords and tokens")
	return cmd
}

func (a *app) runCheck(names []string, o configs.Options) error {
	var all configs.Problems
	var files []configs.File
	for _, name := range names {
		f, err := configs.ReadFile(name, o)
		var problems configs.Problems
		switch {
		case errors.As(err, &problems):
			all = append(all, problems...)
		case err != nil:
			return err
		default:
			files = append(files, f)
		}
	}
	between, notes := configs.CheckSite(files)
	all = append(all, between...)
	for _, f := range files {
		if !slices.ContainsFunc(all, func(p configs.Problem) bool { return p.File == f.Name }) {
			fmt.Fprintf(a.stdout, "%s: ok (%s)\n", f.Name, f.Kind)
		}
	}
	for _, n := range notes {
		fmt.Fprintln(a.stdout, "note:", n)
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

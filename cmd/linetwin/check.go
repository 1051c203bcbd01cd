package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"linetwin/configs"
)

func (a *app) check() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Check settings files and tell everything that is wrong, at once",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			var all configs.Problems
			for _, file := range files {
				kind, err := configs.CheckFile(file)
				var problems configs.Problems
				switch {
				case errors.As(err, &problems):
					all = append(all, problems...)
				case err != nil:
					return err
				default:
					fmt.Fprintf(a.stdout, "%s: ok (%s)\n", file, kind)
				}
			}
			if len(all) > 0 {
				return all
			}
			return nil
		},
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"linetwin/configs"
	"linetwin/plant"
)

func (a *app) check() *cobra.Command {
	var o configs.Options
	var output string
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check settings files and tell everything that is wrong, at once",
		Long: "Check settings files, each by itself. Files of one site are held against each other too: give the\n" +
			"twin's with those of its gateways. Notes are no errors.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, names []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output: found %q, allowed: text, json", output)
			}
			return a.runCheck(names, o, output == "json")
		},
	}
	cmd.Flags().BoolVar(&o.WithoutSecrets, "without-secrets", false, "for files of another computer: do not ask for the variables and files of passwords, tokens and certificates")
	cmd.Flags().StringVar(&output, "output", "text", "text, or json: files, problems and notes, for other programs")
	return cmd
}

// checked is what a check found, as --output json gives it.
type checked struct {
	OK       bool          `json:"ok"`
	Files    []checkedFile `json:"files"`
	Problems []finding     `json:"problems"`
	Notes    []finding     `json:"notes"` // no errors
}

type checkedFile struct {
	File string `json:"file"`
	Kind string `json:"kind,omitempty"` // gateway, twin, demo or profile; missing where it cannot be told
	OK   bool   `json:"ok"`
}

type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key"`
	Found   string `json:"found"` // "" where it is missing
	Allowed string `json:"allowed"`
}

func findings(problems configs.Problems) []finding {
	all := make([]finding, len(problems))
	for i, p := range problems {
		all[i] = finding{p.File, p.Line, p.Column, p.Key, p.Found, p.Allowed}
	}
	return all
}

func (a *app) runCheck(names []string, o configs.Options, asJSON bool) error {
	var all configs.Problems
	var right []configs.File
	out := checked{Files: make([]checkedFile, len(names))}
	for i, name := range names {
		f, err := configs.ReadFile(name, o)
		var problems configs.Problems
		switch {
		case errors.As(err, &problems):
			all = append(all, problems...)
		case err != nil && asJSON:
			all = append(all, configs.Problem{File: name, Fault: plant.Fault{Key: "file", Found: err.Error(), Allowed: "a file that can be read"}})
		case err != nil:
			return err
		default:
			right = append(right, f)
		}
		out.Files[i] = checkedFile{File: name, Kind: f.Kind, OK: err == nil}
	}
	between, notes := configs.CheckSite(right)
	all = append(all, between...)
	if !o.WithoutSecrets { // else it is another computer's file
		wrong, remarks := configs.CheckConnections(right, time.Now())
		all, notes = append(all, wrong...), append(notes, remarks...)
	}
	for i, f := range out.Files {
		out.Files[i].OK = f.OK && !slices.ContainsFunc(all, func(p configs.Problem) bool { return p.File == f.File })
	}
	out.OK, out.Problems, out.Notes = len(all) == 0, findings(all), findings(notes)
	if asJSON {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(out); err != nil {
			return err
		}
	} else {
		a.tellCheck(out.Files, notes)
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

func (a *app) tellCheck(files []checkedFile, notes configs.Problems) {
	for _, f := range files {
		if f.OK {
			fmt.Fprintf(a.stdout, "%s: ok (%s)\n", f.File, f.Kind)
		}
	}
	for _, n := range notes {
		fmt.Fprintln(a.stdout, "note:", n)
	}
}

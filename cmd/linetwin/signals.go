package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"linetwin/configs"
)

func (a *app) signals() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "signals",
		Short: "Bring a gateway's signals into a spreadsheet and back",
	}
	cmd.AddCommand(a.signalsExport(), a.signalsImport())
	return cmd
}

func (a *app) signalsExport() *cobra.Command {
	var o configs.ExportOptions
	var out, separator string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the signals of a gateway's file as CSV",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if separator != "," && separator != ";" {
				return fmt.Errorf("--separator: found %q, allowed: , or ;", separator)
			}
			o.Semicolon = separator == ";"
			var table bytes.Buffer
			notes, err := configs.ExportSignals(args[0], &table, o)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = a.stdout.Write(table.Bytes())
			} else {
				_, err = configs.Save(out, table.Bytes())
			}
			a.note(notes)
			return err
		},
	}
	cmd.Flags().StringVar(&o.Machine, "machine", "", "only this machine's")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write; what it holds is kept as FILE.bak (default: standard output)")
	cmd.Flags().BoolVar(&o.Excel, "excel", false, "begin with a byte order mark, by which Excel knows UTF-8")
	cmd.Flags().StringVar(&separator, "separator", ",", "between cells: , or ;")
	return cmd
}

func (a *app) signalsImport() *cobra.Command {
	var o configs.ImportOptions
	var out string
	var inPlace bool
	cmd := &cobra.Command{
		Use:   "import FILE CSV",
		Short: "Put the signals of a CSV into a gateway's file",
		Long: "Put the signals of a CSV into a gateway's file: cells that differ are changed, signals that are new are\n" +
			"added, and those that the CSV does not have stay, unless --remove takes them out. The rest of the file\n" +
			"stays as it is. What would be written is checked before anything is. Without --in-place or -o, only\n" +
			"what would change is told.",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if inPlace && out != "" {
				return errors.New("--in-place and -o: only one of them")
			}
			if inPlace {
				out = args[0]
			}
			i, err := configs.ImportSignals(args[0], args[1], o)
			if err != nil {
				return err
			}
			a.note(i.Notes)
			return a.saveImport(i, out)
		},
	}
	cmd.Flags().BoolVar(&o.Remove, "remove", false, "take out signals that the CSV does not have, of machines that it has")
	cmd.Flags().BoolVar(&inPlace, "in-place", false, "write FILE itself; what it held is kept as FILE.bak")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write")
	return cmd
}

func (a *app) saveImport(i *configs.Import, out string) error {
	switch {
	case !i.Changed && (out == "" || out == i.File):
		_, err := fmt.Fprintf(a.stdout, "%s: nothing to change\n", i.File)
		return err
	case out == "":
		_, err := fmt.Fprintf(a.stdout, "%s: right; nothing is written without --in-place or -o\n", i.File)
		return err
	}
	backup, err := configs.Save(out, i.Text)
	if err != nil {
		return err
	}
	if backup != "" {
		fmt.Fprintf(a.stdout, "%s: written; what it held is in %s\n", out, backup)
	} else {
		fmt.Fprintf(a.stdout, "%s: written\n", out)
	}
	return nil
}

// note tells what is no error, beside what a command gives.
func (a *app) note(notes []string) {
	for _, n := range notes {
		fmt.Fprintln(a.stderr, "note:", n)
	}
}

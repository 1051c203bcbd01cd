package configs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is got as what is wanted")

// golden runs get over each file of a folder, in that folder so that names are
// short, and compares with the .want beside it.
func golden(t *testing.T, pattern string, get func(file string) string) {
	t.Helper()
	folder := filepath.Dir(pattern)
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	t.Chdir(folder)
	for _, file := range files {
		file = filepath.Base(file)
		t.Run(file, func(t *testing.T) {
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			got := get(file)
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			w, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(w) {
				t.Errorf("got:\n%s\nwant:\n%s", got, w)
			}
		})
	}
}

// TestBad holds what a person is told about a wrong file, to the letter.
func TestBad(t *testing.T) {
	golden(t, "testdata/bad/*.yaml", func(file string) string {
		_, err := CheckFile(file)
		var problems Problems
		if !errors.As(err, &problems) {
			return "found right"
		}
		return problems.Error() + "\n"
	})
}

// TestSite holds files against each other: each folder is one site.
func TestSite(t *testing.T) {
	folders, err := filepath.Glob("testdata/site/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("%d folders, %v", len(folders), err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Chdir(folder)
			names, err := filepath.Glob("*.yaml")
			if err != nil {
				t.Fatal(err)
			}
			var files []File
			for _, name := range names {
				f, err := ReadFile(name, Options{})
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, f)
			}
			problems, notes := CheckSite(files)
			var got strings.Builder
			for _, p := range problems {
				got.WriteString(p.String() + "\n")
			}
			for _, p := range notes {
				got.WriteString("note: " + p.String() + "\n")
			}
			if *update {
				if err := os.WriteFile("want", []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile("want")
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}

package gateway

import (
	"os"
	"path/filepath"
	"testing"

	"linetwin/plant"
)

// TestInstallationLasts: the identity is made once, each start is numbered, a
// damaged database does not change it, and a file that cannot be read does.
func TestInstallationLasts(t *testing.T) {
	cfg := testConfig(t.TempDir())
	start := func() plant.Identity {
		g, err := New(cfg, nil, quiet())
		if err != nil {
			t.Fatal(err)
		}
		id := g.Birth().Identity
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		return id
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(cfg.Buffer.Folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	first := start()
	if len(first.Installation) < 20 || first.Start != 1 || first.Host != host {
		t.Errorf("first %+v", first)
	}
	write("buffer.db", "no database")
	if second := start(); second.Installation != first.Installation || second.Start != 2 {
		t.Errorf("second %+v after %+v", second, first)
	}
	write(identityFile, "{")
	if third := start(); third.Installation == first.Installation || third.Installation == "" || third.Start != 1 {
		t.Errorf("third %+v after %+v", third, first)
	}
	left, err := filepath.Glob(filepath.Join(cfg.Buffer.Folder, identityFile+".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

// An identity that cannot be kept would be another one at the next start.
func TestInstallationThatCannotBeWritten(t *testing.T) {
	cfg := testConfig(t.TempDir())
	if err := os.MkdirAll(filepath.Join(cfg.Buffer.Folder, identityFile, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if g, err := New(cfg, nil, quiet()); err == nil {
		_ = g.Close()
		t.Fatal("a gateway without an identity starts")
	}
	if err := os.RemoveAll(filepath.Join(cfg.Buffer.Folder, identityFile)); err != nil {
		t.Fatal(err)
	}
	g, err := New(cfg, nil, quiet()) // the folder was let go
	if err != nil {
		t.Fatal(err)
	}
	_ = g.Close()
}

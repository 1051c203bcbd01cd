package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Save writes a settings file so that whoever reads it sees the old or the new
// one, whole. What the file held before is kept beside it, as file.bak; backup
// is "" where there was none.
func Save(file string, text []byte) (backup string, err error) {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // a link stays one
	}
	old, err := os.ReadFile(file)
	info, statErr := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", replaceFile(file, text, nil)
	case err != nil:
		return "", fmt.Errorf("keep what %s holds: %w", file, err)
	case statErr != nil:
		return "", fmt.Errorf("keep what %s holds: %w", file, statErr)
	}
	backup = file + ".bak"
	if err := replaceFile(backup, old, info); err != nil {
		return "", fmt.Errorf("keep what %s holds: %w", file, err)
	}
	return backup, replaceFile(file, text, info)
}

// replaceFile writes a file beside the one that it then becomes, with the mode
// and the owner of like, if there is such a file.
func replaceFile(file string, text []byte, like os.FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer os.Remove(f.Name()) // nothing is there once it was renamed
	mode := os.FileMode(0o644)
	if like != nil {
		mode = like.Mode().Perm()
		keepOwner(f, like)
	}
	_, err = f.Write(text)
	for _, step := range []func() error{func() error { return f.Chmod(mode) }, f.Sync, f.Close} {
		if e := step(); err == nil {
			err = e
		}
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

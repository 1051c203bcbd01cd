package gateway

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"linetwin/plant"
)

// identityFile lies in the buffer's folder: it goes where the buffer goes, and
// outlives a database that is set aside.
const identityFile = "installation.json"

// installation is what the file holds.
type installation struct {
	ID    string `json:"installation"`
	Start uint64 `json:"start"` // number of the process that wrote it
}

// identify gives the identity of the installation in folder, which this process
// owns, and counts this start. It is made where there is none; a file that
// cannot be read is as good as none, and said.
func identify(folder string, log *slog.Logger) (plant.Identity, error) {
	path := filepath.Join(folder, identityFile)
	var in installation
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &in)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("identity of the installation cannot be read and is made anew", "file", path, "error", err)
	}
	if err != nil || in.ID == "" {
		in = installation{ID: rand.Text()}
		log.Info("new installation", "installation", in.ID)
	}
	in.Start++
	if err := writeSynced(path, in); err != nil {
		return plant.Identity{}, fmt.Errorf("write identity of the installation: %w", err)
	}
	id := plant.Identity{Installation: in.ID, Start: in.Start}
	id.Host, _ = os.Hostname() // empty where the system gives none: it only helps people
	return id, nil
}

// writeSynced puts a file in the place of another in one step, so that a power
// cut leaves one of both whole.
func writeSynced(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	// The name too must outlive a power cut, else this start is numbered twice
	// and looks like a backup that was put back. Not every system can do it.
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

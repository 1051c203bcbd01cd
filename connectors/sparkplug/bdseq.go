package sparkplug

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// bdSeqFile is where a gateway remembers bdSeq over restarts. Without it a will
// of the process before, which comes late, could have the number of the new
// session, and hosts would take the gateway for dead.
const bdSeqFile = "bdseq"

// readBdSeq gives the bdSeq of the next CONNECT: 0 for a gateway that never
// connected (Sparkplug B 3.0, 4.2.1.1), and any number where nobody knows the
// last one.
func readBdSeq(folder string) (uint8, error) {
	if folder == "" {
		return uint8(rand.N(256)), nil
	}
	file := filepath.Join(folder, bdSeqFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		var n uint64
		if n, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 8); err == nil {
			return uint8(n), nil
		}
	}
	return uint8(rand.N(256)), fmt.Errorf("read bdSeq from %s: %w", file, err)
}

// writeBdSeq keeps the bdSeq of the next CONNECT.
func writeBdSeq(folder string, next uint8) error {
	if folder == "" {
		return nil
	}
	file := filepath.Join(folder, bdSeqFile)
	fresh := file + ".new"
	err := os.WriteFile(fresh, strconv.AppendUint(nil, uint64(next), 10), 0o600)
	if err == nil {
		err = os.Rename(fresh, file)
	}
	if err != nil {
		return fmt.Errorf("keep bdSeq: %w", err)
	}
	return nil
}

package plant

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
)

// Secret is a password or token. It prints and logs as "***"; Reveal gives it.
type Secret string

// Reveal gives the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bytes is a size in bytes, written as 64KiB, 20MiB, 1GiB or a plain number.
type Bytes int64

var byteUnits = []struct {
	suffix string
	size   float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// UnmarshalText takes a size such as 1GiB.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, unit := strings.TrimSpace(string(text)), 1.0
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f*unit >= math.MaxInt64 {
		return fmt.Errorf("size %q: want a number with B, KiB, MiB, GiB or TiB", text)
	}
	*b = Bytes(f * unit)
	return nil
}

// MarshalText gives the size in the largest unit that divides it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String gives the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for b != 0 && b%1024 == 0 && i < len(units)-1 {
		b, i = b/1024, i+1
	}
	return strconv.FormatInt(int64(b), 10) + units[i]
}

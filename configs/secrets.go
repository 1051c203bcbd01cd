package configs

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

// maxSecret bounds a file that ${file:PATH} names.
const maxSecret = 64 << 10

// reference is ${env:NAME}, ${env:NAME:-or this}, ${file:PATH}, or $${ for a
// ${ that is meant so.
var reference = regexp.MustCompile(`\$\$\{|\$\{[^}]*\}?`)

// references puts in what ${env:NAME} and ${file:PATH} stand for, and
// remembers it, so that no message shows it.
type references struct {
	folder  string // of the file; relative paths begin here
	without bool   // secrets need not be there
	values  []string
	texts   []string // texts[i] stands in the file for values[i]
}

// resolve gives the text of a scalar with its references put in.
func (d *decoder) resolve(n *yaml.Node, key string, secret bool) (text string, ok bool) {
	if !strings.Contains(n.Value, "${") {
		return n.Value, true
	}
	ok = true
	text = reference.ReplaceAllStringFunc(n.Value, func(ref string) string {
		if ref == "$${" {
			return "${"
		}
		value, allowed := d.refs.read(ref)
		switch {
		case allowed == "":
			d.refs.values, d.refs.texts = append(d.refs.values, value), append(d.refs.texts, ref)
		case secret && d.refs.without && wellFormed(ref):
			value = ref
		default:
			d.wrong(n, key, ref, allowed)
			ok = false
		}
		return value
	})
	return text, ok
}

func wellFormed(ref string) bool {
	kind, what, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}"), ":")
	return ok && what != "" && strings.HasSuffix(ref, "}") && (kind == "env" || kind == "file")
}

// read gives what a reference stands for, or what is allowed in its place.
func (r *references) read(ref string) (value, allowed string) {
	if !wellFormed(ref) {
		return "", "${env:NAME}, ${env:NAME:-default} or ${file:PATH}; $${ for a ${ that is meant as it stands"
	}
	kind, what, _ := strings.Cut(ref[2:len(ref)-1], ":")
	if kind == "env" {
		name, or, _ := strings.Cut(what, ":-")
		if value = cmp.Or(os.Getenv(name), or); value == "" {
			return "", "an environment variable that is set and not empty"
		}
		return value, ""
	}
	if !filepath.IsAbs(what) {
		what = filepath.Join(r.folder, what)
	}
	value, err := readSecret(what)
	if err != nil {
		return "", "a file that can be read (" + err.Error() + ")"
	}
	return value, ""
}

// readSecret gives a file's text without the line break at its end.
func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(b), "\r\n")
	switch {
	case len(b) > maxSecret:
		return "", fmt.Errorf("%s has more than %d bytes", file, maxSecret)
	case value == "":
		return "", fmt.Errorf("%s is empty", file)
	}
	return value, nil
}

// signIn is what an address should not hold, and some people write there.
var signIn = regexp.MustCompile(`://[^/@\s"]*@`)

// hide puts references back in place of what they stand for, and takes
// passwords out of addresses. Values of up to three characters are no secrets,
// and would be found everywhere.
func (r *references) hide(f plant.Fault) plant.Fault {
	for _, i := range r.longestFirst() {
		value, text := r.values[i], r.texts[i]
		if len(value) < 4 {
			continue
		}
		quoted := strconv.Quote(value)
		for _, s := range []*string{&f.Key, &f.Found, &f.Allowed} {
			*s = strings.ReplaceAll(*s, value, text)
			*s = strings.ReplaceAll(*s, quoted[1:len(quoted)-1], text)
		}
	}
	f.Found = signIn.ReplaceAllString(f.Found, "://***@")
	return f
}

// longestFirst keeps one value that is part of another from uncovering it.
func (r *references) longestFirst() []int {
	order := make([]int, len(r.values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(r.values[b]) - len(r.values[a]) })
	return order
}

package opcua

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gopcua/opcua/ua"
)

const nodeForms = "ns=2;s=name, i=2258, nsu=urn:...;s=name (i=, s=, g= or b=), or path:/Objects/2:Machine/State"

// node is an address as the settings write it. Its namespace index is known
// only once a server has given its namespace array, and may change whenever
// the server is restarted or its program is loaded anew (Part 3, 5.2.2).
type node struct {
	uri  string // namespace URI; then index is not used
	ns   uint16
	kind byte // i, s, g, b, or 'p' for a browse path
	num  uint32
	text string // s and g; b holds the raw bytes
	path []step
}

// step is one element of a browse path.
type step struct {
	uri  string
	ns   uint16
	name string
}

// parseNode reads an address (Part 6, 5.3.1.10).
func parseNode(s string) (node, error) {
	bad := func(why string) (node, error) { return node{}, fmt.Errorf("node %q: %s", s, why) }
	if p, ok := strings.CutPrefix(s, "path:"); ok {
		path, err := parsePath(p)
		if err != nil {
			return bad(err.Error())
		}
		return node{kind: 'p', path: path}, nil
	}
	var n node
	rest := s
	switch {
	case strings.HasPrefix(s, "nsu="):
		i := strings.IndexByte(s, ';')
		if i < 0 {
			return bad("no identifier after the namespace URI")
		}
		if n.uri, rest = s[4:i], s[i+1:]; n.uri == "" {
			return bad("empty namespace URI")
		}
	case strings.HasPrefix(s, "ns="):
		index, after, ok := strings.Cut(s[3:], ";")
		v, err := strconv.ParseUint(index, 10, 16)
		if err != nil || !ok {
			return bad("namespace index must be 0 to 65535, followed by ;")
		}
		n.ns, rest = uint16(v), after
	}
	if len(rest) < 3 || rest[1] != '=' {
		return bad("want an identifier i=, s=, g= or b=")
	}
	n.kind = rest[0]
	id := rest[2:]
	switch n.kind {
	case 'i':
		v, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return bad("numeric identifier must be 0 to 4294967295")
		}
		n.num = uint32(v)
	case 's':
		n.text = id
	case 'g':
		h := strings.ReplaceAll(id, "-", "")
		if b, err := hex.DecodeString(h); err != nil || len(b) != 16 {
			return bad("identifier is no GUID")
		}
		n.text = id
	case 'b':
		b, err := base64.StdEncoding.DecodeString(id)
		if err != nil || len(b) == 0 {
			return bad("identifier is no base64")
		}
		n.text = string(b)
	default:
		return bad("want an identifier i=, s=, g= or b=")
	}
	return n, nil
}

// parsePath reads /Objects/2:Machine/{urn:...}State. In a name, & makes the
// next character plain, as in Part 4, A.2.
func parsePath(s string) ([]step, error) {
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return nil, fmt.Errorf("a browse path begins with /")
	}
	var path []step
	for more := true; more; {
		var st step
		if strings.HasPrefix(rest, "{") {
			i := strings.IndexByte(rest, '}')
			if i < 2 {
				return nil, fmt.Errorf("a namespace URI ends with }")
			}
			st.uri, rest = rest[1:i], rest[i+1:]
		}
		st.name, rest, more = cutName(rest)
		if i := strings.IndexByte(st.name, ':'); i > 0 && st.uri == "" {
			if v, err := strconv.ParseUint(st.name[:i], 10, 16); err == nil {
				st.ns, st.name = uint16(v), st.name[i+1:]
			}
		}
		if st.name == "" {
			return nil, fmt.Errorf("empty name in browse path")
		}
		path = append(path, st)
	}
	return path, nil
}

// cutName takes the name up to the next plain slash.
func cutName(s string) (name, rest string, more bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '&' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '/':
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), "", false
}

// index gives the place of uri in a server's namespace array; in settings, a
// ; or % of the URI may be written as %3B and %25.
func namespaceIndex(uri string, namespaces []string) (uint16, error) {
	i := slices.Index(namespaces, uri)
	if i < 0 {
		if plain, err := url.PathUnescape(uri); err == nil {
			i = slices.Index(namespaces, plain)
		}
	}
	if i < 0 || i > 0xFFFF {
		return 0, fmt.Errorf("the server has no namespace %q", uri)
	}
	return uint16(i), nil
}

// resolve gives the node id on a server with these namespaces. Browse paths
// are resolved by the server instead.
func (n node) resolve(namespaces []string) (*ua.NodeID, error) {
	ns := n.ns
	if n.uri != "" {
		var err error
		if ns, err = namespaceIndex(n.uri, namespaces); err != nil {
			return nil, err
		}
	}
	switch n.kind {
	case 'i':
		return ua.NewNumericNodeID(ns, n.num), nil
	case 's':
		return ua.NewStringNodeID(ns, n.text), nil
	case 'g':
		return ua.NewGUIDNodeID(ns, n.text), nil
	case 'b':
		return ua.NewByteStringNodeID(ns, []byte(n.text)), nil
	}
	return nil, fmt.Errorf("a browse path has no node id of its own")
}

package opcua

import (
	"strings"
	"testing"
)

func TestNodes(t *testing.T) {
	namespaces := []string{"http://opcfoundation.org/UA/", "urn:plc", "urn:a;b%c"}
	for _, c := range []struct{ in, want string }{
		{"i=2258", "i=2258"},
		{"ns=0;i=85", "i=85"},
		{"ns=2;s=Line.State", "ns=2;s=Line.State"},
		{"ns=3;s=a;b=c", "ns=3;s=a;b=c"},
		{"s=Top", "s=Top"},
		{"ns=1;g=72962B91-FA75-4AE6-8D28-B404DC7DAF63", "ns=1;g=72962B91-FA75-4AE6-8D28-B404DC7DAF63"},
		{"ns=1;b=M/RbKBsRVkePCePcx24oRA==", "ns=1;b=M/RbKBsRVkePCePcx24oRA=="},
		{"nsu=urn:plc;i=4294967295", "ns=1;i=4294967295"},
		{"nsu=urn:a%3Bb%25c;s=x", "ns=2;s=x"},
		{"nsu=urn:other;s=x", `error: the server has no namespace "urn:other"`},
		{"", "error: want an identifier"},
		{"2258", "error: want an identifier"},
		{"i=", "error: want an identifier"},
		{"i=-1", "error: numeric identifier"},
		{"i=4294967296", "error: numeric identifier"},
		{"ns=65536;i=1", "error: namespace index"},
		{"ns=1", "error: namespace index"},
		{"ns=x;i=1", "error: namespace index"},
		{"nsu=;i=1", "error: empty namespace URI"},
		{"nsu=urn:plc", "error: no identifier"},
		{"ns=1;g=123", "error: identifier is no GUID"},
		{"ns=1;b=***", "error: identifier is no base64"},
		{"ns=1;x=1", "error: want an identifier"},
	} {
		t.Run(c.in, func(t *testing.T) {
			n, err := parseNode(c.in)
			got := ""
			if err == nil {
				id, rerr := n.resolve(namespaces)
				if err = rerr; err == nil {
					got = id.String()
				}
			}
			if err != nil {
				got = "error: " + err.Error()
			}
			if want, bad := strings.CutPrefix(c.want, "error: "); !bad && got != c.want || bad && !strings.Contains(got, want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestBrowsePaths(t *testing.T) {
	n, err := parseNode("path:/Objects/2:Ma&/chine/{urn:plc}State/7: a:b")
	want := []step{{name: "Objects"}, {ns: 2, name: "Ma/chine"}, {uri: "urn:plc", name: "State"}, {ns: 7, name: " a:b"}}
	if err != nil || len(n.path) != len(want) {
		t.Fatalf("%+v %v", n, err)
	}
	for i := range want {
		if n.path[i] != want[i] {
			t.Errorf("step %d: %+v, want %+v", i, n.path[i], want[i])
		}
	}
	for _, bad := range []string{"path:", "path:Objects", "path:/", "path:/Objects/", "path:/a//b", "path:/{urn:x", "path:/{}x", "path:/2:"} {
		if _, err := parseNode(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseNode(f *testing.F) {
	for _, s := range []string{"i=1", "ns=2;s=x", "nsu=urn:x;g=72962B91-FA75-4AE6-8D28-B404DC7DAF63", "b=AAAA", "path:/Objects/2:x/{urn:y}z", "ns=1;b=", "path:/&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseNode(s)
		if err != nil || n.kind == 'p' {
			return
		}
		if n.uri != "" {
			n.uri, n.ns = "", 3
		}
		id, err := n.resolve(nil)
		if err != nil || id.Namespace() != n.ns {
			t.Fatalf("%q is taken, but has no node id: %v %v", s, id, err)
		}
		if _, err := id.Encode(); err != nil {
			t.Fatalf("%q cannot be sent: %v", s, err)
		}
	})
}

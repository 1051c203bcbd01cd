package opcua

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"
)

// Explorer is a session for people who look around in a server. It only reads
// and browses. It is used by one goroutine.
type Explorer struct {
	session    *session
	timeout    time.Duration
	batch      int // nodes in a request; 0 for what the server says
	namespaces []string
}

// Explore connects and signs in, with all the checks that a gateway makes.
func Explore(ctx context.Context, cfg Config, pki *PKI, log *slog.Logger) (*Explorer, error) {
	if err := faultsError("the server", cfg.Check()); err != nil {
		return nil, err
	}
	u, err := endpointURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	sec, err := parseSecurity(cfg.Security)
	if err != nil {
		return nil, err
	}
	timeout := cmp.Or(cfg.Timeout, defaultTimeout)
	s, err := openSession(ctx, options{url: u.String(), security: sec, user: cfg.User}, timeout, pki, log)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", u, err)
	}
	e := &Explorer{session: s, timeout: timeout, batch: cfg.Batch}
	if e.namespaces, err = s.namespaces(ctx, timeout); err != nil {
		s.close()
		return nil, fmt.Errorf("connect to %s: %w", u, err)
	}
	return e, nil
}

// Close gives the session back to the server.
func (e *Explorer) Close() { e.session.close() }

// Server gives the server's name for itself.
func (e *Explorer) Server() string { return applicationName(e.session.endpoint) }

// Offset gives the server's clock minus ours, 0 where they may agree; known is
// false where the server tells no time.
func (e *Explorer) Offset() (offset time.Duration, known bool) { return e.session.clock.now() }

// Offer is one way in that a server offers.
type Offer struct {
	Security string // as settings write it
	Usable   bool   // settings may ask for it
	Users    []string
	// Certificate is the server's; the zero one where it sends none.
	Certificate Certificate
}

// Offers asks a server which securities and kinds of user it takes. That needs
// no security itself; nothing of the answer is trusted.
func Offers(ctx context.Context, url string, timeout time.Duration) ([]Offer, error) {
	u, err := endpointURL(url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(2*timeout, defaultTimeout))
	defer cancel()
	none, _ := parseSecurity("None")
	endpoints, ch, err := discover(ctx, u, none)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its endpoints: %w", u, err)
	}
	ch.close()
	var offers []Offer
	for _, e := range endpoints {
		if e.TransportProfileURI != "" && e.TransportProfileURI != binaryTransport {
			continue
		}
		o := Offer{Security: security{e.SecurityPolicyURI, e.SecurityMode}.String()}
		_, err := parseSecurity(o.Security)
		o.Usable = err == nil
		for _, t := range e.UserIdentityTokens {
			o.Users = append(o.Users, userKind(t.TokenType))
		}
		if c, err := describe("", e.ServerCertificate); err == nil {
			o.Certificate = c
		}
		offers = append(offers, o)
	}
	return offers, nil
}

func userKind(t ua.UserTokenType) string {
	switch t {
	case ua.UserTokenTypeAnonymous:
		return "anonymous"
	case ua.UserTokenTypeUserName:
		return "name"
	case ua.UserTokenTypeCertificate:
		return "certificate"
	}
	return "token"
}

// outcome is what became of one node of a request.
type outcome struct {
	data *ua.DataValue
	why  string // what stands in the way where there is no data
}

// read reads attributes, in as many requests as the server needs. What cannot
// be decoded costs only its own node. The error is that of the session.
func (e *Explorer) read(ctx context.Context, nodes []*ua.ReadValueID) ([]outcome, error) {
	all := make([]outcome, 0, len(nodes))
	for len(nodes) > 0 {
		n := e.batch
		if n <= 0 {
			n = int(e.session.reads.Load())
		}
		n = min(n, len(nodes))
		some, err := e.readBatch(ctx, nodes[:n])
		if err != nil {
			return nil, err
		}
		all, nodes = append(all, some...), nodes[n:]
	}
	return all, nil
}

func (e *Explorer) readBatch(ctx context.Context, nodes []*ua.ReadValueID) ([]outcome, error) {
	data, err := e.session.readAll(ctx, e.timeout, &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: nodes})
	if err == nil {
		all := make([]outcome, len(data))
		for i := range data {
			all[i].data = data[i]
		}
		return all, nil
	}
	var garbled undecodableError
	large := tooLarge(err)
	switch {
	case !large && !errors.As(err, &garbled):
		return nil, err
	case len(nodes) == 1:
		return []outcome{{why: err.Error()}}, nil
	}
	half := len(nodes) / 2
	if large {
		e.session.reads.Store(min(e.session.reads.Load(), int64(half)))
		e.batch = min(e.batch, half)
	}
	first, err := e.readBatch(ctx, nodes[:half])
	if err != nil {
		return nil, err
	}
	second, err := e.readBatch(ctx, nodes[half:])
	return append(first, second...), err
}

// find gives the node id of an address.
func (e *Explorer) find(ctx context.Context, address string) (*ua.NodeID, error) {
	n, err := parseNode(address)
	if err != nil {
		return nil, err
	}
	if n.kind == 'p' {
		return e.session.walk(ctx, e.timeout, n.path, e.namespaces)
	}
	return n.resolve(e.namespaces)
}

// address writes a node id as settings do, with the namespace's URI.
func address(n *ua.NodeID, namespaces []string) string {
	var id string
	switch n.Type() {
	case ua.NodeIDTypeString:
		id = "s=" + n.StringID()
	case ua.NodeIDTypeGUID:
		id = "g=" + n.StringID()
	case ua.NodeIDTypeByteString:
		id = "b=" + n.StringID() // base64
	default:
		id = fmt.Sprintf("i=%d", n.IntID())
	}
	ns := int(n.Namespace())
	switch {
	case ns == 0:
		return id
	case ns >= len(namespaces) || namespaces[ns] == "":
		return fmt.Sprintf("ns=%d;%s", ns, id)
	}
	uri := namespaces[ns]
	if strings.ContainsAny(uri, ";%") {
		uri = strings.NewReplacer("%", "%25", ";", "%3B").Replace(uri)
	}
	return "nsu=" + uri + ";" + id
}

package opcua

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

const (
	sessionLives = 20 * time.Second // so that a gateway that died frees its place on the server soon
	connectTakes = 10 * time.Second
	keeperTick   = 5 * time.Second
)

// options is what makes a session: devices with the same options share one.
type options struct {
	url      string
	security security
	user     User
	lives    time.Duration // that the server is asked to keep a silent session; 0 for sessionLives
	left     *leftovers    // of earlier sessions; nil for none, as in the key of a pool
	own      *ownTime      // the gateway's; nil in the key of a pool
}

// String leaves the user out: fmt would print a secret inside a struct.
func (o options) String() string { return o.url + " " + o.security.String() }

// session is an activated session on a secure channel of its own. It never
// reconnects: once it failed it is thrown away, and a new one is made the same
// way as the first.
type session struct {
	opt      options
	pki      *PKI // may be nil
	ch       *channel
	token    *ua.NodeID
	nonce    []byte                // the server's, that whoever takes the session over must sign
	ways     []*ua.UserTokenPolicy // to sign in; with security only signed ones
	leaving  sync.Once             // it is given back, or left for another session to close
	lives    time.Duration
	endpoint *ua.EndpointDescription
	clock    clock
	gate     sync.RWMutex // closed while the channel's token is renewed
	used     atomic.Int64 // when the server last answered, in ns since 1970

	limits
	filters filters // what deadbands it has refused

	publisher publisher
	history   baton
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// openSession connects, checks what the server is and offers, and signs in.
// What was left of earlier sessions is closed first.
func openSession(ctx context.Context, opt options, timeout time.Duration, pki *PKI, log *slog.Logger) (_ *session, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(5*timeout, connectTakes))
	defer cancel()
	u, err := endpointURL(opt.url)
	if err != nil {
		return nil, err
	}
	s := &session{opt: opt, pki: pki, lives: cmp.Or(opt.lives, sessionLives), history: make(baton, 1)}
	endpoints, ch, err := discover(ctx, u, opt.security)
	if err != nil {
		return nil, s.explain(err, nil, pki)
	}
	defer func() {
		if err != nil && ch != nil {
			if s.ch != nil {
				s.leave()
			}
			ch.close()
		}
	}()
	if s.endpoint, err = choose(endpoints, opt.security); err != nil {
		return nil, err
	}
	var own *identity
	if !opt.security.none() {
		if own, err = ownIdentity(pki); err != nil {
			return nil, err
		}
		if err = pki.verify(s.peer(s.endpoint.ServerCertificate), time.Now()); err != nil {
			return nil, err
		}
		if ch, err = dialChannel(ctx, u, opt.security, own, s.endpoint.ServerCertificate); err != nil {
			if _, said := statusOf(err); said {
				return nil, s.explain(err, own, pki)
			}
			return nil, fmt.Errorf("%w (the server may have to trust this gateway first: certificate SHA-256 %s)", err, fingerprint(own.der))
		}
	}
	s.ch = ch
	if err = s.reclaim(ctx, timeout, own); err != nil {
		return nil, fmt.Errorf("close the session before: %w", err)
	}
	if err = s.activate(ctx, u, own); err != nil {
		return nil, s.explain(err, own, pki)
	}
	if err = s.askLimits(ctx, timeout); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	s.cancel = stop
	s.publisher.session = s
	s.start(func() { s.keep(run, timeout) })
	log.Info("opcua session opened", "url", opt.url, "security", opt.security.String(), "server", applicationName(s.endpoint))
	return s, nil
}

func ownIdentity(pki *PKI) (*identity, error) {
	if pki == nil {
		return nil, errors.New("security needs a folder for certificates, and none is set")
	}
	return pki.identity()
}

// ask calls a service whose answer is a T.
func ask[T ua.Response](ctx context.Context, ch *channel, req ua.Request, session *ua.NodeID) (T, error) {
	var none T
	res, err := ch.call(ctx, req, session)
	if err != nil {
		return none, err
	}
	t, ok := res.(T)
	if !ok {
		return none, undecodableError{fmt.Errorf("the answer is a %T", res)}
	}
	return t, nil
}

// activate creates and activates the session (Part 4, 5.6.2 and 5.6.3).
func (s *session) activate(ctx context.Context, u *url.URL, own *identity) error {
	nonce := make([]byte, 32)
	rand.Read(nonce) // never fails
	req := &ua.CreateSessionRequest{
		ClientDescription: &ua.ApplicationDescription{
			ApplicationURI: "urn:linetwin:gateway", ProductURI: "urn:linetwin",
			ApplicationName: ua.NewLocalizedText("LineTwin"), ApplicationType: ua.ApplicationTypeClient,
		},
		EndpointURL: u.String(), SessionName: fmt.Sprintf("linetwin-%x", nonce[:6]), ClientNonce: nonce,
		RequestedSessionTimeout: float64(s.lives.Milliseconds()), MaxResponseMessageSize: mostMessage,
	}
	if own != nil {
		req.ClientDescription.ApplicationURI, req.ClientCertificate = own.uri, own.der
	}
	res, err := ask[*ua.CreateSessionResponse](ctx, s.ch, req, nil)
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	client := &ua.SignatureData{}
	s.token, s.nonce = res.AuthenticationToken, res.ServerNonce
	s.used.Store(time.Now().UnixNano())
	if lives := time.Duration(res.RevisedSessionTimeout) * time.Millisecond; lives > 0 {
		s.lives = lives
	}
	if own == nil {
		s.ways = s.endpoint.UserIdentityTokens
	} else {
		if client, err = s.checkServer(res, own, nonce); err != nil {
			return fmt.Errorf("create session: %w", err)
		}
	}
	next, err := s.signIn(ctx, s.token, res, client)
	if err == nil {
		s.nonce = next
		s.used.Store(time.Now().UnixNano())
	}
	return err
}

// checkServer checks that whoever made the session holds the certificate that
// was trusted, and that the server really offers this security, and signs our
// side.
func (s *session) checkServer(res *ua.CreateSessionResponse, own *identity, nonce []byte) (*ua.SignatureData, error) {
	if !sameLeaf(res.ServerCertificate, s.endpoint.ServerCertificate) {
		return nil, errors.New("the session's certificate is not the one that the server had announced")
	}
	k, err := asymmetric(s.opt.security, own, s.endpoint.ServerCertificate)
	if err != nil {
		return nil, err
	}
	if res.ServerSignature == nil {
		return nil, errors.New("the server did not sign")
	}
	if err := k.algorithm.VerifySignature(append(append([]byte(nil), own.der...), nonce...), res.ServerSignature.Signature); err != nil {
		return nil, fmt.Errorf("the server's signature is wrong: %w", err)
	}
	if len(res.ServerEndpoints) > 0 {
		signed, err := choose(res.ServerEndpoints, s.opt.security)
		if err != nil {
			return nil, fmt.Errorf("its endpoints are not those it had announced: %w", err)
		}
		// Nobody vouched for the ways to sign in that were announced before.
		s.endpoint.UserIdentityTokens = signed.UserIdentityTokens
		s.ways = signed.UserIdentityTokens
	}
	return k.sealOf(res)
}

// call calls a service within the session and within timeout.
func (s *session) call(ctx context.Context, timeout time.Duration, req ua.Request) (ua.Response, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sent := time.Now()
	res, err := s.ch.call(ctx, req, s.token)
	if err == nil {
		now := time.Now()
		s.used.Store(now.UnixNano())
		s.clock.observe(s.opt.own.at(sent).Std(), s.opt.own.at(now).Std(), res.Header().Timestamp)
	}
	return res, err
}

// read reads the values of nodes, all in one request.
func (s *session) read(ctx context.Context, timeout time.Duration, nodes ...*ua.NodeID) ([]*ua.DataValue, error) {
	req := &ua.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, NodesToRead: make([]*ua.ReadValueID, len(nodes))}
	for i, n := range nodes {
		req.NodesToRead[i] = readValue(n)
	}
	return s.readAll(ctx, timeout, req)
}

func (s *session) readAll(ctx context.Context, timeout time.Duration, req *ua.ReadRequest) ([]*ua.DataValue, error) {
	return s.values(ctx, timeout, req, len(req.NodesToRead))
}

// values sends a request to read so many nodes.
func (s *session) values(ctx context.Context, timeout time.Duration, req ua.Request, nodes int) ([]*ua.DataValue, error) {
	res, err := s.call(ctx, timeout, req)
	if err != nil {
		return nil, err
	}
	r, ok := res.(*ua.ReadResponse)
	if !ok {
		return nil, undecodableError{fmt.Errorf("the answer is a %T", res)}
	}
	if len(r.Results) != nodes {
		return nil, protocolError{fmt.Errorf("asked for %d values, the server sent %d", nodes, len(r.Results))}
	}
	return r.Results, nil
}

func readValue(n *ua.NodeID) *ua.ReadValueID {
	return &ua.ReadValueID{NodeID: n, AttributeID: ua.AttributeIDValue, DataEncoding: &ua.QualifiedName{}}
}

// namespaces reads the server's namespace array.
func (s *session) namespaces(ctx context.Context, timeout time.Duration) ([]string, error) {
	res, err := s.read(ctx, timeout, ua.NewNumericNodeID(0, id.Server_NamespaceArray))
	if err != nil {
		return nil, fmt.Errorf("read namespace array: %w", err)
	}
	if severity(res[0].Status) == plant.Bad || res[0].Value == nil {
		return nil, fmt.Errorf("read namespace array: %s", statusName(res[0].Status))
	}
	ns, ok := res[0].Value.Value().([]string)
	if !ok {
		return nil, fmt.Errorf("read namespace array: it is %s", typeName(res[0].Value.Type()))
	}
	return ns, nil
}

// alive asks for the server's clock.
func (s *session) alive(ctx context.Context, timeout time.Duration) error {
	_, err := s.read(ctx, timeout, ua.NewNumericNodeID(0, id.Server_ServerStatus_CurrentTime))
	return err
}

// keep renews the channel's token and keeps an idle session from ending.
func (s *session) keep(ctx context.Context, timeout time.Duration) {
	tick := time.NewTicker(max(min(keeperTick, s.lives/4, s.ch.life()/8), time.Millisecond))
	defer tick.Stop()
	asked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ch.done:
			return
		case now := <-tick.C:
			s.pki.Remind(now)
			var err error
			if s.ch.due(now) {
				err = s.renew(ctx, timeout)
			}
			// A subscription asks for nothing, and its reports do not tell how
			// long they took: the server's clock is asked for all the same.
			idle := now.Sub(time.Unix(0, s.used.Load()))
			if err == nil && (idle > s.lives/3 || now.Sub(asked) > sampleLives/2) {
				err, asked = s.alive(ctx, timeout), now
			}
			if err != nil && ctx.Err() == nil {
				s.fail(err)
				return
			}
		}
	}
}

// renew gives the channel a new token while nothing else is asked for: some
// servers, the library's among them, mix up their keys otherwise.
func (s *session) renew(ctx context.Context, timeout time.Duration) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.ch.renew(ctx, ua.SecurityTokenRequestTypeRenew); err != nil {
		return fmt.Errorf("renew secure channel: %w", err)
	}
	return nil
}

// start runs f until the session is closed. Its panic ends the session, not
// the gateway.
func (s *session) start(f func()) {
	s.running.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				s.fail(fmt.Errorf("panic: %v", r))
			}
		}()
		f()
	})
}

// broken gives why the session cannot be used any more, or nil.
func (s *session) broken() error { return s.ch.failure() }

// fail ends the session for all who use it, at once.
func (s *session) fail(err error) { s.ch.fail(err) }

// end ends the session for all who use it, and tells the server so that its
// place there is free at once.
func (s *session) end(err error) {
	s.leave()
	s.fail(err)
}

// close gives session and channel back to the server, as far as it still
// listens, and returns when nothing runs any more.
func (s *session) close() {
	s.cancel()
	s.leave()
	s.ch.close()
	s.running.Wait()
}

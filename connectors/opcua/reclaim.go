package opcua

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
)

const (
	mostLeft  = 8 // lost sessions that are remembered
	mostTries = 3 // to close one, where that ends the connection
)

// remains is what is known of a session whose connection was lost. The server
// keeps it, with its subscriptions, until its time is over, and controllers
// have few places.
type remains struct {
	token *ua.NodeID
	nonce []byte
	ways  []*ua.UserTokenPolicy // to sign in, as the session knew them
	until time.Time             // then the server has forgotten it by itself
	tries int
}

// leftovers are the remains that sessions with one server left. nil keeps
// none.
type leftovers struct {
	mu   sync.Mutex
	list []remains
}

func (l *leftovers) add(r ...remains) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, r...)
	l.list = slices.Clone(l.list[max(0, len(l.list)-mostLeft):])
}

func (l *leftovers) take() []remains {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// leave gives the server its session back, once. Where that cannot be told
// any more, it is left for the next session to close.
func (s *session) leave() {
	if s.token == nil {
		return
	}
	s.leaving.Do(func() {
		if s.broken() == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			err := s.discard(ctx, s.token)
			if fault := (faultError{}); err == nil || errors.As(err, &fault) {
				return // closed, or the server knows it no more
			}
		}
		s.opt.left.add(remains{token: s.token, nonce: s.nonce, ways: s.ways, until: time.Unix(0, s.used.Load()).Add(s.lives)})
	})
}

// discard closes a session with its subscriptions.
func (s *session) discard(ctx context.Context, token *ua.NodeID) error {
	_, err := ask[*ua.CloseSessionResponse](ctx, s.ch, &ua.CloseSessionRequest{DeleteSubscriptions: true}, token)
	return err
}

// reclaim takes lost sessions over (Part 4, 5.6.3) to close them. A server may
// refuse that; then they end by themselves. It is an error only if that ended
// the connection. With security, those are left alone whose ways to sign in
// were never signed: anybody may have announced the ones at hand.
func (s *session) reclaim(ctx context.Context, timeout time.Duration, own *identity) error {
	left := s.opt.left.take()
	for i := range left {
		if time.Now().After(left[i].until) || own != nil && len(left[i].ways) == 0 {
			continue
		}
		err := s.takeOver(ctx, timeout, own, left[i])
		if err == nil || s.broken() == nil {
			continue
		}
		if left[i].tries++; left[i].tries >= mostTries {
			i++
		}
		s.opt.left.add(left[i:]...)
		return err
	}
	return nil
}

func (s *session) takeOver(ctx context.Context, timeout time.Duration, own *identity, r remains) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	announced := s.endpoint.UserIdentityTokens
	defer func() { s.endpoint.UserIdentityTokens = announced }()
	s.endpoint.UserIdentityTokens = r.ways
	res := &ua.CreateSessionResponse{ServerCertificate: s.endpoint.ServerCertificate, ServerNonce: r.nonce}
	client := &ua.SignatureData{}
	if own != nil {
		k, err := asymmetric(s.opt.security, own, s.endpoint.ServerCertificate)
		if err != nil {
			return err
		}
		if client, err = k.sealOf(res); err != nil {
			return err
		}
	}
	if _, err := s.signIn(ctx, r.token, res, client); err != nil {
		return err
	}
	return s.discard(ctx, r.token)
}

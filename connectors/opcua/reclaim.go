package opcua

import (
	"context"
	"time"

	"github.com/gopcua/opcua/ua"
)

// mostLeft is how many lost sessions a link remembers.
const mostLeft = 8

// remains is what is known of a session whose connection was lost. The server
// keeps it, with its subscriptions, until its time is over, and controllers
// have few places.
type remains struct {
	token *ua.NodeID
	nonce []byte
	until time.Time // then the server has forgotten it by itself
}

func (s *session) remains() remains {
	return remains{s.token, s.nonce, time.Unix(0, s.used.Load()).Add(s.lives)}
}

// reclaim takes lost sessions over (Part 4, 5.6.3) to close them. A server may
// refuse that; then they end by themselves.
func (s *session) reclaim(ctx context.Context, timeout time.Duration, own *identity, left []remains) error {
	for _, r := range left {
		if time.Now().After(r.until) {
			continue
		}
		if err := s.takeOver(ctx, timeout, own, r); err != nil && s.broken() != nil {
			return err
		}
	}
	return nil
}

func (s *session) takeOver(ctx context.Context, timeout time.Duration, own *identity, r remains) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
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
	_, err := ask[*ua.CloseSessionResponse](ctx, s.ch, &ua.CloseSessionRequest{DeleteSubscriptions: true}, r.token)
	return err
}

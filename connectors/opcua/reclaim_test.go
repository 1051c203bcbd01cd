package opcua

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uasc"
)

func TestLeftovers(t *testing.T) {
	var none *leftovers
	none.add(remains{})
	if none.take() != nil {
		t.Error("none keeps something")
	}
	var l leftovers
	for i := range mostLeft + 3 {
		l.add(remains{token: ua.NewTwoByteNodeID(byte(i))})
	}
	all := l.take()
	if len(all) != mostLeft || all[0].token.IntID() != 3 || len(l.take()) != 0 {
		t.Errorf("%d are left, from %v", len(all), all[0].token)
	}
}

// A lost session is signed in to as it was when it was opened, whatever is
// announced since: anybody may have announced that.
func TestLostSessionsAreTakenOverAsTheyWere(t *testing.T) {
	var mu sync.Mutex
	var policies []string
	s := startServer(t, serverOptions{handlers: map[uint16]server.Handler{
		id.ActivateSessionRequest_Encoding_DefaultBinary: func(_ *uasc.SecureChannel, r ua.Request, _ uint32) (ua.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			policies = append(policies, r.(*ua.ActivateSessionRequest).UserIdentityToken.Value.(*ua.AnonymousIdentityToken).PolicyID)
			return &ua.ActivateSessionResponse{ResponseHeader: header(r, 0), ServerNonce: make([]byte, 32)}, nil
		},
	}})
	s.space.set("s=a", int32(1))
	name := "first"
	a := startAttacker(t, s.address, func(r *ua.GetEndpointsResponse) {
		for _, e := range r.Endpoints {
			for _, u := range e.UserIdentityTokens {
				mu.Lock()
				u.PolicyID = name
				mu.Unlock()
			}
		}
	})
	d := newTestDevice(t, s, Config{URL: "opc.tcp://" + a.listener.Addr().String()}, Signal{Name: "a", Node: nsu("s=a"), Type: "int32"})
	if err := d.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	name = "second"
	mu.Unlock()
	d.session.fail(errors.New("lost"))
	reconnect(t, d)
	d.Close()
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"first", "first", "second"}; !slices.Equal(policies, want) {
		t.Errorf("signed in by %q, want %q", policies, want)
	}
}

// With security, nothing is shown to a server for a session whose ways to sign
// in were never signed.
func TestSessionsWithoutSignedWaysAreLeftAlone(t *testing.T) {
	left := new(leftovers)
	left.add(remains{token: ua.NewTwoByteNodeID(1), until: time.Now().Add(time.Hour)})
	s := &session{opt: options{left: left}} // has no channel to ask over
	if err := s.reclaim(context.Background(), time.Second, &identity{}); err != nil {
		t.Error(err)
	}
}

package opcua

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/gopcua/opcua/ua"
)

func applicationName(e *ua.EndpointDescription) string {
	if e.Server == nil || e.Server.ApplicationName == nil {
		return ""
	}
	return e.Server.ApplicationName.Text
}

// discover asks the server for its endpoints over a channel without security,
// which any server has for this (Part 4, 5.4.4). Without security that channel
// is kept.
func discover(ctx context.Context, u *url.URL, sec security) ([]*ua.EndpointDescription, *channel, error) {
	ch, err := dialChannel(ctx, u, security{ua.SecurityPolicyURINone, ua.MessageSecurityModeNone}, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	res, err := ask[*ua.GetEndpointsResponse](ctx, ch, &ua.GetEndpointsRequest{EndpointURL: u.String()}, nil)
	if err != nil {
		ch.close()
		return nil, nil, fmt.Errorf("get endpoints: %w", err)
	}
	if !sec.none() {
		ch.close()
		ch = nil
	}
	return res.Endpoints, ch, nil
}

const binaryTransport = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"

// choose finds the endpoint with exactly this security.
func choose(endpoints []*ua.EndpointDescription, want security) (*ua.EndpointDescription, error) {
	var offers []string
	for _, e := range endpoints {
		if e.TransportProfileURI != "" && e.TransportProfileURI != binaryTransport {
			continue
		}
		has := security{e.SecurityPolicyURI, e.SecurityMode}
		if has == want {
			return e, nil
		}
		if !slices.Contains(offers, has.String()) {
			offers = append(offers, has.String())
		}
	}
	if len(offers) == 0 {
		return nil, fmt.Errorf("the server does not offer %s, nor anything else over opc.tcp", want)
	}
	return nil, fmt.Errorf("the server does not offer %s, only %q: set security to one of these, or enable it on the server", want, offers)
}

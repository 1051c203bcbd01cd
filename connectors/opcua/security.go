package opcua

import (
	"fmt"
	"strings"

	"github.com/gopcua/opcua/ua"
)

// security is a policy and a mode (OPC UA Part 4, 7.20 and Part 7, 6.6).
type security struct {
	policy string // URI
	mode   ua.MessageSecurityMode
}

// The policies that may be configured. Basic128Rsa15 and Basic256 rest on
// SHA-1 and are withdrawn by the standard (Part 7, 6.6.161 and 6.6.162).
var policies = [...]struct{ name, uri string }{
	{"Basic256Sha256", ua.SecurityPolicyURIBasic256Sha256},
	{"Aes128_Sha256_RsaOaep", ua.SecurityPolicyURIAes128Sha256RsaOaep},
	{"Aes256_Sha256_RsaPss", ua.SecurityPolicyURIAes256Sha256RsaPss},
}

// securityForms says what may be written for security.
func securityForms() string {
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = p.name
	}
	return "None, or " + strings.Join(names, ", ") + " with /Sign or /SignAndEncrypt"
}

// parseSecurity reads "None" or "<policy>/<mode>". The standard writes policies
// with - in its profiles and with _ in their URIs, so that both are taken.
func parseSecurity(s string) (security, error) {
	if s == "None" || s == "None/None" {
		return security{ua.SecurityPolicyURINone, ua.MessageSecurityModeNone}, nil
	}
	name, mode, _ := strings.Cut(s, "/")
	for _, p := range policies {
		if p.name != strings.ReplaceAll(name, "-", "_") {
			continue
		}
		switch mode {
		case "Sign":
			return security{p.uri, ua.MessageSecurityModeSign}, nil
		case "SignAndEncrypt":
			return security{p.uri, ua.MessageSecurityModeSignAndEncrypt}, nil
		}
	}
	return security{}, fmt.Errorf("security %q: want %s", s, securityForms())
}

// none tells whether nothing is signed or encrypted.
func (s security) none() bool { return s.mode == ua.MessageSecurityModeNone }

// encrypts tells whether messages are encrypted.
func (s security) encrypts() bool { return s.mode == ua.MessageSecurityModeSignAndEncrypt }

// String gives the form that the settings use, also for policies that they do
// not allow.
func (s security) String() string {
	name := s.policy
	if i := strings.LastIndexByte(name, '#'); i >= 0 {
		name = name[i+1:]
	}
	switch s.mode {
	case ua.MessageSecurityModeNone:
		return name
	case ua.MessageSecurityModeSign:
		return name + "/Sign"
	case ua.MessageSecurityModeSignAndEncrypt:
		return name + "/SignAndEncrypt"
	}
	return name + "/?"
}

package opcua

import (
	"errors"
	"fmt"

	"github.com/gopcua/opcua/ua"
)

// serverError is a message by which the server ends the connection.
type serverError struct {
	status ua.StatusCode
	why    string // in the server's words; may be empty
}

func (e serverError) Error() string {
	if e.why != "" {
		return fmt.Sprintf("the server says %s: %.200q", statusName(e.status), e.why)
	}
	return "the server says " + statusName(e.status)
}

// statusOf gives the status code by which a server refused something.
func statusOf(err error) (ua.StatusCode, bool) {
	var fault faultError
	var ended serverError
	switch {
	case errors.As(err, &fault):
		return fault.status & 0xFFFF0000, true
	case errors.As(err, &ended):
		return ended.status & 0xFFFF0000, true
	}
	return 0, false
}

// explain adds to a refusal what it means and what to do about it. The text is
// the same each time, so that a fault that lasts is told of once.
func (s *session) explain(err error, own *identity, pki *PKI) error {
	status, ok := statusOf(err)
	if !ok {
		return err
	}
	what := s.aboutUser(status)
	if what == "" && own != nil {
		what = aboutCertificate(status, own, pki)
	}
	if what == "" {
		what = aboutServer(status)
	}
	if what == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, what)
}

// aboutUser tells why the user is not let in.
func (s *session) aboutUser(status ua.StatusCode) string {
	u := s.opt.user
	switch status {
	case ua.StatusBadUserAccessDenied, ua.StatusBadIdentityTokenRejected:
	case ua.StatusBadIdentityTokenInvalid:
		return "it does not understand how this user signs in: allow this kind of user on the server's endpoint, or change user"
	case ua.StatusBadUserSignatureInvalid:
		return fmt.Sprintf("it finds the user's signature wrong: user.key %s must be of the certificate that the server knows", u.Key)
	default:
		return ""
	}
	switch {
	case u.Certificate != "":
		return fmt.Sprintf("it does not let in the user of certificate %s: trust it on the server, among users' certificates, and give it the right to read", u.Certificate)
	case u.Name != "":
		return fmt.Sprintf("name or password of user %q is wrong, or the account is locked: check user.name and user.password, and the account on the server", u.Name)
	}
	return "it does not let in anonymous users: set user, or allow them on the server"
}

// aboutCertificate tells why the gateway's own certificate is refused.
func aboutCertificate(status ua.StatusCode, own *identity, pki *PKI) string {
	const prefix = "it refuses this gateway's certificate"
	mine := fmt.Sprintf("SHA-1 %s, file %s", thumbprint(own.der), pki.path("own", "certificate.der"))
	switch status {
	case ua.StatusBadSecurityChecksFailed, ua.StatusBadCertificateUntrusted:
		return fmt.Sprintf("%s, most likely because it does not trust it yet: trust it on the server, which keeps refused ones, or give it the file; if it is trusted there, set the server's clock (%s)", prefix, mine)
	case ua.StatusBadCertificateTimeInvalid, ua.StatusBadCertificateIssuerTimeInvalid:
		return fmt.Sprintf("%s as out of date, though it is valid until %s by our clock: set the clocks of server and gateway, or renew it (linetwin trust --renew; %s)", prefix, day(own.ends), mine)
	case ua.StatusBadCertificateURIInvalid:
		return fmt.Sprintf("%s because of its application URI %s: enter this URI on the server (%s)", prefix, own.uri, mine)
	case ua.StatusBadCertificateRevoked, ua.StatusBadCertificateIssuerRevoked:
		return fmt.Sprintf("%s as revoked: take it from the server's revocation list, or renew it (linetwin trust --renew; %s)", prefix, mine)
	case ua.StatusBadCertificateInvalid, ua.StatusBadCertificateUseNotAllowed, ua.StatusBadCertificateChainIncomplete,
		ua.StatusBadCertificatePolicyCheckFailed, ua.StatusBadCertificateHostNameInvalid:
		return fmt.Sprintf("%s: its log says what it wants of one (%s)", prefix, mine)
	}
	return ""
}

// aboutServer tells of what has nothing to do with who we are.
func aboutServer(status ua.StatusCode) string {
	switch status {
	case ua.StatusBadTooManySessions:
		return "all sessions that it allows are in use: close other clients, or allow more on the server; those of clients that died end by themselves, ours after 20 s"
	case ua.StatusBadTCPNotEnoughResources, ua.StatusBadTCPServerTooBusy, ua.StatusBadMaxConnectionsReached,
		ua.StatusBadTCPInternalError, ua.StatusBadOutOfMemory, ua.StatusBadResourceUnavailable:
		return "it has no room for another connection: close other clients, or wait"
	case ua.StatusBadSecurityPolicyRejected, ua.StatusBadSecurityModeRejected, ua.StatusBadSecurityModeInsufficient:
		return "it does not take this security here: set security to what the server offers, or allow it there"
	case ua.StatusBadTCPEndpointURLInvalid:
		return "it does not know itself by this address: set url to what the server announces"
	case ua.StatusBadInvalidTimestamp:
		return "its clock and ours differ too much: set them"
	case ua.StatusBadShutdown, ua.StatusBadServerHalted, ua.StatusBadServerNotConnected:
		return "it is starting or stopping, and is asked again"
	}
	return ""
}

package opcua

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// Each refusal tells what it means and what to do, in one line.
func TestRefusals(t *testing.T) {
	pki := &PKI{Folder: "pki"}
	own := &identity{der: []byte("x"), uri: "urn:me", ends: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	const file = "SHA-1 11f6ad8ec52a2984abaafd7c3b516503785c2072, file pki/own/certificate.der"
	named, byFile := User{Name: "edge", Password: "secret"}, User{Certificate: "u.pem", Key: "u.key"}
	for _, c := range []struct {
		status ua.StatusCode
		user   User
		own    *identity
		want   string
	}{
		{ua.StatusBadUserAccessDenied, named, own, `name or password of user "edge" is wrong, or the account is locked: check user.name and user.password`},
		{ua.StatusBadIdentityTokenRejected, named, nil, `name or password of user "edge" is wrong`},
		{ua.StatusBadIdentityTokenRejected, byFile, own, "it does not let in the user of certificate u.pem: trust it on the server"},
		{ua.StatusBadUserAccessDenied, User{}, own, "it does not let in anonymous users: set user"},
		{ua.StatusBadIdentityTokenInvalid, byFile, own, "allow this kind of user"},
		{ua.StatusBadUserSignatureInvalid, byFile, own, "user.key u.key must be of the certificate that the server knows"},
		{ua.StatusBadSecurityChecksFailed, named, own, "it does not trust it yet: trust it on the server, which keeps refused ones, or give it the file; if it is trusted there, set the server's clock (" + file + ")"},
		{ua.StatusBadCertificateUntrusted, named, own, file},
		{ua.StatusBadCertificateTimeInvalid, named, own, "out of date, though it is valid until 2030-01-02 by our clock: set the clocks"},
		{ua.StatusBadCertificateURIInvalid, named, own, "because of its application URI urn:me: enter this URI on the server"},
		{ua.StatusBadCertificateRevoked, named, own, "as revoked"},
		{ua.StatusBadCertificateUseNotAllowed, named, own, "its log says what it wants"},
		{ua.StatusBadTooManySessions, named, own, "all sessions that it allows are in use: close other clients"},
		{ua.StatusBadTCPNotEnoughResources, named, nil, "no room for another connection"},
		{ua.StatusBadSecurityPolicyRejected, named, own, "set security to what the server offers"},
		{ua.StatusBadTCPEndpointURLInvalid, named, nil, "set url to what the server announces"},
		{ua.StatusBadInvalidTimestamp, named, own, "clock and ours differ too much"},
		{ua.StatusBadShutdown, named, own, "starting or stopping"},
		{ua.StatusBadNothingToDo, named, own, ""},
	} {
		s := &session{opt: options{user: c.user}}
		for _, err := range []error{faultError{c.status | 0x0480}, fmt.Errorf("open: %w", serverError{c.status, "in its words"})} {
			got := s.explain(err, c.own, pki).Error()
			if !strings.Contains(got, statusName(c.status)) || !strings.Contains(got, c.want) || strings.Contains(got, "\n") || strings.Contains(got, "secret") {
				t.Errorf("%s: %q, want %q", statusName(c.status), got, c.want)
			}
			if c.want == "" && got != err.Error() {
				t.Errorf("%s: %q", statusName(c.status), got)
			}
		}
	}
	if err := fmt.Errorf("other"); (&session{}).explain(err, own, pki) != err {
		t.Error("an error without a status is changed")
	}
}

// An error message that is laid out like an opening tells its reason too;
// garbage never does.
func FuzzErrorMessages(f *testing.F) {
	b := ua.NewBuffer(nil)
	b.WriteString(ua.SecurityPolicyURIBasic256Sha256)
	b.WriteByteString([]byte("certificate"))
	b.WriteByteString(nil)
	stray := putSequence(append(putPrefix(nil, "ERR", 'F', 0), b.Bytes()...), 1, 2)
	fault, err := ua.Encode(&ua.ServiceFault{ResponseHeader: &ua.ResponseHeader{ServiceResult: ua.StatusBadSecurityChecksFailed,
		ServiceDiagnostics: &ua.DiagnosticInfo{}, AdditionalHeader: ua.NewExtensionObject(nil)}})
	if err != nil {
		f.Fatal(err)
	}
	head, err := ua.NewFourByteExpandedNodeID(0, ua.ServiceTypeID(&ua.ServiceFault{})).Encode()
	if err != nil {
		f.Fatal(err)
	}
	whole := append(append(stray, head...), fault...)
	if err, ok := strayRefusal(whole).(serverError); !ok || err.status != ua.StatusBadSecurityChecksFailed {
		f.Fatalf("got %v", strayRefusal(whole))
	}
	for n := range whole {
		if n%16 == 0 {
			f.Add(whole[:n])
		}
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		err := strayRefusal(b)
		if refused, ok := err.(serverError); err == nil || ok && refused.status>>30 < 2 {
			t.Errorf("%x: %v", b, err)
		}
	})
}

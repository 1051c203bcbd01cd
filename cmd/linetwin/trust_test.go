package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linetwin/connectors/opcua"
)

// serverCertificate makes one and a file that holds it.
func serverCertificate(t *testing.T) (der []byte, file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "press"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	if der, err = x509.CreateCertificate(rand.Reader, x, x, &key.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "press.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return der, file
}

func TestTrustCommand(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "pki")
	trust := func(args ...string) (string, error) {
		var out, told bytes.Buffer
		err := run(t.Context(), append([]string{"trust", "--certificates", folder}, args...), &out, &told)
		return out.String() + told.String(), err
	}
	good := func(args []string, wants ...string) {
		t.Helper()
		got, err := trust(args...)
		if err != nil {
			t.Errorf("trust %q: %s", args, got)
		}
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("trust %q: no %q in\n%s", args, want, got)
			}
		}
	}
	bad := func(want string, args ...string) {
		t.Helper()
		if got, err := trust(args...); err == nil || !strings.Contains(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("trust %q: %v, no %q in\n%s", args, err, want, got)
		}
	}

	bad("no certificates in "+folder, "--renew")
	bad("no certificates in " + folder)
	if _, err := os.Stat(folder); err == nil {
		t.Error("a folder was made")
	}
	pki := &opcua.PKI{Folder: folder, Name: "edge-1"}
	own, err := pki.Own()
	if err != nil {
		t.Fatal(err)
	}
	good(nil, own.File, own.Fingerprint, own.Thumbprint, "urn:linetwin:gateway:edge-1", own.To.Std().Format("2006-01-02"), "No server is trusted")

	der, file := serverCertificate(t)
	bad("no certificate is in", "0123456789")
	bad("at least 8 hexadecimal digits", "0123")
	bad("no such file", filepath.Join(folder, "no-such-file.der"))
	bad("no certificate in PEM or DER", filepath.Join(folder, "own", "key.pem"))
	good([]string{file}, "trusted ", "CN=press")
	trusted, err := pki.Trusted()
	if err != nil || len(trusted) != 1 || !bytes.Equal(trusted[0].DER, der) {
		t.Fatalf("trusted: %v %v", trusted, err)
	}
	good(nil, "trusted  "+trusted[0].Fingerprint)
	bad("one thing at a time", "--renew", "--distrust", "0123456789")
	bad("one thing at a time", "--renew", file)
	bad("none of the 1 certificates", "--distrust", "0123456789")
	bad("at least 8 hexadecimal digits", "--distrust", "")
	good([]string{"--distrust", trusted[0].Fingerprint[:12]}, "no longer trusted: "+trusted[0].Fingerprint)
	good(nil, "refused  "+trusted[0].Fingerprint)
	good([]string{trusted[0].Thumbprint[:8]}, "trusted "+trusted[0].Fingerprint)

	good([]string{"--renew"}, "kept as "+filepath.Join(folder, "own", "certificate-"), "Servers must trust the new one", "urn:linetwin:gateway:edge-1")
	now, err := pki.Own()
	if err != nil || now.Fingerprint == own.Fingerprint || now.URI != own.URI {
		t.Errorf("renewed: %+v %v", now, err)
	}
}

package broker

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"linetwin/connectors/tlsfile"
)

// identity is what the listener shows and whom it trusts. The files are read
// anew for each client, so that a renewed certificate is taken without a
// restart; while they cannot be used, what was good before stays.
type identity struct {
	files tlsfile.Files
	log   *slog.Logger

	mu   sync.Mutex
	good *tls.Config
	why  string // the files cannot be used now
}

// config gives the listener's settings; nil where it speaks plain TCP.
func (i *identity) config() (*tls.Config, error) {
	if i.files.Cert == "" {
		return nil, nil
	}
	c, err := i.read()
	if err != nil {
		return nil, err
	}
	if text := tlsfile.Validity(c.Certificates[0].Leaf, time.Now()); text != "" {
		i.log.Warn("certificate of the broker", "file", i.files.Cert, "what", text)
	}
	i.good = c
	outer := c.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return i.now(), nil }
	return outer, nil
}

func (i *identity) read() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if c.Certificates, err = i.files.Pair(); err != nil {
		return nil, err
	}
	if c.ClientCAs, _, err = i.files.Authorities(); err != nil {
		return nil, err
	}
	if c.ClientCAs != nil {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// now gives the settings for one client.
func (i *identity) now() *tls.Config {
	i.mu.Lock()
	defer i.mu.Unlock()
	c, err := i.read()
	text := ""
	if err != nil {
		text = err.Error()
	} else {
		i.good = c
	}
	if text != i.why && text != "" {
		i.log.Warn("renewed certificate not taken, the one before stays", "error", fmt.Errorf("broker: %w", err))
	}
	i.why = text
	return i.good
}

package broker

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"linetwin/connectors/tlsfile"
	"linetwin/plant"
)

// Config is the section "broker.embedded" of a twin's settings.
type Config struct {
	// Listen is where MQTT clients connect (default 127.0.0.1:1883; port 0
	// takes a free one). Beyond loopback it demands users, or client
	// certificates, or "anonymous: true".
	Listen string `yaml:"listen"`
	// Folder keeps retained messages and sessions. It is made where it is not.
	Folder string `yaml:"folder"`
	// MaxBytes limits the folder (default 256MiB).
	MaxBytes plant.Bytes `yaml:"max_bytes"`
	// Users are who may connect; none means anybody who reaches Listen.
	Users     []User `yaml:"users"`
	Anonymous bool   `yaml:"anonymous"`
	TLS       TLS    `yaml:"tls"`
}

// User may connect with a name and a password.
type User struct {
	Name     string       `yaml:"name"`
	Password plant.Secret `yaml:"password"`
	// Gateway ("area/gateway") limits the user to that gateway's own messages
	// and commands. Without it the user may say and hear everything, but what
	// the twin publishes (linetwin/v1/#) is for all to hear and for none to say.
	Gateway string `yaml:"gateway"`
}

// TLS names the listener's files, in PEM. Without Cert it speaks plain TCP.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"` // clients must show a certificate of this authority
}

// Check fills the defaults and tells what is wrong.
func (c *Config) Check() []plant.Fault {
	var faults []plant.Fault
	if c.Listen == "" {
		c.Listen = "127.0.0.1:1883"
	}
	host, _, err := splitListen(c.Listen)
	if err != nil {
		faults = append(faults, plant.Fault{Key: "listen", Found: c.Listen, Allowed: "host:port, as 127.0.0.1:1883 or :1883"})
	} else if !loopback(host) && len(c.Users) == 0 && c.TLS.CA == "" && !c.Anonymous {
		faults = append(faults, plant.Fault{Key: "users", Allowed: "users, or tls.ca, or anonymous: true, because listen " + c.Listen + " is open to others"})
	}
	if c.Folder == "" {
		faults = append(faults, plant.Fault{Key: "folder", Allowed: "a folder for retained messages"})
	}
	switch {
	case c.MaxBytes == 0:
		c.MaxBytes = 256 << 20
	case c.MaxBytes < 16<<20:
		faults = append(faults, plant.Fault{Key: "max_bytes", Found: c.MaxBytes.String(), Allowed: "at least 16MiB"})
	}
	if c.Anonymous && len(c.Users) > 0 {
		faults = append(faults, plant.Fault{Key: "anonymous", Found: "true", Allowed: "false where there are users"})
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		faults = append(faults, plant.Fault{Key: "tls", Allowed: "cert and key together"})
	}
	if c.TLS.CA != "" && c.TLS.Cert == "" {
		faults = append(faults, plant.Fault{Key: "tls.cert", Allowed: "a file, where there is a tls.ca"})
	}
	return append(faults, c.checkUsers()...)
}

func (c *Config) checkUsers() []plant.Fault {
	var faults []plant.Fault
	seen := map[string]bool{localUser: true}
	for i, u := range c.Users {
		key := "users[" + strconv.Itoa(i) + "]."
		switch {
		case u.Name == "":
			faults = append(faults, plant.Fault{Key: key + "name", Allowed: "a name"})
		case seen[u.Name]:
			faults = append(faults, plant.Fault{Key: key + "name", Found: u.Name, Allowed: "a name that no other user has"})
		}
		seen[u.Name] = true
		if u.Password == "" {
			faults = append(faults, plant.Fault{Key: key + "password", Allowed: "a password"})
		}
		if u.Gateway == "" {
			continue
		}
		area, gateway, _ := strings.Cut(u.Gateway, "/")
		if plant.CheckID(area) != nil || plant.CheckID(gateway) != nil {
			faults = append(faults, plant.Fault{Key: key + "gateway", Found: u.Gateway, Allowed: "area/gateway"})
		}
	}
	return faults
}

func splitListen(listen string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("port %q: want 0 to 65535", p)
	}
	return host, port, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (t *TLS) files() tlsfile.Files {
	return tlsfile.Files{CA: t.CA, Cert: t.Cert, Key: t.Key, Server: true}
}

// CheckFiles tells what is wrong with the files that the settings name, as they
// are now, and in notes what soon will be or travels unencrypted.
func (c *Config) CheckFiles(now time.Time) (faults, notes []plant.Fault) {
	host, _, _ := splitListen(c.Listen)
	if c.TLS.Cert == "" && len(c.Users) > 0 && !loopback(host) {
		notes = append(notes, plant.Fault{Key: "tls", Allowed: "cert and key, or else users' passwords and all data travel for everybody on the network to read"})
	}
	f, n := c.TLS.files().Check(now)
	return plant.Under("tls", f), append(notes, plant.Under("tls", n)...)
}

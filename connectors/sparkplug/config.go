package sparkplug

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"linetwin/connectors/tlsfile"
	"linetwin/plant"
)

// How a gateway learns that a batch is delivered.
const (
	AcknowledgeHost   = "host"   // the host says so once history has stored it
	AcknowledgeBroker = "broker" // the broker has received it; for hosts that do not acknowledge
)

// DefaultHost is the host id (Sparkplug B 3.0, 4.3) of a twin that has no
// other, and the primary host of a gateway that awaits acknowledgements.
const DefaultHost = "linetwin"

// Connection says how to reach the broker.
type Connection struct {
	// Brokers are tried in turn: tcp://host:1883 or tls://host:8883.
	Brokers  []string     `yaml:"brokers"`
	User     string       `yaml:"user"`
	Password plant.Secret `yaml:"password"`
	TLS      TLS          `yaml:"tls"`
	// KeepAlive is the longest silence towards the broker (default 10s). A
	// frozen broker is noticed after twice as long at most.
	KeepAlive time.Duration `yaml:"keep_alive"`
	// ConnectTimeout limits one attempt (default 10s), WriteTimeout one write
	// to a socket that is stuck (default 3s).
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	WriteTimeout   time.Duration `yaml:"write_timeout"`
}

// TLS names the files for tls:// brokers, in PEM.
type TLS struct {
	CA         string `yaml:"ca"`          // empty: the system's
	Cert       string `yaml:"cert"`        // our certificate, with Key
	Key        string `yaml:"key"`         //
	ServerName string `yaml:"server_name"` // empty: the host of the broker's URL
}

// EdgeConfig is the section "wire" of a gateway's settings.
type EdgeConfig struct {
	Area       string `yaml:"-"` // Sparkplug group id
	Gateway    string `yaml:"-"` // Sparkplug edge node id
	Folder     string `yaml:"-"` // where bdSeq is kept over restarts; empty: it is not
	Connection `yaml:",inline"`
	// Acknowledge is "host" (default) or "broker".
	Acknowledge string `yaml:"acknowledge"`
	// Host is the primary host's id: births and data wait until its STATE is
	// online. Default "linetwin" where Acknowledge is "host", else none: then
	// nothing waits.
	Host string `yaml:"host"`
}

// HostConfig is the section "broker" of a twin's settings.
type HostConfig struct {
	Site       string   `yaml:"-"` // written into batches
	Areas      []string `yaml:"-"` // Sparkplug group ids that are listened to; none means all
	Connection `yaml:",inline"`
	// Host is the host id under which STATE is published (default "linetwin").
	Host string `yaml:"host"`
	// Queue is how many messages of one gateway may wait (default 1024), and
	// QueueBytes how much all that wait may hold (default 64MiB). What is over
	// is dropped and counted; a gateway of ours sends it again.
	Queue      int         `yaml:"queue"`
	QueueBytes plant.Bytes `yaml:"queue_bytes"`
	// Reorder is how long a message that is missing may still come before a
	// rebirth is asked for (Sparkplug's Reorder Timeout; default 2s).
	Reorder time.Duration `yaml:"reorder_timeout"`
}

// Check fills the defaults and tells what is wrong.
func (c *EdgeConfig) Check() []plant.Fault {
	faults := c.Connection.check()
	faults = append(faults, checkID("area", c.Area)...)
	faults = append(faults, checkID("gateway", c.Gateway)...)
	switch c.Acknowledge {
	case "":
		c.Acknowledge = AcknowledgeHost
	case AcknowledgeHost, AcknowledgeBroker:
	default:
		faults = append(faults, plant.Fault{Key: "acknowledge", Found: c.Acknowledge, Allowed: "host or broker"})
	}
	if c.Host == "" && c.Acknowledge == AcknowledgeHost {
		c.Host = DefaultHost
	}
	if c.Host != "" {
		faults = append(faults, checkID("host", c.Host)...)
	}
	return faults
}

// Check fills the defaults and tells what is wrong.
func (c *HostConfig) Check() []plant.Fault {
	faults := c.Connection.check()
	if c.Host == "" {
		c.Host = DefaultHost
	}
	faults = append(faults, checkID("host", c.Host)...)
	for i, a := range c.Areas {
		faults = append(faults, checkID("areas["+strconv.Itoa(i)+"]", a)...)
	}
	switch {
	case c.Queue == 0:
		c.Queue = 1024
	case c.Queue < 64 || c.Queue > 1<<20:
		faults = append(faults, plant.Fault{Key: "queue", Found: strconv.Itoa(c.Queue), Allowed: "64 to 1048576 messages"})
	}
	switch {
	case c.QueueBytes == 0:
		c.QueueBytes = 64 << 20
	case c.QueueBytes < 1<<20:
		faults = append(faults, plant.Fault{Key: "queue_bytes", Found: c.QueueBytes.String(), Allowed: "at least 1MiB"})
	}
	switch {
	case c.Reorder == 0:
		c.Reorder = 2 * time.Second
	case c.Reorder < 10*time.Millisecond || c.Reorder > time.Minute:
		faults = append(faults, plant.Fault{Key: "reorder_timeout", Found: c.Reorder.String(), Allowed: "10ms to 1m"})
	}
	return faults
}

func checkID(key, id string) []plant.Fault {
	if err := plant.CheckID(id); err != nil {
		return []plant.Fault{{Key: key, Found: id, Allowed: strings.TrimPrefix(err.Error(), "empty, want ")}}
	}
	return nil
}

func (c *Connection) check() []plant.Fault {
	var faults []plant.Fault
	if len(c.Brokers) == 0 {
		faults = append(faults, plant.Fault{Key: "brokers", Allowed: "one or more of tcp://host:port, tls://host:port"})
	}
	for i, b := range c.Brokers {
		if _, _, err := parseBroker(b); err != nil {
			faults = append(faults, plant.Fault{Key: "brokers[" + strconv.Itoa(i) + "]", Found: b, Allowed: allowedBroker(b)})
		}
	}
	if c.User == "" && c.Password != "" {
		faults = append(faults, plant.Fault{Key: "user", Allowed: "a name to go with the password"})
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		key := "tls.key"
		if c.TLS.Cert == "" {
			key = "tls.cert"
		}
		faults = append(faults, plant.Fault{Key: key, Allowed: "a file; tls.cert and tls.key go together"})
	}
	for _, d := range []struct {
		key      string
		value    *time.Duration
		or       time.Duration
		min, max time.Duration
	}{
		{"keep_alive", &c.KeepAlive, 10 * time.Second, time.Second, 5 * time.Minute},
		{"connect_timeout", &c.ConnectTimeout, 10 * time.Second, 100 * time.Millisecond, 2 * time.Minute},
		{"write_timeout", &c.WriteTimeout, 3 * time.Second, 100 * time.Millisecond, time.Minute},
	} {
		switch {
		case *d.value == 0:
			*d.value = d.or
		case *d.value < d.min || *d.value > d.max:
			faults = append(faults, plant.Fault{Key: d.key, Found: d.value.String(), Allowed: d.min.String() + " to " + d.max.String()})
		}
	}
	return faults
}

// allowedBroker tells what may stand in the place of a URL that is wrong.
func allowedBroker(s string) string {
	const allowed = "tcp://host:port or tls://host:port, without user and password"
	switch scheme, _, _ := strings.Cut(s, "://"); scheme {
	case "ws", "wss", "http", "https":
		return allowed + "; MQTT over websockets is not spoken: take the broker's own MQTT port"
	}
	return allowed
}

// parseBroker gives the host:port of a broker's URL, and whether to use TLS.
func parseBroker(s string) (addr string, secure bool, err error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", false, fmt.Errorf("broker %q: %w", s, err)
	}
	port := u.Port()
	switch u.Scheme {
	case "tcp", "mqtt":
	case "tls", "ssl", "mqtts":
		secure = true
	default:
		return "", false, fmt.Errorf("broker %q: scheme %q, want tcp or tls", s, u.Scheme)
	}
	if u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return "", false, fmt.Errorf("broker %q: want a host and a port, and nothing more", s)
	}
	if port == "" {
		port = "1883"
		if secure {
			port = "8883"
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", false, fmt.Errorf("broker %q: port %s, want 1 to 65535", s, port)
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port, secure, nil
}

// CheckFiles tells what is wrong with the files that the settings name, as they
// are now, and in notes what soon will be or travels unencrypted. Check must
// have found nothing.
func (c *Connection) CheckFiles(now time.Time) (faults, notes []plant.Fault) {
	secure := false
	for i, b := range c.Brokers {
		addr, tls, _ := parseBroker(b)
		host, _, _ := net.SplitHostPort(addr)
		ip, err := netip.ParseAddr(host)
		near := host == "localhost" || err == nil && ip.IsLoopback()
		if secure = secure || tls; !tls && !near && c.Password != "" {
			notes = append(notes, plant.Fault{Key: "brokers[" + strconv.Itoa(i) + "]", Found: b, Allowed: "tls://, or else user, password and data travel for everybody on the network to read"})
		}
	}
	if !secure {
		if c.TLS != (TLS{}) {
			notes = append(notes, plant.Fault{Key: "tls", Found: "files that no connection uses", Allowed: "a tls:// broker: tcp:// is not encrypted, whatever tls says"})
		}
		return nil, notes
	}
	f, n := c.files().Check(now)
	return append(faults, plant.Under("tls", f)...), append(notes, plant.Under("tls", n)...)
}

func (c *Connection) files() tlsfile.Files {
	return tlsfile.Files{CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key}
}

// tlsConfig reads the files anew at each connection, so that a renewed
// certificate is taken without a restart.
func (c *Connection) tlsConfig(addr string) (*tls.Config, error) {
	host, _, _ := net.SplitHostPort(addr)
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cmp.Or(c.TLS.ServerName, host)}
	var err error
	if t.RootCAs, _, err = c.files().Authorities(); err != nil {
		return nil, err
	}
	if t.Certificates, err = c.files().Pair(); err != nil {
		return nil, err
	}
	return t, nil
}

// faultsError makes one error of faults, or nil.
func faultsError(faults []plant.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.String()
	}
	return fmt.Errorf("settings: %s", strings.Join(lines, "; "))
}

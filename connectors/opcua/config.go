// Package opcua reads the signals of machines from OPC UA servers: by polling
// (Read service) or by subscription. Devices of one server share one session.
//
// Encoding, cryptography and the service types come from
// github.com/gopcua/opcua; connection, secure channel and session are our own,
// because the library's client dials by itself, hides the server's times and
// keep-alives, and does not check what security it was given.
package opcua

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"linetwin/plant"
)

// The modes of a device.
const (
	ModePoll      = "poll"      // every signal is read in every round
	ModeSubscribe = "subscribe" // the server tells changes
)

// Config says how a device is reached. The zero value of everything but URL
// and Security means its default.
type Config struct {
	// URL is opc.tcp://host[:port][/path]; the port is 4840 when missing.
	URL string `yaml:"url"`
	// Security is None, or policy/mode as in Basic256Sha256/SignAndEncrypt. It
	// has no default, and what the server offers must match it exactly.
	Security string `yaml:"security"`
	// User signs in: by name and password, or by certificate; anonymous without.
	User User `yaml:"user,omitempty"`
	// Mode is poll (default) or subscribe.
	Mode string `yaml:"mode,omitempty"`
	// Timeout is how long one request may take; 2s by default.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	// Batch is the number of nodes in one request; 0 takes what the server says
	// it can (at most 1000), or 100 if it says nothing.
	Batch int `yaml:"batch,omitempty"`
	// Publishing is how often a subscription reports; 500ms by default.
	Publishing time.Duration `yaml:"publishing,omitempty"`
	// Sampling is how often the server looks at a subscribed node; by default
	// the device's interval.
	Sampling time.Duration `yaml:"sampling,omitempty"`
	// Queue is how many changes of one node the server keeps between two
	// reports; by default publishing/sampling + 2.
	Queue int `yaml:"queue,omitempty"`
	// Heartbeat is a node that changes all the time, subscribed beside the
	// signals so that a quiet machine can be told from a dead subscription.
	// i=2258 (the server's clock) by default; "none" for none.
	Heartbeat string `yaml:"heartbeat,omitempty"`
	// Backfill is auto (default), so that the server's history fills what an
	// outage left unknown, or never.
	Backfill string `yaml:"backfill,omitempty"`
	// BackfillMax is how far back history is asked for; 24h by default.
	BackfillMax time.Duration `yaml:"backfill_max,omitempty"`
	// MaxItems is the most nodes that may be subscribed on the server, by all
	// devices that share the session; 0 for what the server takes.
	MaxItems int `yaml:"max_items,omitempty"`
	// ServerDeadband says whether the server is asked to apply deadbands: auto
	// (default) tries it, never leaves them to the gateway.
	ServerDeadband string `yaml:"server_deadband,omitempty"`
	// Groups are ways to read signals other than this one.
	Groups []Group `yaml:"-"`
}

// User is an account on the server.
type User struct {
	Name     string       `yaml:"name"`
	Password plant.Secret `yaml:"password,omitempty"`
	// Plain allows the password to travel unencrypted, where server and
	// security settings would have it so. Otherwise such a server is refused.
	Plain bool `yaml:"plain,omitempty"`
	// Certificate is a file (PEM or DER) with the user's X.509 certificate, and
	// Key one with its RSA key (PEM, without a password). Both are read at each
	// connection, so that renewed ones are used.
	Certificate string `yaml:"certificate,omitempty"`
	Key         string `yaml:"key,omitempty"`
}

// Signal is one value of a server's address space.
type Signal struct {
	Name string `yaml:"name"`
	// Group names one of Config.Groups; without it Config's own settings hold.
	Group string `yaml:"group,omitempty"`
	// Node is ns=2;s=..., i=2258, nsu=urn:...;s=... (i, s, g and b
	// identifiers), or a browse path: path:/Objects/2:Machine/{urn:...}State.
	Node string `yaml:"node"`
	// Type is the OPC UA type the node must have, as in int32; see Types.
	Type string `yaml:"type"`
	// Index takes one element, counted from 0, of an array.
	Index *int `yaml:"index,omitempty"`
	// Scale and Offset make a float of a number: value*scale + offset.
	Scale  *float64 `yaml:"scale,omitempty"`
	Offset *float64 `yaml:"offset,omitempty"`
	// Deadband is by how much a number must change to be told. A server that
	// can is asked for it; whoever takes the readings applies it too.
	Deadband float64 `yaml:"deadband,omitempty"`
	// DeadbandPercent is the same in percent of the node's EURange, 0 to 100. It
	// is applied here.
	DeadbandPercent float64 `yaml:"deadband_percent,omitempty"`
	Unit            string  `yaml:"unit,omitempty"`
	Description     string  `yaml:"description,omitempty"`
}

const (
	defaultTimeout    = 2 * time.Second
	defaultPublishing = 500 * time.Millisecond
	defaultBatch      = 100
	mostBatch         = 1000
	keepAlives        = 10               // publishing cycles without a change until the server says that it lives, but
	longestSilence    = 10 * time.Second // no longer than this, as far as cycles allow
	clockNode         = "i=2258"

	defaultBackfillMax = 24 * time.Hour
)

// filled gives the configuration with its defaults in place.
func (c Config) filled(every time.Duration) Config {
	if c.Mode == "" {
		c.Mode = ModePoll
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Publishing == 0 {
		c.Publishing = defaultPublishing
	}
	if c.Sampling == 0 {
		c.Sampling = every
	}
	if c.Queue == 0 && c.Sampling > 0 {
		c.Queue = queueFor(c.Publishing, c.Sampling)
	}
	if c.Heartbeat == "" {
		c.Heartbeat = clockNode
	}
	if c.Backfill == "" {
		c.Backfill = BackfillAuto
	}
	if c.BackfillMax == 0 {
		c.BackfillMax = defaultBackfillMax
	}
	return c
}

// Check gives everything that is wrong with the settings; keys are relative to
// the device's opcua section.
func (c Config) Check() []plant.Fault {
	var faults []plant.Fault
	add := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if _, err := endpointURL(c.URL); err != nil {
		add("url", quoted(c.URL), "opc.tcp://host:port/path")
	}
	sec, err := parseSecurity(c.Security)
	if err != nil {
		add("security", quoted(c.Security), securityForms())
	}
	faults = append(faults, plant.Under("user", c.User.check(err == nil && sec.none()))...)
	if c.Mode != "" && c.Mode != ModePoll && c.Mode != ModeSubscribe {
		add("mode", quoted(c.Mode), "poll or subscribe")
	}
	within := func(key string, d, low, high time.Duration) {
		if d != 0 && (d < low || d > high) {
			add(key, d.String(), fmt.Sprintf("%v to %v", low, high))
		}
	}
	within("timeout", c.Timeout, 50*time.Millisecond, time.Minute)
	within("publishing", c.Publishing, 10*time.Millisecond, time.Minute)
	within("sampling", c.Sampling, time.Millisecond, time.Hour)
	within("backfill_max", c.BackfillMax, time.Minute, 720*time.Hour)
	if c.Backfill != "" && c.Backfill != BackfillAuto && c.Backfill != BackfillNever {
		add("backfill", quoted(c.Backfill), "auto or never")
	}
	if c.Batch < 0 || c.Batch > 10000 {
		add("batch", strconv.Itoa(c.Batch), "0 to 10000")
	}
	if c.Queue < 0 || c.Queue > 10000 {
		add("queue", strconv.Itoa(c.Queue), "0 to 10000")
	}
	if c.MaxItems < 0 || c.MaxItems > 1_000_000 {
		add("max_items", strconv.Itoa(c.MaxItems), "0 to 1000000")
	}
	if c.ServerDeadband != "" && c.ServerDeadband != deadbandAuto && c.ServerDeadband != deadbandNever {
		add("server_deadband", quoted(c.ServerDeadband), "auto or never")
	}
	if c.Heartbeat != "" && c.Heartbeat != "none" {
		if _, err := parseNode(c.Heartbeat); err != nil {
			add("heartbeat", quoted(c.Heartbeat), "none, or a node: "+nodeForms)
		}
	}
	return faults
}

// Check gives everything that is wrong with the signal; keys are relative to
// the signal.
func (s Signal) Check() []plant.Fault {
	var faults []plant.Fault
	add := func(key, found, allowed string) {
		faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
	}
	if err := checkSignalName(s.Name); err != nil {
		add("name", quoted(s.Name), err.Error())
	}
	if _, err := parseNode(s.Node); err != nil {
		add("node", quoted(s.Node), nodeForms)
	}
	t, ok := typeOf(s.Type)
	if !ok {
		add("type", quoted(s.Type), strings.Join(Types(), ", "))
	}
	if s.Index != nil && *s.Index < 0 {
		add("index", strconv.Itoa(*s.Index), "0 or more")
	}
	if ok && !t.numeric() {
		if s.Scale != nil {
			add("scale", strconv.FormatFloat(*s.Scale, 'g', -1, 64), "nothing: "+t.name+" is no number")
		}
		if s.Offset != nil {
			add("offset", strconv.FormatFloat(*s.Offset, 'g', -1, 64), "nothing: "+t.name+" is no number")
		}
	}
	if s.Scale != nil && (*s.Scale == 0 || !finite(*s.Scale)) {
		add("scale", strconv.FormatFloat(*s.Scale, 'g', -1, 64), "a finite number other than 0")
	}
	if s.Offset != nil && !finite(*s.Offset) {
		add("offset", strconv.FormatFloat(*s.Offset, 'g', -1, 64), "a finite number")
	}
	return append(faults, s.checkPercent()...)
}

// checkSignalName allows dots between the parts that plant.CheckID allows.
func checkSignalName(name string) error {
	if len(name) > 64 || name == "" {
		return fmt.Errorf("1 to 64 of a-z A-Z 0-9 . _ -")
	}
	return plant.CheckID(strings.ReplaceAll(name, ".", "_"))
}

// quoted shows what was found; "" where nothing was, so that a fault says
// "missing".
func quoted(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// endpointURL checks an endpoint's address and adds the default port.
func endpointURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "opc.tcp" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("url %q: want opc.tcp://host:port/path", raw)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "4840")
	}
	if p, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || p == 0 {
		return nil, fmt.Errorf("url %q: port must be 1 to 65535", raw)
	}
	return u, nil
}

// faultsError makes one error of all faults.
func faultsError(machine string, faults []plant.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	all := make([]string, len(faults))
	for i, f := range faults {
		all[i] = f.String()
	}
	return fmt.Errorf("opcua settings of %s: %s", machine, strings.Join(slices.Compact(all), "; "))
}

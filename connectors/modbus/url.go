package modbus

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"linetwin/plant"
)

// Kinds of line, as URLs name them.
const (
	schemeTCP      = "tcp"
	schemeRTU      = "rtu"
	schemeASCII    = "ascii"
	schemeRTUTCP   = "rtu+tcp"
	schemeASCIITCP = "ascii+tcp"
)

const urlForms = "tcp://host:port, rtu+tcp://host:port or ascii+tcp://host:port, port 502 if left out; " +
	"or a serial port as in rtu:///dev/ttyUSB0?baud=19200&parity=even or ascii:///dev/serial/by-id/NAME"

// target is what a URL names.
type target struct {
	scheme  string
	address string // host:port, or the path of a serial port
	port    portSettings
}

// serial tells whether the target is a serial port of this computer.
func (t *target) serial() bool { return t.scheme == schemeRTU || t.scheme == schemeASCII }

// ascii tells whether frames are written as hexadecimal text.
func (t *target) ascii() bool { return t.scheme == schemeASCII || t.scheme == schemeASCIITCP }

// portSettings are the parameters of a serial line. Defaults are those of
// MODBUS over Serial Line V1.02, 2.5.1 and 3.2.
type portSettings struct {
	baud     int
	dataBits int
	stopBits int
	parity   string // even, odd, none
	rs485    rs485Settings
}

// rs485Settings are for ports whose driver switches a transceiver by RTS.
type rs485Settings struct {
	on            bool
	before, after time.Duration // that RTS keeps before and after sending
	highDuring    bool          // RTS while sending
	highAfter     bool
}

var bauds = []int{300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000}

// character is how long one takes on the line.
func (p *portSettings) character() time.Duration {
	bits := 1 + p.dataBits + p.stopBits
	if p.parity != "none" {
		bits++
	}
	return time.Duration(bits) * time.Second / time.Duration(p.baud)
}

// silence is how long the line must be quiet between two frames (MODBUS over
// Serial Line V1.02, 2.5.1.1).
func (p *portSettings) silence() time.Duration {
	if p.baud > 19200 {
		return 1750 * time.Microsecond
	}
	return p.character() * 7 / 2
}

// longest is how long an answer with so many bytes of data takes on the line.
func (t *target) longest(data int) time.Duration {
	n := rtuOverhead + data
	if t.ascii() {
		n = asciiLength(3 + data)
	}
	return time.Duration(n) * t.port.character()
}

// timeout is the default for one answer.
func (t *target) timeout() time.Duration {
	if !t.serial() {
		return defaultTimeout
	}
	return (t.longest(mostData) + 200*time.Millisecond).Truncate(time.Millisecond)
}

// parseURL gives the target, or what is wrong with the URL.
func parseURL(s string) (target, *plant.Fault) {
	wrong := &plant.Fault{Key: "url", Found: s, Allowed: urlForms}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return target{}, wrong
	}
	t := target{scheme: u.Scheme}
	switch u.Scheme {
	case schemeTCP, schemeRTUTCP, schemeASCIITCP:
		if t.address = hostPort(u); t.address == "" {
			return target{}, wrong
		}
		return t, nil
	case schemeRTU, schemeASCII:
	default:
		return target{}, wrong
	}
	if u.Host != "" {
		wrong.Allowed = "three slashes before the path of a serial port, as in rtu:///dev/ttyUSB0"
		return target{}, wrong
	}
	if !strings.HasPrefix(u.Path, "/dev/") || path.Clean(u.Path) != u.Path {
		wrong.Allowed = "a serial port under /dev, as in rtu:///dev/ttyUSB0 or rtu:///dev/serial/by-id/NAME"
		return target{}, wrong
	}
	t.address = u.Path
	if fault := t.parseQuery(u.RawQuery); fault != nil {
		return target{}, fault
	}
	return t, nil
}

// hostPort gives the address of a URL that has nothing else, or "".
func hostPort(u *url.URL) string {
	if u.Hostname() == "" || u.RawQuery != "" || u.Path != "" && u.Path != "/" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// parseQuery takes the parameters of a serial line.
func (t *target) parseQuery(raw string) *plant.Fault {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return &plant.Fault{Key: "url", Found: raw, Allowed: "parameters as in baud=9600&parity=none"}
	}
	p := &t.port
	*p = portSettings{baud: 19200, dataBits: 8, parity: "even"}
	p.rs485.highDuring = true
	if t.ascii() {
		p.dataBits = 7
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		value := query.Get(key)
		if len(query[key]) > 1 {
			return &plant.Fault{Key: "url", Found: key + " " + strconv.Itoa(len(query[key])) + " times", Allowed: "each parameter once"}
		}
		if allowed := t.set(key, value); allowed != "" {
			return &plant.Fault{Key: "url", Found: key + "=" + value, Allowed: allowed}
		}
	}
	if p.stopBits == 0 { // a character has 11 bits also without parity
		p.stopBits = 1
		if p.parity == "none" {
			p.stopBits = 2
		}
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		if strings.HasPrefix(key, "rts_") && !p.rs485.on {
			return &plant.Fault{Key: "url", Found: key + "=" + query.Get(key), Allowed: "only with rs485=true"}
		}
	}
	return nil
}

// set takes one parameter and gives what is allowed where it is wrong.
func (t *target) set(key, value string) (allowed string) {
	p := &t.port
	switch key {
	case "baud":
		return oneOf(&p.baud, value, bauds...)
	case "parity":
		if value != "even" && value != "odd" && value != "none" {
			return "even, odd or none"
		}
		p.parity = value
	case "stop_bits":
		return oneOf(&p.stopBits, value, 1, 2)
	case "data_bits":
		if t.ascii() {
			return oneOf(&p.dataBits, value, 7, 8)
		}
		return oneOf(&p.dataBits, value, 8)
	case "rs485":
		return boolean(&p.rs485.on, value)
	case "rts_high_during_send":
		return boolean(&p.rs485.highDuring, value)
	case "rts_high_after_send":
		return boolean(&p.rs485.highAfter, value)
	case "rts_before":
		return delay(&p.rs485.before, value)
	case "rts_after":
		return delay(&p.rs485.after, value)
	default:
		return "baud, parity, stop_bits, data_bits, rs485, rts_before, rts_after, rts_high_during_send, rts_high_after_send"
	}
	return ""
}

func oneOf(into *int, value string, allowed ...int) string {
	n, err := strconv.Atoi(value)
	if err == nil && slices.Contains(allowed, n) {
		*into = n
		return ""
	}
	return strings.Trim(fmt.Sprint(allowed), "[]")
}

func boolean(into *bool, value string) string {
	if value != "true" && value != "false" {
		return "true or false"
	}
	*into = value == "true"
	return ""
}

// delay takes whole milliseconds, which is what drivers know.
func delay(into *time.Duration, value string) string {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > 100*time.Millisecond || d%time.Millisecond != 0 {
		return "0ms to 100ms, in whole milliseconds"
	}
	*into = d
	return ""
}

// Parameters says how the line is run, for comparing devices that share one:
// the same endpoint must have the same parameters.
func (c *Config) Parameters() string {
	t, fault := parseURL(c.URL)
	if fault != nil {
		return ""
	}
	if !t.serial() {
		return t.scheme
	}
	p := &t.port
	s := fmt.Sprintf("%s, %d baud, %d data bits, parity %s, %d stop bits", t.scheme, p.baud, p.dataBits, p.parity, p.stopBits)
	if r := &p.rs485; r.on {
		s += fmt.Sprintf(", rs485 with RTS %v while sending and %v after, delays %v and %v", r.highDuring, r.highAfter, r.before, r.after)
	}
	return s
}

package modbus

import (
	"fmt"
	"strconv"
	"time"

	"linetwin/plant"
)

// Limits of one request (MODBUS Application Protocol Specification V1.1b3,
// 6.1 to 6.4).
const (
	maxRegisters = 125
	maxBits      = 2000
)

// Defaults of a device's settings.
const (
	defaultTimeout = 500 * time.Millisecond
	defaultMaxGap  = 8
	defaultPort    = "502"
	longestPause   = time.Second
)

// Config tells how to reach one Modbus device and how it may be asked.
type Config struct {
	// URL is tcp://host:port, rtu+tcp://host:port or ascii+tcp://host:port, port
	// 502 if left out, or a serial port: rtu:///dev/..., ascii:///dev/... with the
	// line's parameters. Devices with the same host and port, or the same serial
	// port, share one line.
	URL string `yaml:"url"`
	// Unit is the unit (slave) identifier, 1 to 255; missing means 1.
	Unit int `yaml:"unit,omitempty"`
	// Timeout is how long an answer may take, and the least that a connection
	// attempt may take; missing means 500ms, on a serial port the time that the
	// longest answer takes on the line and 200ms.
	Timeout time.Duration `yaml:"timeout,omitempty"`
	// MaxGap is how many unwanted registers (or times 16 bits) may be read
	// between two wanted ones to save a request, 0 to 125; missing means 8.
	MaxGap *int `yaml:"max_gap,omitempty"`
	// MaxRegisters is the most registers per request, 1 to 125; missing means 125.
	MaxRegisters int `yaml:"max_registers,omitempty"`
	// MaxBits is the most coils or discrete inputs per request, 1 to 2000;
	// missing means 2000.
	MaxBits int `yaml:"max_bits,omitempty"`
	// Pause is the least time between the end of one exchange and the next
	// request, 0 to 1s, for converters and PLCs that need it. The devices of a
	// line use the greatest one of them.
	Pause time.Duration `yaml:"pause,omitempty"`
	// CountFrom is what named addresses count from, 0 (as the wire does) or 1:
	// with 1, holding:1 is the first register.
	CountFrom int `yaml:"count_from,omitempty"`
}

// Check fills in the defaults and tells what is wrong, keys relative to c.
func (c *Config) Check() []plant.Fault {
	var faults []plant.Fault
	line, wrong := parseURL(c.URL)
	if wrong != nil {
		faults = append(faults, *wrong)
	}
	number := func(key string, p *int, missing, low, high int) {
		if *p == 0 {
			*p = missing
		}
		if *p < low || *p > high {
			faults = append(faults, plant.Fault{Key: key, Found: strconv.Itoa(*p), Allowed: fmt.Sprintf("%d to %d", low, high)})
		}
	}
	number("unit", &c.Unit, 1, 1, 255)
	number("max_registers", &c.MaxRegisters, maxRegisters, 1, maxRegisters)
	number("max_bits", &c.MaxBits, maxBits, 1, maxBits)
	number("count_from", &c.CountFrom, 0, 0, 1)
	if c.Pause < 0 || c.Pause > longestPause {
		faults = append(faults, plant.Fault{Key: "pause", Found: c.Pause.String(), Allowed: fmt.Sprintf("0 to %v", longestPause)})
	}
	if c.MaxGap == nil {
		gap := defaultMaxGap
		c.MaxGap = &gap
	}
	if *c.MaxGap < 0 || *c.MaxGap > maxRegisters {
		faults = append(faults, plant.Fault{Key: "max_gap", Found: strconv.Itoa(*c.MaxGap), Allowed: "0 to 125 registers"})
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
		if wrong == nil {
			c.Timeout = line.timeout()
		}
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > time.Minute {
		faults = append(faults, plant.Fault{Key: "timeout", Found: c.Timeout.String(), Allowed: "10ms to 1m"})
	} else if len(faults) == 0 && line.serial() {
		if least := line.longest(max(2*c.MaxRegisters, (c.MaxBits+7)/8)); c.Timeout < least {
			faults = append(faults, plant.Fault{Key: "timeout", Found: c.Timeout.String(),
				Allowed: fmt.Sprintf("at least %v, which the longest answer takes at %d baud; or fewer max_registers and max_bits", least.Round(time.Millisecond), line.port.baud)})
		}
	}
	return faults
}

// CheckSignals tells what is wrong with a device's signals, keys relative to
// the list ("[0].type"). c must have been checked.
func (c *Config) CheckSignals(signals []Signal) []plant.Fault {
	var faults []plant.Fault
	for i := range signals {
		key := "[" + strconv.Itoa(i) + "]"
		own := signals[i].check(c.CountFrom)
		if len(own) == 0 {
			if p, err := signals[i].compile(c.CountFrom); err == nil && !p.table.bits() && int(p.count) > c.MaxRegisters {
				own = append(own, plant.Fault{Key: "type", Found: fmt.Sprintf("%s of %d registers", signals[i].Type, p.count),
					Allowed: fmt.Sprintf("at most max_registers, which is %d, because a value is read in one request", c.MaxRegisters)})
			}
		}
		faults = append(faults, plant.Under(key, own)...)
	}
	return faults
}

// Endpoint gives what devices share a connection by, the host and port or the
// path of the serial port, or "" where the URL is wrong.
func (c *Config) Endpoint() string {
	t, _ := parseURL(c.URL)
	return t.address
}

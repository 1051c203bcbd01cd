package modbus

import (
	"strings"
	"testing"
	"time"
)

func TestSerialURL(t *testing.T) {
	for _, c := range []struct {
		url, endpoint, parameters string
		timeout                   time.Duration
	}{
		{"rtu:///dev/ttyUSB0", "/dev/ttyUSB0", "rtu, 19200 baud, 8 data bits, parity even, 1 stop bits", 346 * time.Millisecond},
		{"rtu:///dev/serial/by-id/usb-FTDI_A:1-if00?baud=9600&parity=none", "/dev/serial/by-id/usb-FTDI_A:1-if00", "rtu, 9600 baud, 8 data bits, parity none, 2 stop bits", 492 * time.Millisecond},
		{"rtu:///dev/ttyS1?parity=none&stop_bits=1", "/dev/ttyS1", "rtu, 19200 baud, 8 data bits, parity none, 1 stop bits", 332 * time.Millisecond},
		{"ascii:///dev/ttyS0", "/dev/ttyS0", "ascii, 19200 baud, 7 data bits, parity even, 1 stop bits", 466 * time.Millisecond},
		{"rtu:///dev/ttyAMA0?rs485=true&rts_before=1ms", "/dev/ttyAMA0", "rtu, 19200 baud, 8 data bits, parity even, 1 stop bits, rs485 with RTS true while sending and false after, delays 1ms and 0s", 346 * time.Millisecond},
		{"rtu+tcp://10.0.0.1", "10.0.0.1:502", "rtu+tcp", 500 * time.Millisecond},
		{"ascii+tcp://moxa:4001/", "moxa:4001", "ascii+tcp", 500 * time.Millisecond},
		{"tcp://a", "a:502", "tcp", 500 * time.Millisecond},
	} {
		cfg := Config{URL: c.url}
		if faults := cfg.Check(); len(faults) > 0 || cfg.Endpoint() != c.endpoint || cfg.Parameters() != c.parameters || cfg.Timeout.Truncate(time.Millisecond) != c.timeout {
			t.Errorf("%s: faults %v, endpoint %s, parameters %q, timeout %v", c.url, faults, cfg.Endpoint(), cfg.Parameters(), cfg.Timeout)
		}
	}
}

func TestWrongSerialURL(t *testing.T) {
	for url, want := range map[string]string{
		"rtu://dev/ttyUSB0":                        "three slashes",
		"rtu:///home/me/port":                      "under /dev",
		"rtu:///dev/../etc/passwd":                 "under /dev",
		"rtu:///dev/":                              "under /dev",
		"rtu:/dev/ttyUSB0?boud=9600":               "found boud=9600, allowed: baud, parity",
		"rtu:///dev/ttyUSB0?baud=9601":             "found baud=9601, allowed: 300 600",
		"rtu:///dev/ttyUSB0?baud=9600&baud=19200":  "each parameter once",
		"rtu:///dev/ttyUSB0?parity=E":              "even, odd or none",
		"rtu:///dev/ttyUSB0?data_bits=7":           "allowed: 8",
		"ascii:///dev/ttyUSB0?data_bits=6":         "allowed: 7 8",
		"rtu:///dev/ttyUSB0?stop_bits=3":           "allowed: 1 2",
		"rtu:///dev/ttyUSB0?rs485=yes":             "true or false",
		"rtu:///dev/ttyUSB0?rts_before=1ms":        "only with rs485=true",
		"rtu:///dev/ttyS0?rs485=true&rts_after=1s": "0ms to 100ms",
		"rtu+tcp://":                               "rtu+tcp://host:port",
		"rtu+tcp://a:502?baud=9600":                "rtu+tcp://host:port",
		"com:///dev/ttyS0":                         "rtu:///dev/ttyUSB0",
	} {
		cfg := Config{URL: url}
		if faults := cfg.Check(); len(faults) != 1 || faults[0].Key != "url" || !strings.Contains(faults[0].String(), want) {
			t.Errorf("%s: faults %v, want %q", url, faults, want)
		}
	}
	cfg := Config{URL: "rtu:///dev/ttyUSB0?baud=1200", Timeout: 500 * time.Millisecond}
	if faults := cfg.Check(); len(faults) != 1 || faults[0].Key != "timeout" || !strings.Contains(faults[0].Allowed, "at least 2.33") {
		t.Errorf("faults %v", faults)
	}
	cfg.MaxRegisters, cfg.MaxBits = 16, 100
	if faults := cfg.Check(); len(faults) > 0 {
		t.Errorf("faults %v though answers are short", faults)
	}
}

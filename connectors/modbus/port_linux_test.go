package modbus

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPortComesAndGoes: a port that is not there, goes away, and comes back
// under the same name is told with its reason, and read again.
func TestPortComesAndGoes(t *testing.T) {
	link := filepath.Join(t.TempDir(), "adapter")
	settings := portSettings{baud: 115200, dataBits: 8, stopBits: 1, parity: "even"}
	m := newMultidrop(&target{scheme: schemeRTU, address: link, port: settings}, nil)
	d := newDevice(t, Config{URL: "rtu:///dev/adapter", Timeout: time.Second}, newLine("rtu://"+link, m, m.framing.packager), pair(0), pair(2))
	if err := d.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "connect: there is no "+link+": is the adapter plugged in?") {
		t.Fatalf("error %v", err)
	}
	s := newStation(t, rtu{})
	for range 3 {
		near, far := newPTY(t)
		if err := os.Symlink(far, link); err != nil {
			t.Fatal(err)
		}
		s.attach(t, near)
		flow(t, s, d)
		os.Remove(link)
		near.Close() // both ends hang up
		if _, err := d.Poll(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "went away") && !strings.Contains(err.Error(), "is no ") {
			t.Errorf("error %v", err)
		}
		d.Close()
		if err := d.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no ") {
			t.Errorf("error %v", err)
		}
	}
}

func TestPortIsOurs(t *testing.T) {
	s := newStation(t, rtu{})
	path := s.onPTY(t)
	cfg := Config{URL: "rtu://" + path, Timeout: time.Second}
	d := connect(t, newDevice(t, cfg, nil, pair(0)))
	other := newDevice(t, cfg, nil, pair(0))
	if err := other.Connect(t.Context()); err == nil || err.Error() != "connect: "+path+" is in use by another program" {
		t.Errorf("error %v", err)
	}
	flow(t, s, d)
	d.Close()
	flow(t, s, other)
}

func TestExplainPort(t *testing.T) {
	for want, err := range map[string]error{
		"no permission for /dev/x: add the user that runs linetwin to the group dialout": &fs.PathError{Op: "open", Path: "/dev/x", Err: unix.EACCES},
		"there is no /dev/x: is the adapter plugged in?":                                 &fs.PathError{Op: "stat", Path: "/dev/x", Err: unix.ENOENT},
		"/dev/x is in use by another program":                                            unix.EBUSY,
		"/dev/x is no serial port":                                                       unix.ENOTTY,
	} {
		if got := explain("/dev/x", err); got.Error() != want {
			t.Errorf("%v reads %q, want %q", err, got, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	for _, path := range []string{file, "/dev/null"} {
		if _, err := openPort(path, &portSettings{baud: 9600}); err == nil || err.Error() != path+" is no serial port" {
			t.Errorf("error %v", err)
		}
	}
}

// TestBlockedWriteEnds: a port that takes nothing ends at the deadline.
func TestBlockedWriteEnds(t *testing.T) {
	_, path := newPTY(t) // nobody reads at the near end
	w, err := openPort(path, &portSettings{baud: 115200, dataBits: 8, stopBits: 1, parity: "even"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := w.Write(make([]byte, 1<<20)); err == nil || !os.IsTimeout(err) {
		t.Errorf("%d bytes written, error %v", n, err)
	}
	w.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := w.Read(make([]byte, 10)); err == nil || !os.IsTimeout(err) {
		t.Errorf("%d bytes read, error %v", n, err)
	}
}

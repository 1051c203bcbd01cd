package main

import (
	"bytes"
	"debug/elf"
	endian "encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// notRoot says why a fault that only root can make is left out.
func notRoot(programs ...string) string {
	if os.Geteuid() != 0 {
		return "needs root"
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return "needs " + p
		}
	}
	return ""
}

// noDisk says why there can be no file system of the test's own.
func noDisk() string {
	if why := notRoot("mkfs.ext4", "mount", "umount"); why != "" {
		return why
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "needs loop devices"
	}
	return ""
}

func noLink() string {
	if why := notRoot("ip"); why != "" {
		return why
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return "needs /dev/net/tun"
	}
	return ""
}

func noClock() string {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "a process's own clock can be had on linux/amd64 only"
	}
	return ""
}

// keptClock says why a gateway would believe a clock that is moved.
func keptClock() string {
	if why := noClock(); why != "" {
		return why
	}
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err == nil && t.Status&unix.STA_UNSYNC == 0 {
		return "the kernel says that NTP keeps the clock, and gateways believe it"
	}
	return ""
}

func command1(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", strings.Join(args, " "), err, out)
	}
}

// disk is a file system of the test's own.
type disk struct {
	t      testing.TB
	image  string // of an ext4; empty for one in memory
	folder string
}

// newDisk mounts an ext4 on a loop device, which can lose its power.
func newDisk(t testing.TB) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{t: t, image: filepath.Join(dir, "disk.img"), folder: filepath.Join(dir, "disk")}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 256<<20), os.Mkdir(d.folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	command1(t, "mkfs.ext4", "-q", "-F", d.image)
	d.mount()
	t.Cleanup(func() { _ = exec.Command("umount", d.folder).Run() })
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	command1(d.t, "mount", "-o", "loop", d.image, d.folder)
}

// ext4Shutdown is EXT4_IOC_SHUTDOWN of Linux; noLogFlush has it drop what is
// in memory, the journal's part included, as a loss of power does.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

// losePower stops the file system at once: what was not synced is gone.
func (d *disk) losePower() {
	d.t.Helper()
	f, err := os.Open(d.folder)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, noLogFlush); err != nil {
		d.t.Fatalf("shut the file system down: %v", err)
	}
}

// powerUp mounts the file system as after a start of the machine.
func (d *disk) powerUp() {
	d.t.Helper()
	command1(d.t, "umount", d.folder)
	d.mount()
}

// newSmallDisk mounts a file system of so many bytes in memory.
func newSmallDisk(t testing.TB, bytes int) *disk {
	t.Helper()
	d := &disk{t: t, folder: t.TempDir()}
	command1(t, "mount", "-t", "tmpfs", "-o", "size="+strconv.Itoa(bytes), "tmpfs", d.folder)
	t.Cleanup(func() { _ = exec.Command("umount", d.folder).Run() })
	return d
}

// fill leaves no byte free.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.Create(filepath.Join(d.folder, "filler"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for zeros := make([]byte, 4096); err == nil; {
		_, err = f.Write(zeros)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

func (d *disk) free() {
	if err := os.Remove(filepath.Join(d.folder, "filler")); err != nil {
		d.t.Fatal(err)
	}
}

// badLink is a network between this one and a namespace of its own, whose
// packets pass through the test: they may be late, out of order or lost. TCP
// over it is the kernel's at both ends.
type badLink struct {
	near, far *os.File
	space     string // network namespace of the far end
	here      string // address of this end
	there     string

	mu            sync.Mutex
	loss          float64
	delay, jitter time.Duration
	passed, lost  int
}

func newBadLink(t testing.TB) *badLink {
	t.Helper()
	id := os.Getpid()%10_000*10 + int(time.Now().UnixNano()%10)
	l := &badLink{space: fmt.Sprintf("ltf%d", id)}
	net := fmt.Sprintf("10.%d.%d.", 200+id%50, id/50%250)
	l.here, l.there = net+"1", net+"2"
	near, far := fmt.Sprintf("ltn%d", id), fmt.Sprintf("ltf%d", id)
	command1(t, "ip", "netns", "add", l.space)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.space).Run() })
	l.near, l.far = openTun(t, near), openTun(t, far)
	for _, c := range []string{
		"ip link set " + far + " netns " + l.space,
		"ip addr add " + l.here + "/30 dev " + near, "ip link set " + near + " up",
		"ip -n " + l.space + " addr add " + l.there + "/30 dev " + far, "ip -n " + l.space + " link set " + far + " up",
	} {
		command1(t, strings.Fields(c)...)
	}
	var group sync.WaitGroup
	group.Go(func() { l.carry(l.near, l.far) })
	group.Go(func() { l.carry(l.far, l.near) })
	t.Cleanup(func() {
		l.near.Close()
		l.far.Close()
		group.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		t.Logf("%d packets passed, %d were lost", l.passed, l.lost)
	})
	return l
}

func openTun(t testing.TB, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		t.Fatalf("make network device %s: %v", name, err)
	}
	return os.NewFile(uintptr(fd), name)
}

func (l *badLink) set(loss float64, delay, jitter time.Duration) {
	l.mu.Lock()
	l.loss, l.delay, l.jitter = loss, delay, jitter
	l.mu.Unlock()
}

func (l *badLink) carry(from, to *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		lost, wait := rand.Float64() < l.loss, l.delay
		if l.jitter > 0 {
			wait += rand.N(l.jitter)
		}
		if lost {
			l.lost++
		} else {
			l.passed++
		}
		l.mu.Unlock()
		switch packet := bytes.Clone(buf[:n]); {
		case lost:
		case wait == 0:
			_, _ = to.Write(packet) // a network tells nobody of what it loses
		default:
			time.AfterFunc(wait, func() { _, _ = to.Write(packet) })
		}
	}
}

// moveClock has a process see another time of day from now on, by so much; its
// monotonic clock goes on as before, as when a clock is set. It works on the
// program as it is shipped: the function of the kernel's vDSO that every
// program on Linux asks for the time is replaced in the process's memory.
func moveClock(pid int, by time.Duration) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	var low, high uint64
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			if _, err := fmt.Sscanf(line, "%x-%x", &low, &high); err != nil {
				return err
			}
		}
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	vdso := make([]byte, high-low)
	if _, err := memory.ReadAt(vdso, int64(low)); err != nil {
		return fmt.Errorf("read vDSO: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(vdso))
	if err != nil {
		return fmt.Errorf("read vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("read vDSO: %w", err)
	}
	at := map[string]uint64{}
	for _, s := range symbols {
		at[s.Name] = s.Value
	}
	clock, room := at["__vdso_clock_gettime"], at["__vdso_clock_getres"] // Go never asks for the latter
	if clock == 0 || room == 0 {
		return errors.New("vDSO has no clock_gettime or clock_getres")
	}
	if _, err := memory.WriteAt(shiftedClock(by), int64(low+room)); err != nil {
		return fmt.Errorf("write vDSO: %w", err)
	}
	jump := endian.LittleEndian.AppendUint32([]byte{0xe9}, uint32(room-clock-5))
	if _, err := memory.WriteAt(jump, int64(low+clock)); err != nil {
		return fmt.Errorf("write vDSO: %w", err)
	}
	return nil
}

// shiftedClock is clock_gettime as a call of the kernel; whole seconds are
// added to the time of day.
func shiftedClock(by time.Duration) []byte {
	code := []byte{
		0xb8, 0xe4, 0, 0, 0, // mov eax, 228 (clock_gettime)
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi (CLOCK_REALTIME is 0)
		0x75, 0x0a, // jne end
		0x48, 0x8b, 0x0d, 6, 0, 0, 0, // mov rcx, [rip+6]
		0x48, 0x01, 0x0e, // add [rsi], rcx
		0xc3,       // end: ret
		0x90, 0x90, // so that the seconds are written as one
	}
	return endian.LittleEndian.AppendUint64(code, uint64(int64(by/time.Second)))
}

// TestMoveClock moves the clock of a process that tells the time, which is this
// test once more.
func TestMoveClock(t *testing.T) {
	const told = "LINETWIN_TELL_TIME"
	if os.Getenv(told) != "" {
		for range 2000 {
			began := time.Now()
			time.Sleep(5 * time.Millisecond)
			now := time.Now()
			fmt.Println("it is", now.Format(time.DateOnly), "after a pause", now.Sub(began) < time.Minute)
		}
		return
	}
	if why := noClock(); why != "" {
		t.Skip(why)
	}
	t.Setenv(told, "1")
	p := spawn(t, "clock", os.Args[0], "-test.run", "^TestMoveClock$")
	for _, by := range []time.Duration{0, 48 * time.Hour, -72 * time.Hour} {
		if err := moveClock(p.cmd.Process.Pid, by); err != nil {
			t.Fatal(err)
		}
		p.says("it is " + time.Now().Add(by).Format(time.DateOnly) + " after a pause true")
	}
}

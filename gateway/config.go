package gateway

import (
	"strconv"
	"time"

	"linetwin/plant"
)

// Config is what a gateway needs to know beside its devices. The identities
// come from the top of the settings file, the rest from its sections.
type Config struct {
	Site    string `yaml:"-"`
	Area    string `yaml:"-"`
	Gateway string `yaml:"-"`
	Version string `yaml:"-"` // of the program, shown in births and in the status

	Clock *Clock `yaml:"-"` // nil: one of its own

	Buffer   BufferConfig   `yaml:"buffer"`
	Delivery DeliveryConfig `yaml:"delivery"`
}

// BufferConfig says where and how much a gateway keeps until history has it.
type BufferConfig struct {
	// Folder belongs to one gateway process alone.
	Folder string `yaml:"folder"`
	// MaxBytes bounds the blocks on disk, after compression; the file may be
	// larger by what was freed inside it. Default 1GiB, the most on 32 bit.
	MaxBytes plant.Bytes `yaml:"max_bytes"`
	// MaxAge is how long a batch waits before it is dropped. Default 168h.
	MaxAge time.Duration `yaml:"max_age"`
	// Sync and SyncBytes: after which time, and after how many bytes in the tail
	// file, readings that are not acknowledged are synced to the disk. What a
	// power cut costs. Defaults 1s and 1MiB.
	Sync      time.Duration `yaml:"sync"`
	SyncBytes plant.Bytes   `yaml:"sync_bytes"`
	// MinFreeDisk: while less than this is free, the file grows no more and the
	// oldest is dropped instead. Default 128MiB.
	MinFreeDisk plant.Bytes `yaml:"min_free_disk"`
}

// DeliveryConfig says how batches are sent.
type DeliveryConfig struct {
	// Window is how many batches of backlog may wait for their
	// acknowledgement. Default 512.
	Window int `yaml:"window"`
	// Resend is how long an acknowledgement is awaited before a batch is sent
	// again; it doubles, up to 12 times as long, while none comes. Default 5s.
	Resend time.Duration `yaml:"resend"`
	// BacklogRate bounds how many readings of backlog go out in a second, for
	// links that others share. Default 0: as many as are acknowledged.
	BacklogRate int `yaml:"backlog_rate"`
	// Heartbeat is how often a machine of which nothing changed says how far it
	// is known. Default 1s.
	Heartbeat time.Duration `yaml:"heartbeat"`
}

// DefaultConfig gives the settings that a file need not hold.
func DefaultConfig() Config {
	return Config{
		Buffer: BufferConfig{
			Folder: "data/buffer", MaxBytes: 1 << 30, MaxAge: 168 * time.Hour,
			Sync: time.Second, SyncBytes: 1 << 20, MinFreeDisk: 128 << 20,
		},
		Delivery: DeliveryConfig{Window: 512, Resend: 5 * time.Second, Heartbeat: time.Second},
	}
}

// maxBytes32 is what a 32-bit process can map into memory with some to spare.
const maxBytes32 = 1 << 30

// Check fills what is missing with defaults and tells everything that is wrong.
func (c *Config) Check() []plant.Fault {
	d := DefaultConfig()
	orDefault(&c.Buffer.Folder, d.Buffer.Folder)
	orDefault(&c.Buffer.MaxBytes, d.Buffer.MaxBytes)
	orDefault(&c.Buffer.MaxAge, d.Buffer.MaxAge)
	orDefault(&c.Buffer.Sync, d.Buffer.Sync)
	orDefault(&c.Buffer.SyncBytes, d.Buffer.SyncBytes)
	orDefault(&c.Buffer.MinFreeDisk, d.Buffer.MinFreeDisk)
	orDefault(&c.Delivery.Window, d.Delivery.Window)
	orDefault(&c.Delivery.Resend, d.Delivery.Resend)
	orDefault(&c.Delivery.Heartbeat, d.Delivery.Heartbeat)

	var faults []plant.Fault
	wrong := func(bad bool, key, found, allowed string) {
		if bad {
			faults = append(faults, plant.Fault{Key: key, Found: found, Allowed: allowed})
		}
	}
	b, s := &c.Buffer, &c.Delivery
	wrong(b.MaxBytes < 1<<20, "buffer.max_bytes", b.MaxBytes.String(), "at least 1MiB")
	wrong(strconv.IntSize == 32 && b.MaxBytes > maxBytes32, "buffer.max_bytes", b.MaxBytes.String(), "at most 1GiB on a 32-bit machine")
	wrong(b.MaxAge < time.Minute, "buffer.max_age", b.MaxAge.String(), "at least 1m")
	between := func(key string, d, low, high time.Duration) {
		wrong(d < low || d > high, key, d.String(), low.String()+" to "+high.String())
	}
	between("buffer.sync", b.Sync, 10*time.Millisecond, time.Minute)
	wrong(b.SyncBytes < 64<<10 || b.SyncBytes > 16<<20, "buffer.sync_bytes", b.SyncBytes.String(), "64KiB to 16MiB")
	wrong(b.MinFreeDisk < 0, "buffer.min_free_disk", b.MinFreeDisk.String(), "a size")
	wrong(s.Window < 1 || s.Window > 4096, "delivery.window", strconv.Itoa(s.Window), "1 to 4096 batches")
	between("delivery.resend", s.Resend, 100*time.Millisecond, 10*time.Minute)
	wrong(s.BacklogRate != 0 && s.BacklogRate < 100, "delivery.backlog_rate", strconv.Itoa(s.BacklogRate), "0 (no bound) or at least 100 readings a second")
	between("delivery.heartbeat", s.Heartbeat, 100*time.Millisecond, 10*time.Second)
	return faults
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

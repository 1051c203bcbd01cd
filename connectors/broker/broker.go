// Package broker is the embedded MQTT 3.1.1 broker: nats-server with its MQTT
// listener and nothing else listening. It is for one machine and for the demo;
// any other MQTT 3.1.1 broker does as well.
//
// Topic levels must be of A-Z a-z 0-9 _ . and -: NATS closes the connection of
// a client that uses others.
package broker

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"linetwin/plant"
)

// localUser is the user that the process itself connects as, where there are
// users at all. Its password is made anew for each Broker.
const localUser = "linetwin-local"

// The limits of the broker. A DBIRTH of some 50,000 signals fits a payload.
const (
	maxPayload  = 8 << 20
	maxMemory   = 64 << 20
	startWithin = 20 * time.Second
	stopWithin  = 2 * time.Second
)

// messagesStream is where NATS keeps MQTT messages of QoS 1 for clients that
// are away. It has no limit by itself, and full it locks all clients out.
const messagesStream = "$MQTT_msgs"

// Broker is an embedded broker. New makes one; Run serves, once.
type Broker struct {
	cfg      Config
	log      *slog.Logger
	password plant.Secret
	ready    chan struct{}

	mu   sync.Mutex
	addr string
}

// New gives a Broker; it opens nothing.
func New(cfg Config, log *slog.Logger) (*Broker, error) {
	if faults := cfg.Check(); len(faults) > 0 {
		lines := make([]string, len(faults))
		for i, f := range faults {
			lines[i] = f.String()
		}
		return nil, fmt.Errorf("settings: %s", strings.Join(lines, "; "))
	}
	return &Broker{cfg: cfg, log: log.With("part", "broker"), password: plant.Secret(rand.Text()), ready: make(chan struct{})}, nil
}

// Ready is closed when clients can connect.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// Addr is the host:port where it listens, once Ready is closed; before that,
// the one that the settings ask for.
func (b *Broker) Addr() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addr == "" {
		return b.cfg.Listen
	}
	return b.addr
}

// Local gives the user and password with which a part of this process
// connects; both are empty where the broker has no users.
func (b *Broker) Local() (user string, password plant.Secret) {
	if len(b.cfg.Users) == 0 {
		return "", ""
	}
	return localUser, b.password
}

// Run serves until ctx ends and then gives ctx's error; before, only the error
// for which it could not start or had to stop.
func (b *Broker) Run(ctx context.Context) error {
	opts, err := b.options()
	if err != nil {
		return err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	fatal := make(chan error, 1)
	srv.SetLoggerV2(&logger{b.log, fatal}, false, false, false)
	srv.Start()
	defer stop(srv, b.log)
	if err := b.await(ctx, srv, fatal); err != nil {
		return err
	}
	if err := b.limit(srv); err != nil {
		return err
	}
	state, err := srv.Varz(nil)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	port := state.MQTT.Port
	host, _, _ := splitListen(b.cfg.Listen)
	b.mu.Lock()
	b.addr = net.JoinHostPort(host, strconv.Itoa(port))
	b.mu.Unlock()
	b.log.Info("listening", "address", b.Addr(), "tls", opts.MQTT.TLSConfig != nil, "users", len(b.cfg.Users))
	close(b.ready)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-fatal:
		return err
	}
}

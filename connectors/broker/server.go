package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// options are the server's: MQTT listens, NATS itself does not.
func (b *Broker) options() (*server.Options, error) {
	host, port, err := splitListen(b.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("broker: listen %s: %w", b.cfg.Listen, err)
	}
	// NATS only logs that a port is taken, and waits; ask for it ourselves.
	probe, err := net.Listen("tcp", b.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	probe.Close()
	if err := os.MkdirAll(b.cfg.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("broker: folder: %w", err)
	}
	tlsConfig, err := (&identity{files: b.cfg.TLS.files(), log: b.log}).config()
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	opts := &server.Options{
		ServerName: "linetwin", // sessions and retained messages belong to it
		DontListen: true, NoSigs: true,
		MaxPayload: maxPayload,
		JetStream:  true, StoreDir: b.cfg.Folder,
		JetStreamMaxMemory: maxMemory, JetStreamMaxStore: int64(b.cfg.MaxBytes),
		MQTT: server.MQTTOpts{Host: host, Port: port, TLSConfig: tlsConfig, TLSTimeout: 5, AuthTimeout: 5},
	}
	if len(b.cfg.Users) > 0 {
		opts.Users = append(opts.Users, &server.User{Username: localUser, Password: b.password.Reveal()})
	}
	for _, u := range b.cfg.Users {
		opts.Users = append(opts.Users, &server.User{Username: u.Name, Password: u.Password.Reveal(), Permissions: u.permissions()})
	}
	return opts, nil
}

// published is where the twin alone speaks: linetwin/v1/#, as NATS writes it.
const published = "linetwin.v1.>"

// permissions lets a gateway's user say what that gateway says and hear its
// commands, the hosts' states and what the twin publishes. Other users may all
// but speak for the twin. Subjects are as NATS writes topics: '/' is '.', and
// '.' is '//'.
func (u *User) permissions() *server.Permissions {
	if u.Gateway == "" {
		return &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{published}}}
	}
	area, gateway, _ := strings.Cut(u.Gateway, "/")
	subject := func(kind, rest string) string { return "spBv1//0." + area + "." + kind + "." + gateway + rest }
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			subject("NBIRTH", ""), subject("NDEATH", ""), subject("NDATA", ""),
			subject("DBIRTH", ".*"), subject("DDEATH", ".*"), subject("DDATA", ".*"),
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{
			subject("NCMD", ""), subject("DCMD", ".*"), "spBv1//0.STATE.*",
			published, strings.TrimSuffix(published, ".>"), // "#" is the level above, too
			"$MQTT.sub.>", "$MQTT.deliver.pubrel.>", // how NATS delivers QoS 1 and 2
		}},
	}
}

// await gives the reason for which the server did not start.
func (b *Broker) await(ctx context.Context, srv *server.Server, fatal <-chan error) error {
	deadline := time.Now().Add(startWithin)
	for !srv.ReadyForConnections(20 * time.Millisecond) {
		select {
		case err := <-fatal:
			return err
		default:
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("broker: not ready after %v", startWithin)
		}
	}
	select {
	case err := <-fatal:
		return err
	default:
		return nil
	}
}

// limit makes the stream of waiting messages before NATS does, with a limit:
// the oldest give way.
func (b *Broker) limit(srv *server.Server) error {
	user, password := b.Local()
	conn, err := nats.Connect("", nats.InProcessServer(srv), nats.UserInfo(user, password.Reveal()), nats.NoReconnect())
	if err != nil {
		return fmt.Errorf("broker: connect in process: %w", err)
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	want := &nats.StreamConfig{
		Name: messagesStream, Subjects: []string{"$MQTT.msgs.>"},
		Storage: nats.FileStorage, Retention: nats.InterestPolicy, Discard: nats.DiscardOld,
		MaxBytes: int64(b.cfg.MaxBytes) / 4, MaxAge: 24 * time.Hour,
	}
	_, err = js.AddStream(want)
	if errors.Is(err, nats.ErrStreamNameAlreadyInUse) {
		_, err = js.UpdateStream(want)
	}
	if err != nil {
		return fmt.Errorf("broker: limit stream %s: %w", messagesStream, err)
	}
	return nil
}

// stop ends the server; clients are told nothing and connect elsewhere.
func stop(srv *server.Server, log *slog.Logger) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	select {
	case <-done:
	case <-time.After(stopWithin):
		log.Warn("broker has not stopped in time, going on without it", "limit", stopWithin)
	}
}

// logger writes the server's log. What NATS calls fatal ends Run; by itself it
// would end nothing here.
type logger struct {
	log   *slog.Logger
	fatal chan<- error
}

func (l *logger) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf("broker: "+format, v...):
	default:
	}
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  {}
func (l *logger) Tracef(format string, v ...any)  {}

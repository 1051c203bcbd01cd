package sparkplug

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"linetwin/plant"
)

// inbound is a message from the broker.
type inbound struct {
	topic    string
	payload  []byte
	retained bool
}

// opening is what a link is opened with.
type opening struct {
	client     string // MQTT client id
	willTopic  string
	will       func() []byte // payload of the will; called when CONNECT is about to be sent
	willRetain bool
	receive    func(inbound) // must not block
}

// link is one MQTT connection, from CONNECT to its end. It is never used again:
// paho's own reconnection completes tokens of messages that were never
// delivered.
type link struct {
	broker string
	client mqtt.Client
	sock   *socket
	write  time.Duration
	answer time.Duration

	lost chan struct{} // closed when the connection is over
	once sync.Once
	why  error // set before lost is closed
}

// open connects to one broker.
func (c *Connection) open(ctx context.Context, broker string, o opening) (*link, error) {
	l := &link{broker: broker, write: c.WriteTimeout, answer: c.ConnectTimeout, lost: make(chan struct{})}
	addr, secure, err := parseBroker(broker)
	if err != nil {
		return nil, err
	}
	dialCtx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	conn, err := c.dial(dialCtx, addr, secure)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", broker, err)
	}
	l.sock = &socket{Conn: conn, timeout: c.WriteTimeout}
	opts := mqtt.NewClientOptions()
	opts.AddBroker("tcp://" + addr) // only named: the connection is ours
	opts.SetClientID(o.client).SetProtocolVersion(4).SetCleanSession(true)
	opts.SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true)
	opts.SetKeepAlive(c.KeepAlive).SetPingTimeout(c.KeepAlive / 2)
	opts.SetConnectTimeout(c.ConnectTimeout).SetWriteTimeout(c.WriteTimeout)
	opts.SetUsername(c.User).SetPassword(c.Password.Reveal())
	opts.SetBinaryWill(o.willTopic, o.will(), 1, o.willRetain)
	opts.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.sock, nil })
	opts.SetConnectionLostHandler(func(_ mqtt.Client, err error) { l.fail(err) })
	opts.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		o.receive(inbound{m.Topic(), m.Payload(), m.Retained()})
	})
	l.client = mqtt.NewClient(opts)
	token := l.client.Connect().(*mqtt.ConnectToken)
	select {
	case <-token.Done():
	case <-ctx.Done():
		conn.Close()
		<-token.Done()
	}
	if ctx.Err() != nil {
		l.close()
		return nil, ctx.Err()
	}
	if err := token.Error(); err != nil {
		conn.Close()
		return nil, c.refused(broker, token.ReturnCode(), err)
	}
	return l, nil
}

// refused says in our words why a broker took the connection but not us.
func (c *Connection) refused(broker string, code byte, err error) error {
	switch code {
	case 4, 5: // MQTT 3.1.1, 3.2.2.3: brokers differ in which of the two they give
		if c.User == "" {
			return fmt.Errorf("connect %s: the broker wants a user and a password", broker)
		}
		return fmt.Errorf("connect %s: the broker refuses user %q or its password", broker, c.User)
	case 2:
		return fmt.Errorf("connect %s: the broker refuses our client id", broker)
	case 3:
		return fmt.Errorf("connect %s: the broker is not available", broker)
	}
	return fmt.Errorf("connect %s: no answer to CONNECT: %w", broker, err)
}

func (c *Connection) dial(ctx context.Context, addr string, secure bool) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil || !secure {
		return conn, err
	}
	host, _, _ := net.SplitHostPort(addr)
	cfg, err := c.tlsConfig(host)
	if err != nil {
		conn.Close()
		return nil, err
	}
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// socket gives every write a deadline of its own; paho sets none for pings and
// for answers.
type socket struct {
	net.Conn
	timeout time.Duration
}

func (s *socket) Write(b []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(b)
}

// SetWriteDeadline leaves the deadline to Write.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// fail ends the link.
func (l *link) fail(err error) {
	l.once.Do(func() {
		l.why = err
		close(l.lost)
		l.sock.Close()
	})
}

// publish sends one message and waits until it is written (QoS 0) or
// acknowledged (QoS 1). The payload may be used again afterwards only if there
// was no error.
func (l *link) publish(topic string, qos byte, retained bool, payload []byte) error {
	if !l.client.IsConnectionOpen() {
		return plant.ErrOffline
	}
	limit := l.write
	if qos > 0 {
		limit = l.answer
	}
	token := l.client.Publish(topic, qos, retained, payload)
	select {
	case <-token.Done():
	default:
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-token.Done():
		case <-l.lost:
			return plant.ErrOffline
		case <-timer.C:
			l.fail(fmt.Errorf("write to %s: stuck for %v", l.broker, limit))
			return plant.ErrOffline
		}
	}
	if err := token.Error(); err != nil {
		l.fail(fmt.Errorf("write to %s: %w", l.broker, err))
		return plant.ErrOffline
	}
	return nil
}

// subscribe asks for topics and waits for the broker's consent.
func (l *link) subscribe(ctx context.Context, filters map[string]byte) error {
	token := l.client.SubscribeMultiple(filters, nil).(*mqtt.SubscribeToken)
	timer := time.NewTimer(l.answer)
	defer timer.Stop()
	select {
	case <-token.Done():
	case <-l.lost:
		return fmt.Errorf("subscribe at %s: %w", l.broker, l.why)
	case <-timer.C:
		return fmt.Errorf("subscribe at %s: no answer in %v", l.broker, l.answer)
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := token.Error(); err != nil {
		return fmt.Errorf("subscribe at %s: %w", l.broker, err)
	}
	for filter, code := range token.Result() {
		if code == 0x80 { // MQTT 3.1.1, 3.9.3
			return fmt.Errorf("subscribe at %s: the broker refuses %s", l.broker, filter)
		}
	}
	return nil
}

// close says goodbye to the broker where that is still possible.
func (l *link) close() {
	l.client.Disconnect(500)
	l.fail(net.ErrClosed)
}

// maxDelay is the longest pause between two attempts.
const maxDelay = 30 * time.Second

// maxAway is the longest pause of a gateway that looks for its primary host at
// several brokers.
const maxAway = 3 * time.Second

// keep serves session after session, each with the next broker, until ctx
// ends. It pauses with full jitter: up to 0, 1, 2, 4 ... 30 s, once for every
// round of all brokers.
func (c *Connection) keep(ctx context.Context, log *slog.Logger, failed func(error), serve func(ctx context.Context, broker string) error) {
	var last string
	var p pace
	for i := 0; ctx.Err() == nil; i++ {
		began := time.Now()
		err := serve(ctx, c.Brokers[i%len(c.Brokers)])
		if ctx.Err() != nil {
			return
		}
		failed(err)
		if text := err.Error(); text != last {
			log.Warn("not connected", "error", err)
			last = text
		}
		wait, fresh := p.next(err, time.Since(began), len(c.Brokers))
		if fresh {
			last = ""
		}
		if p.brief == briefMany {
			log.Warn("the broker ends the connection soon after it began, again and again: is another client connected under the same name?")
		}
		if errors.Is(err, errHostAway) {
			wait = min(wait, maxAway) // the brokers are well
		}
		sleep(ctx, wait)
	}
}

// delayBound is the longest wait after so many failures in a row.
func delayBound(failures, brokers int) time.Duration {
	round := (failures - 1) / brokers
	if round == 0 {
		return 0
	}
	return min(time.Second<<min(round-1, 10), maxDelay)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

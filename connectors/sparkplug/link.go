package sparkplug

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
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
	who    string // whom the broker knows us as

	certificates []plant.Certificate // that the connection rests on

	lost chan struct{} // closed when the connection is over
	once sync.Once
	why  error // set before lost is closed
}

// open connects to one broker.
func (c *Connection) open(ctx context.Context, broker string, o opening) (*link, error) {
	addr, secure, err := parseBroker(broker)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx, addr, secure)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", broker, err)
	}
	l, err := c.begin(ctx, conn, broker, o)
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("connect %s: %w", broker, err)
	}
	return l, err
}

// begin opens an MQTT session on a connection, or closes it.
func (c *Connection) begin(ctx context.Context, conn net.Conn, broker string, o opening) (*link, error) {
	l := &link{broker: broker, write: c.WriteTimeout, answer: c.ConnectTimeout, who: c.who(), lost: make(chan struct{})}
	addr, _, err := parseBroker(broker)
	if err != nil {
		return nil, err
	}
	l.sock = &socket{Conn: conn, timeout: c.WriteTimeout}
	if t, ok := conn.(*tls.Conn); ok {
		l.certificates = c.certificates(t.ConnectionState())
	}
	l.client = mqtt.NewClient(c.options(l, addr, o))
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
	if token.Error() != nil {
		conn.Close()
		return nil, c.refused(ctx, addr, l, token)
	}
	return l, nil
}

func (c *Connection) options(l *link, addr string, o opening) *mqtt.ClientOptions {
	opts := mqtt.NewClientOptions()
	opts.AddBroker("tcp://" + addr) // only named: the connection is ours
	opts.SetClientID(o.client).SetProtocolVersion(4).SetCleanSession(true)
	opts.SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true)
	opts.SetKeepAlive(c.KeepAlive).SetPingTimeout(c.KeepAlive / 2)
	opts.SetConnectTimeout(c.ConnectTimeout).SetWriteTimeout(c.WriteTimeout)
	opts.SetUsername(c.User).SetPassword(c.Password.Reveal())
	if o.willTopic != "" {
		opts.SetBinaryWill(o.willTopic, o.will(), 1, o.willRetain)
	}
	opts.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.sock, nil })
	opts.SetConnectionLostHandler(func(_ mqtt.Client, err error) { l.fail(c.lost(o.client, err)) })
	opts.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		o.receive(inbound{m.Topic(), m.Payload(), m.Retained()})
	})
	return opts
}

// refused says in our words why a broker took the connection but not us.
func (c *Connection) refused(ctx context.Context, addr string, l *link, token *mqtt.ConnectToken) error {
	switch token.ReturnCode() {
	case 4, 5: // MQTT 3.1.1, 3.2.2.3: brokers differ in which of the two they give
		switch {
		case c.User == "":
			return errors.New("the broker wants a user and a password: user is not set")
		case c.Password == "":
			return fmt.Errorf("the broker refuses user %q without a password: password is not set", c.User)
		}
		return fmt.Errorf("the broker refuses user %q or its password: it does not say which; compare both with the broker's list of users", c.User)
	case 1:
		return errors.New("the broker does not speak MQTT 3.1.1")
	case 2:
		return errors.New("the broker refuses our client id: see its rules on client ids")
	case 3:
		return errors.New("the broker says that it is not available: see its log")
	}
	return c.connectFault(ctx, addr, l.sock, token.Error())
}

// closed is a session that the broker ended. MQTT 3.1.1 has no word for why.
type closed struct{ client string }

func (c *closed) Error() string {
	return "the broker closed it: it was stopped, or does not allow what we did, or another client took our client id " + c.client
}

// lost tells why a session ended.
func (c *Connection) lost(client string, err error) error {
	var timeout net.Error
	switch {
	case err == nil || gone(err):
		return &closed{client}
	case strings.HasPrefix(err.Error(), "pingresp not received"):
		return fmt.Errorf("the broker was silent for more than %v: it is frozen, or the network swallows the packets", c.KeepAlive)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("a write was stuck for %v: the broker is frozen, or the network swallows the packets", c.WriteTimeout)
	}
	return bare(err)
}

// dial connects to a broker as far as TLS goes.
func (c *Connection) dial(ctx context.Context, addr string, secure bool) (net.Conn, error) {
	var cfg *tls.Config
	if secure { // what is wrong with files needs no network to be told
		var err error
		if cfg, err = c.tlsConfig(addr); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	conn, err := c.dialTCP(ctx, addr)
	if err != nil || !secure {
		return conn, err
	}
	return c.shake(ctx, conn, addr, cfg, c.ConnectTimeout-time.Since(began))
}

func (c *Connection) dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	conn, err := (&net.Dialer{Control: shortQueue}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, c.dialFault(addr, err)
	}
	return conn, nil
}

// shake makes TLS of a connection, or closes it.
func (c *Connection) shake(ctx context.Context, conn net.Conn, addr string, cfg *tls.Config, limit time.Duration) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(limited); err != nil {
		conn.Close()
		return nil, c.handshakeFault(ctx, addr, cfg.ServerName, err)
	}
	return t, nil
}

// socket gives every write a deadline of its own; paho sets none for pings and
// for answers.
type socket struct {
	net.Conn
	timeout time.Duration
	full    bool // only Read's goroutine touches it

	mu   sync.Mutex
	head []byte // the first bytes that came, for messages
}

// firstBytes is how many are kept of what a broker says first.
const firstBytes = 16

// Read keeps the first bytes.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if !s.full && n > 0 {
		s.mu.Lock()
		s.head = append(s.head, b[:min(n, firstBytes-len(s.head))]...)
		s.full = len(s.head) == firstBytes
		s.mu.Unlock()
	}
	return n, err
}

func (s *socket) first() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
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
			return fmt.Errorf("subscribe at %s: the broker does not let %s hear %s: see its access list", l.broker, l.who, filter)
		}
	}
	return nil
}

// close says goodbye to the broker where that is still possible.
func (l *link) close() {
	l.client.Disconnect(500)
	l.fail(net.ErrClosed)
}

// hostAway is the fault of a broker without our primary host: a session at it
// is no success, however long it lasted.
type hostAway struct{ text string }

func (h *hostAway) Error() string { return h.text }
func (h *hostAway) Unwrap() error { return errHostAway }

// maxDelay is the longest pause between two attempts.
const maxDelay = 30 * time.Second

// maxAway is the longest pause of a gateway that looks for its primary host at
// several brokers.
const maxAway = 3 * time.Second

// keep serves session after session, each with the next broker, until ctx
// ends. It pauses with full jitter: up to 0, 1, 2, 4 ... 30 s, once for every
// round of all brokers.
func (c *Connection) keep(ctx context.Context, log *slog.Logger, failed func(error), serve func(ctx context.Context, broker string) error) {
	told := map[string]string{} // by broker: a fault that lasts is told once
	var p pace
	for i := 0; ctx.Err() == nil; i++ {
		began := time.Now()
		broker := c.Brokers[i%len(c.Brokers)]
		err := serve(ctx, broker)
		if ctx.Err() != nil {
			return
		}
		failed(err)
		if text := err.Error(); text != told[broker] {
			log.Warn("not connected", "error", err)
			told[broker] = text
		}
		wait, fresh := p.next(err, time.Since(began), len(c.Brokers))
		if fresh && !errors.Is(err, errHostAway) {
			clear(told)
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

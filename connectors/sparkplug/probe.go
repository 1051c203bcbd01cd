package sparkplug

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"linetwin/connectors/tlsfile"
	"linetwin/plant"
)

// Results of a step.
const (
	StepOK      = "ok"
	StepFailed  = "failed"
	StepUnknown = "unknown" // the broker does not tell
)

// Step is one thing that a probe of the wire tried.
type Step struct {
	Broker string
	Name   string // name, tcp, tls, connect, subscribe, host, answer
	Result string
	Took   time.Duration
	Text   string // what was found, or what is wrong
}

// prober tries one broker.
type prober struct {
	*Connection
	broker string
	steps  []Step
	began  time.Time
	link   *link
	inbox  chan inbound
}

// ProbeEdge tries each broker of a gateway once, as the gateway would connect
// to it, but under a client id of its own and without a birth: the gateway may
// run meanwhile. A host that acknowledges is asked whether it hears the
// gateway's topics.
func ProbeEdge(ctx context.Context, cfg EdgeConfig) ([]Step, error) {
	if err := faultsError(cfg.Check()); err != nil {
		return nil, err
	}
	commands := topic{kind: kindNCmd, area: cfg.Area, gateway: cfg.Gateway}.String()
	filters := []string{commands, topic{kind: kindDCmd, area: cfg.Area, gateway: cfg.Gateway, device: "+"}.String()}
	if cfg.Host != "" {
		filters = append(filters, stateTopic(cfg.Host))
	}
	steps, err := cfg.probe(ctx, filters, func(p *prober) {
		if cfg.Host == "" {
			return
		}
		if p.hostState(ctx, cfg.Host) && cfg.Acknowledge == AcknowledgeHost {
			p.question(ctx, &cfg, commands)
		}
	})
	return elsewhere(steps), err
}

// elsewhere takes a host that is not at one broker for no fault where it is at
// another one: a host need be at one of them only.
func elsewhere(steps []Step) []Step {
	isHost := func(s Step) bool { return s.Name == "host" && s.Result == StepOK }
	if !slices.ContainsFunc(steps, isHost) {
		return steps
	}
	for i := range steps {
		if s := &steps[i]; s.Name == "host" && s.Result == StepFailed {
			s.Result, s.Text = StepUnknown, "it is at another broker: "+s.Text
		}
	}
	return steps
}

// ProbeHost tries each broker of a twin once, as the twin would connect to it,
// but under a client id of its own: the twin may run meanwhile.
func ProbeHost(ctx context.Context, cfg HostConfig) ([]Step, error) {
	if err := faultsError(cfg.Check()); err != nil {
		return nil, err
	}
	return cfg.probe(ctx, slices.Sorted(maps.Keys(cfg.filters())), func(p *prober) { p.listen(ctx, &cfg) })
}

// probe tries all brokers; more goes on where a session stands.
func (c *Connection) probe(ctx context.Context, filters []string, more func(*prober)) ([]Step, error) {
	var all []Step
	for _, broker := range c.Brokers {
		p := &prober{Connection: c, broker: broker, began: time.Now(), inbox: make(chan inbound, 1024)}
		if p.connect(ctx) {
			if p.subscribe(ctx, filters) {
				more(p)
			}
			p.link.close()
		}
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
		all = append(all, p.steps...)
	}
	return all, nil
}

// step notes a result, and gives whether it is good.
func (p *prober) step(name, text string, err error) bool {
	s := Step{Broker: p.broker, Name: name, Result: StepOK, Took: time.Since(p.began), Text: text}
	if err != nil {
		s.Result, s.Text = StepFailed, err.Error()
	}
	p.steps = append(p.steps, s)
	p.began = time.Now()
	return err == nil
}

func (p *prober) unknown(name, text string) {
	p.step(name, text, nil)
	p.steps[len(p.steps)-1].Result = StepUnknown
}

func (p *prober) connect(ctx context.Context) bool {
	addr, secure, err := parseBroker(p.broker)
	if err != nil {
		return p.step("name", "", err)
	}
	host, _, _ := net.SplitHostPort(addr)
	limited, cancel := context.WithTimeout(ctx, p.ConnectTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(limited, host)
	if err != nil {
		err = p.dialFault(addr, err)
	}
	if !p.step("name", host+" is "+strings.Join(found, ", "), err) {
		return false
	}
	conn, err := p.dialTCP(ctx, addr)
	if err != nil {
		return p.step("tcp", "", err)
	}
	p.step("tcp", "connected to "+conn.RemoteAddr().String(), nil)
	if secure {
		if conn, err = p.secure(ctx, conn, addr); err != nil {
			return false
		}
	}
	p.link, err = p.begin(ctx, conn, p.broker, opening{client: "linetwin-probe-" + rand.Text()[:8], receive: func(m inbound) {
		select {
		case p.inbox <- m:
		default: // more than there is to look at
		}
	}})
	return p.step("connect", "accepted as "+p.who(), err)
}

// secure makes TLS of a connection and tells what it rests on.
func (p *prober) secure(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	cfg, err := p.tlsConfig(addr)
	if err != nil {
		conn.Close()
		p.step("tls", "", err)
		return nil, err
	}
	if conn, err = p.shake(ctx, conn, addr, cfg, p.ConnectTimeout); err != nil {
		p.step("tls", "", err)
		return nil, err
	}
	state := conn.(*tls.Conn).ConnectionState()
	p.step("tls", tls.VersionName(state.Version)+", "+tls.CipherSuiteName(state.CipherSuite), nil)
	for _, x := range state.VerifiedChains[0] {
		text := fmt.Sprintf("%s, signed by %s, for %s, valid until %s", tlsfile.Name(x), x.Issuer, names(x), tlsfile.Date(x.NotAfter))
		if x.IsCA {
			text = fmt.Sprintf("authority %s, valid until %s", tlsfile.Name(x), tlsfile.Date(x.NotAfter))
		}
		if v := tlsfile.Validity(x, time.Now()); v != "" {
			text += ": " + v
		}
		p.step("certificate", text, nil)
	}
	if len(cfg.Certificates) > 0 {
		p.step("certificate", p.ours(), nil)
	}
	return conn, nil
}

func (p *prober) subscribe(ctx context.Context, filters []string) bool {
	ok := true
	for _, f := range filters {
		ok = p.step("subscribe", f, p.link.subscribe(ctx, map[string]byte{f: 1})) && ok
	}
	return ok
}

// answerTime is how long a probe waits for what ought to come at once.
const answerTime = 5 * time.Second

// await gives the first message that f takes; false where none comes.
func (p *prober) await(ctx context.Context, limit time.Duration, f func(inbound) bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case m := <-p.inbox:
			if f(m) {
				return true
			}
		case <-timer.C:
			return false
		case <-p.link.lost:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// hostState tells what the primary host's STATE is.
func (p *prober) hostState(ctx context.Context, host string) bool {
	var s hostState
	var err error
	found := p.await(ctx, answerTime, func(m inbound) bool {
		if m.topic != stateTopic(host) {
			return false
		}
		s, err = decodeState(m.payload)
		return true
	})
	since := plant.FromMilli(s.Timestamp)
	switch {
	case !found:
		err = fmt.Errorf("no STATE of host %q: no twin was ever online at this broker under that name, or the broker does not let %s read %s", host, p.who(), stateTopic(host))
	case err == nil && !s.Online:
		err = fmt.Errorf("host %q is offline since %s: start the twin, or see why it left", host, since)
	}
	return p.step("host", fmt.Sprintf("%q is online since %s", host, since), err)
}

// question asks the host whether it hears the gateway's topics. The question is
// an NDATA without a seq: it stands outside of the gateway's own messages.
func (p *prober) question(ctx context.Context, cfg *EdgeConfig, commands string) {
	number := uint64(1)<<40 + uint64(time.Now().UnixNano())>>24
	ask := func() error {
		return p.link.publish(topic{kind: kindNData, area: cfg.Area, gateway: cfg.Gateway}.String(), 0, false, appendEcho(appendHead(nil, now()), number))
	}
	answered := false
	err := ask()
	for range 3 { // a message may get lost
		if err != nil || answered {
			break
		}
		answered = p.await(ctx, answerTime/3, func(m inbound) bool {
			c, err := decodeCommand(m.payload, cfg.Gateway)
			return m.topic == commands && err == nil && c.echo == number
		})
		if !answered {
			err = ask()
		}
	}
	if !answered {
		err = fmt.Errorf("host %q does not answer: the broker does not let %s publish %s/%s/+/%s/# or read %s, or does not let the twin read or answer it, or the host's STATE is left from before it died",
			cfg.Host, p.who(), namespace, cfg.Area, cfg.Gateway, commands)
	}
	p.step("answer", fmt.Sprintf("host %q hears this gateway's topics, and this gateway hears its commands", cfg.Host), err)
}

// listen tells who is heard at a twin's broker.
func (p *prober) listen(ctx context.Context, cfg *HostConfig) {
	heard, state := map[string]bool{}, "not there: no twin has been online at this broker under this name"
	p.await(ctx, answerTime, func(m inbound) bool {
		if m.topic == stateTopic(cfg.Host) {
			if s, err := decodeState(m.payload); err == nil && s.Online {
				state = fmt.Sprintf("online since %s: a twin is running under this name", plant.FromMilli(s.Timestamp))
			} else if err == nil {
				state = fmt.Sprintf("offline since %s", plant.FromMilli(s.Timestamp))
			}
			return false
		}
		if t, ok := parseTopic(m.topic); ok {
			heard[t.area+"/"+t.gateway] = true
		}
		return false
	})
	p.step("host", fmt.Sprintf("STATE of %q is %s", cfg.Host, state), nil)
	if len(heard) == 0 {
		p.unknown("gateways", fmt.Sprintf("none was heard in %v: none is running, or the broker does not let %s read what they send; it does not tell which", answerTime, p.who()))
		return
	}
	all := slices.Sorted(maps.Keys(heard))
	p.step("gateways", fmt.Sprintf("%d heard in %v: %s", len(all), answerTime, strings.Join(all[:min(len(all), 10)], ", ")), nil)
}

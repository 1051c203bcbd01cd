package sparkplug

import (
	"net"
	"time"

	"linetwin/plant"
)

// What a gateway makes of acknowledgements for somebody else: late ones for
// the process before it come right after a start, and are few.
const (
	strangeAfter  = 10 * time.Second
	strangeEnough = 3
)

// rivalPause and up to as much again is how long a gateway leaves its place to
// a rival that has just taken it, so that both have time to deliver.
const rivalPause = 10 * time.Second

// rival is another process under the gateway's name, as far as it is known.
type rival struct {
	who  string
	last time.Time
}

func (r *rival) now() string {
	if r.who == "" || time.Since(r.last) > rivalsLast {
		return ""
	}
	return r.who
}

// heed takes what a command tells of a rival. Acknowledgements for another
// session mean that somebody with another client id has our name.
func (s *edgeSession) heed(c *command) {
	s.mu.Lock()
	own, known := s.session, s.rival.now()
	s.mu.Unlock()
	switch {
	case c.rival != "" && c.session == own:
		s.meet(c.rival)
	case c.ack != nil && c.ack.Session != own && s.born && time.Since(s.bornAt) > strangeAfter:
		if s.strange++; s.strange >= strangeEnough && known == "" {
			s.meet("a process that is connected at the same time: acknowledgements for it come here too")
		}
	}
}

func (s *edgeSession) meet(who string) {
	s.mu.Lock()
	was := s.rival.now()
	s.rival = rival{who, time.Now()}
	s.mu.Unlock()
	if was != who {
		s.log.Error("another process speaks under this gateway's name: give one of them another name, or end it", "other", who)
	}
}

// crowded tells whether a rival has our name.
func (e *Edge) crowded() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rival.now() != ""
}

// address gives the address that a link speaks from, or "".
func (l *link) address() string {
	if l.sock == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(l.sock.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// lostError tells that a session ended because its connection did.
type lostError struct {
	err     error
	crowded bool // by a rival, as far as is known
}

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// ended marks why a session's connection is over.
func (s *edgeSession) ended(err error) error { return &lostError{err: err, crowded: s.crowded()} }

// withRival gives a status with what is known of a rival.
func (e *Edge) withRival(s *plant.GatewayStatus) { s.Rival = e.rival.now() }

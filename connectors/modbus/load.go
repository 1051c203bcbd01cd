package modbus

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// What a prediction takes where nothing better is known.
const (
	// usualRoundTrip is that of a request in Modbus TCP: PLCs answer within 1 to
	// 10 ms.
	usualRoundTrip = 5 * time.Millisecond
	// usualTurnaround is how long a unit on a serial line thinks before it answers.
	usualTurnaround = 10 * time.Millisecond
	// shortestSilence is that between two RTU frames above 19200 baud (MODBUS
	// over Serial Line V1.02, 2.5.1.1); below it is 3.5 characters.
	shortestSilence = 1750 * time.Microsecond
)

// Medium says how long things take on a line.
type Medium struct {
	// Characters is how many a second the line carries; 0 for Modbus TCP, where
	// bytes cost nothing that could be noticed.
	Characters float64
	ASCII      bool          // two characters for each byte
	RoundTrip  time.Duration // of a request in Modbus TCP; 0 means 5 ms
	Turnaround time.Duration // of a unit on a serial line; 0 means 10 ms
	Pause      time.Duration // between two exchanges
}

// Medium gives that of the line that c's URL names.
func (c *Config) Medium() Medium {
	m := Medium{Pause: c.Pause}
	t, fault := parseURL(c.URL)
	if fault != nil || !t.serial() {
		return m
	}
	m.ASCII = t.ascii()
	m.Characters = float64(time.Second) / float64(t.port.character())
	return m
}

// characters gives how long n characters take.
func (m *Medium) characters(n float64) time.Duration {
	return time.Duration(n / m.Characters * float64(time.Second))
}

// exchange gives how long one request occupies the line: what is sent (unit,
// function, start, quantity), the unit's time to think, what is answered (unit,
// function, length, data), checksums and silences.
func (m *Medium) exchange(b *block) time.Duration {
	if m.Characters <= 0 {
		if m.RoundTrip > 0 {
			return m.RoundTrip + m.Pause
		}
		return usualRoundTrip + m.Pause
	}
	think := m.Turnaround
	if think <= 0 {
		think = usualTurnaround
	}
	data := 2 * float64(b.count)
	if b.table.bits() {
		data = float64((int(b.count) + 7) / 8)
	}
	if m.ASCII { // a colon, a checksum of one byte, and two characters at the end
		return m.characters(3+2*(6+1)) + think + m.characters(3+2*(3+data+1)) + m.Pause
	}
	silence := max(m.characters(3.5), shortestSilence)
	return m.characters(6+2) + silence + think + m.characters(3+data+2) + max(silence, m.Pause)
}

// Guess says what a prediction had to guess.
func (m *Medium) Guess() string {
	switch {
	case m.Characters <= 0 && m.RoundTrip <= 0:
		return fmt.Sprintf("guessed: %v for a round trip", usualRoundTrip)
	case m.Characters > 0 && m.Turnaround <= 0:
		return fmt.Sprintf("guessed: %v for a unit to think", usualTurnaround)
	}
	return "nothing guessed"
}

// Asked is what is to be read of one unit at one interval.
type Asked struct {
	Name    string
	Every   time.Duration
	Config  Config // checked
	Signals []Signal
}

// Share is what one unit costs its line.
type Share struct {
	Name     string
	Every    time.Duration // asked
	Requests int           // each cycle
	Cycle    time.Duration // predicted time that they occupy the line
}

// Utilisation is the part of the line's time that a share needs: 1 is all.
func (s *Share) Utilisation() float64 { return float64(s.Cycle) / float64(s.Every) }

// Load is what a line has to carry.
type Load struct {
	Medium      Medium // with the longest pause of all
	Shares      []Share
	Utilisation float64 // of the line: 1 is all of its time, more cannot be
}

// Predict works out from plan, framing, speed and pauses what the line needs
// for all that is asked of its units. The longest pause of all holds for each.
func Predict(m Medium, all []Asked) (Load, error) {
	var l Load
	for i := range all {
		m.Pause = max(m.Pause, all[i].Config.Pause)
	}
	l.Medium = m
	for i := range all {
		a := &all[i]
		points := make([]point, len(a.Signals))
		for n := range a.Signals {
			var err error
			if points[n], err = a.Signals[n].compile(a.Config.CountFrom); err != nil {
				return Load{}, fmt.Errorf("signal %s of %s: %w", a.Signals[n].Name, a.Name, err)
			}
		}
		s := Share{Name: a.Name, Every: a.Every}
		blocks := plan(points, limits{*a.Config.MaxGap, a.Config.MaxRegisters, a.Config.MaxBits})
		for n := range blocks {
			s.Cycle += m.exchange(&blocks[n])
		}
		s.Requests = len(blocks)
		l.Shares = append(l.Shares, s)
		l.Utilisation += s.Utilisation()
	}
	return l, nil
}

// Names lists the shares' names, each once, at most as many as a person reads.
func (l *Load) Names() string {
	var names []string
	seen := map[string]bool{}
	for _, s := range l.Shares {
		if !seen[s.Name] {
			seen[s.Name] = true
			names = append(names, s.Name)
		}
	}
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Reachable gives the interval at which a share is within part of the line's
// time, if all intervals of the line are made longer by the same factor. It is
// rounded up to two figures.
func (l *Load) Reachable(every time.Duration, part float64) time.Duration {
	ms := float64(every) / float64(time.Millisecond) * l.Utilisation / part
	step := math.Pow(10, math.Floor(math.Log10(ms))-1)
	return time.Duration(math.Ceil(ms/step-1e-9) * step * float64(time.Millisecond))
}

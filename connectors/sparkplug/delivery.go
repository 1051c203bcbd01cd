package sparkplug

import (
	"fmt"
	"strconv"
	"strings"

	"linetwin/plant"
)

// maxRanges limits Delivery/Beyond. What is above is acknowledged later.
const maxRanges = 128

// appendRanges writes ranges as "3-5,9".
func appendRanges(b []byte, ranges []plant.Range) []byte {
	for i, r := range ranges {
		if i == maxRanges {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, r.First, 10)
		if r.Last != r.First {
			b = strconv.AppendUint(append(b, '-'), r.Last, 10)
		}
	}
	return b
}

// parseRanges reads "3-5,9": ascending, not overlapping, all above through.
func parseRanges(s string, through uint64) ([]plant.Range, error) {
	if s == "" {
		return nil, nil
	}
	var ranges []plant.Range
	for part := range strings.SplitSeq(s, ",") {
		first, last, two := strings.Cut(part, "-")
		if !two {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 64)
		z, err2 := strconv.ParseUint(last, 10, 64)
		if err1 != nil || err2 != nil || a > z || a <= through {
			return nil, fmt.Errorf("%s %.64q: want ascending ranges above %d as 3-5,9", metricBeyond, s, through)
		}
		if len(ranges) == maxRanges {
			return nil, fmt.Errorf("%s: more than %d ranges", metricBeyond, maxRanges)
		}
		ranges, through = append(ranges, plant.Range{First: a, Last: z}), z
	}
	return ranges, nil
}

// appendAcknowledgement writes the NCMD payload that carries a.
func appendAcknowledgement(b []byte, a *plant.Acknowledgement, now uint64) []byte {
	b = appendHead(b, now)
	for _, m := range [...]outMetric{
		{name: metricSession, datatype: typeString, field: metricFieldString, text: a.Session},
		{name: metricAcknowledged, datatype: typeUInt64, field: metricFieldLong, bits: a.Through},
		{name: metricBeyond, datatype: typeString, field: metricFieldString, text: string(appendRanges(nil, a.Beyond))},
	} {
		m.time = now
		b = m.append(b)
	}
	return b
}

// appendRebirth writes the NCMD payload that asks for a rebirth
// (Sparkplug B 3.0, 5.9).
func appendRebirth(b []byte, now uint64) []byte {
	m := outMetric{name: metricRebirth, time: now, datatype: typeBoolean, field: metricFieldBoolean, bits: 1}
	return m.append(appendHead(b, now))
}

// command is what an NCMD asks.
type command struct {
	rebirth bool
	echo    uint64 // answers our question of this number
	ack     *plant.Acknowledgement
	session string // of the process that is meant
	rival   string // who else has its name
	time    *hostTime
	counted *plant.CountConfirmation
	refused []string // names of metrics that somebody wanted to write
}

// decodeCommand reads an NCMD for gateway.
func decodeCommand(b []byte, gateway string) (command, error) {
	var p payload
	if err := p.decode(b); err != nil {
		return command{}, err
	}
	var c command
	ack := plant.Acknowledgement{Gateway: gateway}
	var beyond string
	var through bool
	var at hostTime
	for i := range p.metrics {
		m := &p.metrics[i]
		switch name := string(m.name); name {
		case metricRebirth:
			if m.field != metricFieldBoolean || m.null {
				c.refused = append(c.refused, name+" without a boolean")
				break
			}
			c.rebirth = c.rebirth || m.bits != 0
		case metricSession:
			ack.Session = string(m.bytes)
		case metricAcknowledged:
			ack.Through, through = m.bits, m.field == metricFieldLong || m.field == metricFieldInt
		case metricBeyond:
			beyond = string(m.bytes)
		case metricAsked:
			at.asked = m.bits
		case metricHostTime:
			at.time = m.bits
			c.time = &at
		case metricRival:
			c.rival = valid(string(m.bytes))
		case metricEcho:
			c.echo = m.bits
		case metricCounted:
			counted, err := parseCounted(string(m.bytes))
			if err != nil {
				return c, err
			}
			counted.Gateway, c.counted = gateway, &counted
		default:
			if name == "" {
				name = "alias " + strconv.FormatUint(m.alias, 10)
			}
			c.refused = append(c.refused, name)
		}
	}
	c.session = ack.Session
	if !through {
		return c, nil
	}
	var err error
	if ack.Beyond, err = parseRanges(beyond, ack.Through); err != nil {
		return c, err
	}
	c.ack = &ack
	return c, nil
}

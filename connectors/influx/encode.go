package influx

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"linetwin/plant"
)

// Names of what we write; docs/stores.md describes it all.
const (
	measurementReading  = "reading"
	measurementComplete = "complete"
	qualitySuffix       = ".quality"
	valueSuffix         = ".value"
)

// appendSeries appends a measurement with the tags of a batch's place. Empty
// tags are left out: line protocol has none.
func appendSeries(dst []byte, measurement string, b *plant.Batch) []byte {
	dst = append(dst, measurement...)
	dst = appendTag(dst, ",area=", b.Area)
	dst = appendTag(dst, ",line=", b.Line)
	return appendTag(dst, ",machine=", b.Machine)
}

func appendTag(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	return appendName(append(dst, key...), value)
}

// appendReading appends a reading's fields, each with a comma after it: the
// value where there is one, and the quality where it is not good.
func appendReading(dst []byte, r *plant.Reading) []byte {
	if r.Quality != plant.Bad {
		dst = appendField(dst, r.Signal)
		dst = appendValue(append(dst, '='), r.Value)
		dst = append(dst, ',')
	}
	if r.Quality == plant.Good {
		return dst
	}
	dst = appendField(dst, r.Signal)
	dst = append(dst, qualitySuffix+`="`...)
	dst = append(dst, r.Quality.String()...)
	dst = append(dst, ": "...)
	dst = appendText(dst, r.Reason)
	return append(dst, `",`...)
}

// appendClaim appends the point that a batch's claim of completeness is.
func appendClaim(dst []byte, b *plant.Batch) []byte {
	dst = appendSeries(dst, measurementComplete, b)
	dst = appendTag(dst, ",gateway=", b.Gateway)
	dst = append(dst, " from="...)
	dst = strconv.AppendInt(dst, b.Complete.From.Milli(), 10)
	dst = append(dst, "i "...)
	dst = strconv.AppendInt(dst, b.Complete.To.Milli(), 10)
	return append(dst, '\n')
}

func appendValue(dst []byte, v plant.Value) []byte {
	switch v.Kind() {
	case plant.KindFloat:
		return strconv.AppendFloat(dst, v.Float(), 'g', -1, 64)
	case plant.KindInteger:
		return append(strconv.AppendInt(dst, v.Integer(), 10), 'i')
	case plant.KindBoolean:
		return strconv.AppendBool(dst, v.Boolean())
	}
	dst = append(dst, '"')
	dst = appendText(dst, v.Text())
	return append(dst, '"')
}

// appendText appends the inside of a string field. Line breaks may stand in
// it as they are.
func appendText(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// appendField appends the key of a signal's field. Names that would be taken
// for something else get ".value" at their end: those of tags, columns of Flux
// and InfluxQL, and those that end like the fields we make of names.
func appendField(dst []byte, signal string) []byte {
	dst = appendName(dst, signal)
	if reserved(signal) {
		dst = append(dst, valueSuffix...)
	}
	return dst
}

func reserved(signal string) bool {
	switch signal {
	case "time", "area", "line", "machine", "gateway":
		return true
	}
	return strings.HasPrefix(signal, "_") || strings.HasSuffix(signal, qualitySuffix) || strings.HasSuffix(signal, valueSuffix)
}

// fieldKey gives the key of a signal's field as a query names it.
func fieldKey(signal string) string {
	key := string(appendPlain(nil, signal))
	if reserved(signal) {
		key += valueSuffix
	}
	return key
}

// signalOf gives the signal that a field is of, and whether it is the field of
// its quality.
func signalOf(key string) (signal string, quality bool) {
	key, quality = strings.CutSuffix(key, qualitySuffix)
	key = strings.TrimSuffix(key, valueSuffix)
	return nameOf(key), quality
}

// appendName appends a tag value or the key of a field for line protocol.
func appendName(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ',' || c == '=' || c == ' ':
			dst = append(dst, '\\', c)
		case escaped(s, i):
			dst = appendPercent(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendPlain appends a name as the database keeps it.
func appendPlain(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if escaped(s, i) {
			dst = appendPercent(dst, s[i])
		} else {
			dst = append(dst, s[i])
		}
	}
	return dst
}

// escaped tells whether the byte at i is kept as %XX: control characters and
// backslashes, which line protocol cannot carry in a name, and a percent sign
// that would read as such an escape.
func escaped(s string, i int) bool {
	c := s[i]
	return c < ' ' || c == '\\' || c == 0x7f || c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
}

func appendPercent(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}

// nameOf undoes appendPlain.
func nameOf(kept string) string {
	if !strings.Contains(kept, "%") {
		return kept
	}
	dst := make([]byte, 0, len(kept))
	for i := 0; i < len(kept); i++ {
		if kept[i] == '%' && i+2 < len(kept) && isHex(kept[i+1]) && isHex(kept[i+2]) {
			b, _ := strconv.ParseUint(kept[i+1:i+3], 16, 8)
			dst = append(dst, byte(b))
			i += 2
			continue
		}
		dst = append(dst, kept[i])
	}
	return string(dst)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

// quote gives s as a string of Flux. All that could end it, or be taken for an
// interpolation, is written as bytes in hexadecimal.
func quote(s string) string {
	const digits = "0123456789abcdef"
	dst := make([]byte, 0, len(s)+2)
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r < ' ' || r == 0x7f || r == '"' || r == '\\' || r == '$' {
			for _, c := range []byte(s[i : i+n]) {
				dst = append(dst, '\\', 'x', digits[c>>4], digits[c&15])
			}
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return string(append(dst, '"'))
}

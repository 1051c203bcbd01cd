package opcua

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// dataType is a name that a signal's type may have, and the built-in OPC UA
// type that it stands for (Part 6, 5.1.2).
type dataType struct {
	name string
	id   ua.TypeID
	kind plant.Kind
}

// dataTypes lists what signals may be. Enumerations come as int32. DateTime
// becomes text, RFC 3339 in UTC with milliseconds; ByteString becomes
// hexadecimal text.
var dataTypes = [...]dataType{
	{"boolean", ua.TypeIDBoolean, plant.KindBoolean},
	{"int8", ua.TypeIDSByte, plant.KindInteger},
	{"uint8", ua.TypeIDByte, plant.KindInteger},
	{"int16", ua.TypeIDInt16, plant.KindInteger},
	{"uint16", ua.TypeIDUint16, plant.KindInteger},
	{"int32", ua.TypeIDInt32, plant.KindInteger},
	{"uint32", ua.TypeIDUint32, plant.KindInteger},
	{"int64", ua.TypeIDInt64, plant.KindInteger},
	{"uint64", ua.TypeIDUint64, plant.KindInteger},
	{"float32", ua.TypeIDFloat, plant.KindFloat},
	{"float64", ua.TypeIDDouble, plant.KindFloat},
	{"string", ua.TypeIDString, plant.KindText},
	{"localizedtext", ua.TypeIDLocalizedText, plant.KindText},
	{"qualifiedname", ua.TypeIDQualifiedName, plant.KindText},
	{"datetime", ua.TypeIDDateTime, plant.KindText},
	{"guid", ua.TypeIDGUID, plant.KindText},
	{"bytestring", ua.TypeIDByteString, plant.KindText},
	{"statuscode", ua.TypeIDStatusCode, plant.KindInteger},
}

// Types gives the names that a signal's type may have.
func Types() []string {
	names := make([]string, len(dataTypes))
	for i, t := range dataTypes {
		names[i] = t.name
	}
	return names
}

// typeOf finds a type by its name in settings; the standard's own names that
// differ, and the usual short ones, are taken too.
func typeOf(name string) (dataType, bool) {
	switch name {
	case "bool":
		name = "boolean"
	case "sbyte":
		name = "int8"
	case "byte":
		name = "uint8"
	case "float":
		name = "float32"
	case "double":
		name = "float64"
	case "enum":
		name = "int32"
	}
	for _, t := range dataTypes {
		if t.name == name {
			return t, true
		}
	}
	return dataType{}, false
}

// typeName gives our name of a built-in type, or a word for those that no
// signal can be.
func typeName(id ua.TypeID) string {
	for _, t := range dataTypes {
		if t.id == id {
			return t.name
		}
	}
	switch id {
	case ua.TypeIDNull:
		return "nothing"
	case ua.TypeIDExtensionObject:
		return "a structure"
	}
	return fmt.Sprintf("OPC UA type %d", id)
}

// numeric tells whether the type can be scaled.
func (t dataType) numeric() bool {
	return t.kind == plant.KindFloat || t.kind == plant.KindInteger && t.id != ua.TypeIDStatusCode
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// decoder turns what a server says of one node into a value.
type decoder struct {
	want   dataType
	index  int // -1: the value is no array
	scaled bool
	scale  float64
	offset float64
}

func newDecoder(s Signal) decoder {
	t, _ := typeOf(s.Type)
	d := decoder{want: t, index: -1, scale: 1}
	if s.Index != nil {
		d.index = *s.Index
	}
	if s.Scale != nil {
		d.scaled, d.scale = true, *s.Scale
	}
	if s.Offset != nil {
		d.scaled, d.offset = true, *s.Offset
	}
	return d
}

// kind is what values of the signal are.
func (d *decoder) kind() plant.Kind {
	if d.scaled && d.want.numeric() {
		return plant.KindFloat
	}
	return d.want.kind
}

// data decodes a data value (Part 4, 7.11): its status makes the quality, and
// what cannot be held makes a bad reading with the reason.
func (d *decoder) data(dv *ua.DataValue) (plant.Value, plant.Quality, string) {
	if dv == nil {
		return plant.Value{}, plant.Bad, "the server sent nothing"
	}
	if severity(dv.Status) == plant.Bad {
		return plant.Value{}, plant.Bad, statusName(dv.Status)
	}
	v, reason := d.value(dv.Value)
	uncertain := severity(dv.Status) == plant.Uncertain
	if reason != "" && uncertain {
		reason += " (" + statusName(dv.Status) + ")"
	}
	if reason != "" {
		return plant.Value{}, plant.Bad, reason
	}
	if uncertain {
		return v, plant.Uncertain, statusName(dv.Status)
	}
	return v, plant.Good, ""
}

// severity gives the quality that a status code means (Part 4, 7.39.1: the two
// highest bits; 11 is reserved and taken as bad).
func severity(s ua.StatusCode) plant.Quality {
	switch s >> 30 {
	case 0:
		return plant.Good
	case 1:
		return plant.Uncertain
	}
	return plant.Bad
}

// overflowed tells whether the server's queue of this item lost values before
// this one (Part 4, 7.39.1: info type data value and the overflow bit).
func overflowed(s ua.StatusCode) bool { return s&0x0480 == 0x0480 }

// statusName gives the standard's name of a status code, without its info
// bits, as in BadNodeIdUnknown.
func statusName(s ua.StatusCode) string {
	d, ok := ua.StatusCodes[s&0xFFFF0000]
	if !ok {
		return fmt.Sprintf("status 0x%08X", uint32(s))
	}
	name := strings.TrimPrefix(d.Name, "Status")
	return strings.NewReplacer("ID", "Id", "URI", "Uri", "URL", "Url", "TCP", "Tcp", "OK", "Good").Replace(name)
}

// value decodes a variant; reason tells why there is no value. It is the same
// text each time, so that a signal that stays bad is told of once.
func (d *decoder) value(v *ua.Variant) (_ plant.Value, reason string) {
	if v == nil || v.Type() == ua.TypeIDNull {
		return plant.Value{}, "no value"
	}
	raw := v.Value()
	if v.Type() == ua.TypeIDExtensionObject && d.want.id != ua.TypeIDExtensionObject {
		return plant.Value{}, mismatch(d.want, structureName(raw))
	}
	if v.Has(ua.VariantArrayValues) {
		if d.index < 0 {
			return plant.Value{}, "configured a single " + d.want.name + ", but the server sent an array: set index"
		}
		if len(v.ArrayDimensions()) > 1 {
			return plant.Value{}, fmt.Sprintf("the server sent an array of %d dimensions, only one can be read", len(v.ArrayDimensions()))
		}
		if v.Type() != d.want.id {
			return plant.Value{}, mismatch(d.want, "an array of "+typeName(v.Type()))
		}
		var ok bool
		if raw, ok = element(raw, d.index); !ok {
			return plant.Value{}, fmt.Sprintf("the array has no index %d", d.index)
		}
	} else {
		if v.Type() != d.want.id {
			return plant.Value{}, mismatch(d.want, typeName(v.Type()))
		}
		if d.index >= 0 {
			return plant.Value{}, fmt.Sprintf("configured index %d, but the server sent a single %s", d.index, d.want.name)
		}
	}
	return d.scalar(raw)
}

func mismatch(want dataType, got string) string {
	return "configured " + want.name + ", but the server sent " + got
}

// structureName tells which structure came, so that one can find it.
func structureName(raw any) string {
	if eo, ok := raw.(*ua.ExtensionObject); ok && eo != nil && eo.TypeID != nil && eo.TypeID.NodeID != nil {
		return "a structure (" + eo.TypeID.NodeID.String() + ")"
	}
	return "a structure"
}

// scalar converts a single value and scales it.
func (d *decoder) scalar(raw any) (plant.Value, string) {
	switch x := raw.(type) {
	case bool:
		return plant.Boolean(x), ""
	case int8:
		return d.integer(int64(x))
	case uint8:
		return d.integer(int64(x))
	case int16:
		return d.integer(int64(x))
	case uint16:
		return d.integer(int64(x))
	case int32:
		return d.integer(int64(x))
	case uint32:
		return d.integer(int64(x))
	case int64:
		return d.integer(x)
	case uint64:
		if d.scaled {
			return d.float(float64(x))
		}
		if x > math.MaxInt64 {
			return plant.Value{}, "above the largest integer, 9223372036854775807"
		}
		return d.integer(int64(x))
	case float32:
		return d.float(float64(x))
	case float64:
		return d.float(x)
	case ua.StatusCode:
		return plant.Integer(int64(x)), ""
	}
	return text(raw)
}

func (d *decoder) integer(i int64) (plant.Value, string) {
	if d.scaled {
		return d.float(float64(i))
	}
	return plant.Integer(i), ""
}

func (d *decoder) float(f float64) (plant.Value, string) {
	if d.scaled {
		f = f*d.scale + d.offset
	}
	switch {
	case math.IsNaN(f):
		return plant.Value{}, "not a number (NaN)"
	case math.IsInf(f, 0):
		return plant.Value{}, "infinite"
	}
	return plant.Float(f), ""
}

// text converts what is held as text.
func text(raw any) (plant.Value, string) {
	var s string
	switch x := raw.(type) {
	case string:
		s = x
	case *ua.LocalizedText:
		if x != nil {
			s = x.Text
		}
	case *ua.QualifiedName:
		if x != nil {
			s = x.Name
		}
	case time.Time:
		// The first date and those before mean none, the last and those after no end (Part 6, 5.2.2.5).
		if x.IsZero() || x.Year() < 1601 {
			return plant.Value{}, "no date and time"
		}
		if x.Year() > 9999 {
			x = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		}
		s = x.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	case *ua.GUID:
		if x == nil || len(x.Data4) != 8 {
			return plant.Value{}, "no GUID"
		}
		s = strings.ToLower(x.String())
	case []byte:
		s = hex.EncodeToString(x)
	default:
		return plant.Value{}, fmt.Sprintf("cannot be decoded (%T)", raw)
	}
	if !utf8.ValidString(s) {
		return plant.Value{}, "text is not UTF-8"
	}
	return plant.Text(s), ""
}

// element takes one element of an array as the library decodes it.
func element(raw any, i int) (any, bool) {
	switch a := raw.(type) {
	case []bool:
		return at(a, i)
	case []int8:
		return at(a, i)
	case ua.ByteArray:
		return at(a, i)
	case []int16:
		return at(a, i)
	case []uint16:
		return at(a, i)
	case []int32:
		return at(a, i)
	case []uint32:
		return at(a, i)
	case []int64:
		return at(a, i)
	case []uint64:
		return at(a, i)
	case []float32:
		return at(a, i)
	case []float64:
		return at(a, i)
	case []string:
		return at(a, i)
	case []time.Time:
		return at(a, i)
	case []*ua.LocalizedText:
		return at(a, i)
	case []*ua.QualifiedName:
		return at(a, i)
	case []*ua.GUID:
		return at(a, i)
	case [][]byte:
		return at(a, i)
	case []ua.StatusCode:
		return at(a, i)
	}
	return nil, false
}

func at[T any](a []T, i int) (any, bool) {
	if i >= len(a) {
		return nil, false
	}
	return a[i], true
}

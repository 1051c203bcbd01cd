package opcua

import (
	"errors"
	"reflect"
	"time"

	"github.com/gopcua/opcua/ua"
)

// What of DateTime the library holds, in units of 100 ns around 1970.
const (
	ticksTo1970 = 116444736000000000
	mostTicks   = 1<<63/100 - 1
)

var errFar = errors.New("a date lies outside of 1678 to 2262")

// survey walks over a message that the library is to decode, with the types
// that it would decode: it follows what lies in each other as deep as it goes.
func survey(b []byte) error {
	n, err := new(ua.ExpandedNodeID).Decode(b)
	if err != nil {
		return err
	}
	_, v, _ := ua.DecodeService(b[:n]) // of the type alone, which it gives with an error
	if v == nil {
		return ua.StatusBadServiceUnsupported
	}
	r := reader{b: b[n:]}
	r.walk(reflect.TypeOf(v), 0)
	switch {
	case r.bad:
		return errBroken
	case r.far:
		return errFar
	}
	return nil
}

// walk walks over a value of a type as the library would decode it.
func (r *reader) walk(t reflect.Type, depth int) {
	if depth > deepest {
		r.bad = true
	}
	if r.bad {
		return
	}
	if kind := builtIn(t); kind != ua.TypeIDNull {
		r.skip(kind, depth)
		return
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int8, reflect.Uint8, reflect.Int16, reflect.Uint16, reflect.Int32, reflect.Uint32, reflect.Int64, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		r.take(int(t.Size()))
	case reflect.String:
		r.skipText()
	case reflect.Slice:
		r.walkList(t.Elem(), depth)
	case reflect.Pointer:
		r.walk(t.Elem(), depth)
	case reflect.Struct:
		for i := range t.NumField() {
			r.walk(t.Field(i).Type, depth+1)
		}
	default:
		r.bad = true
	}
}

func (r *reader) walkList(element reflect.Type, depth int) {
	if element.Kind() == reflect.Uint8 {
		r.skipText()
		return
	}
	n := r.uint32()
	if n == 0xFFFFFFFF {
		return
	}
	if uint64(n) > uint64(len(r.b)) {
		r.bad = true
	}
	for i := uint32(0); i < n && !r.bad; i++ {
		r.walk(element, depth)
	}
}

// builtIn gives which built-in type is decoded in a way of its own; null for
// others.
func builtIn(t reflect.Type) ua.TypeID {
	if t == reflect.TypeFor[time.Time]() {
		return ua.TypeIDInt64 // as long, and no value of a signal: it may be far
	}
	if t.Kind() != reflect.Pointer {
		return ua.TypeIDNull
	}
	switch reflect.Zero(t).Interface().(type) {
	case *ua.Variant:
		return ua.TypeIDVariant
	case *ua.DataValue:
		return ua.TypeIDDataValue
	case *ua.DiagnosticInfo:
		return ua.TypeIDDiagnosticInfo
	case *ua.ExtensionObject:
		return ua.TypeIDExtensionObject
	case *ua.NodeID:
		return ua.TypeIDNodeID
	case *ua.ExpandedNodeID:
		return ua.TypeIDExpandedNodeID
	case *ua.QualifiedName:
		return ua.TypeIDQualifiedName
	case *ua.LocalizedText:
		return ua.TypeIDLocalizedText
	case *ua.GUID:
		return ua.TypeIDGUID
	}
	return ua.TypeIDNull
}

// skipExtension walks over a structure, and what lies in it as far as the
// library would decode it.
func (r *reader) skipExtension(depth int) {
	all := r.b
	r.skipExpanded()
	id := all[:len(all)-len(r.b)]
	encoding := r.byte()
	if r.bad || encoding == ua.ExtensionObjectEmpty {
		return
	}
	size := r.uint32()
	if size == 0 || size == 0xFFFFFFFF {
		return
	}
	body := reader{b: r.take(int(min(size, 1<<30)))}
	if r.bad || encoding == ua.ExtensionObjectXML {
		return
	}
	// The library's list of structures is its own: it tells one by beginning to
	// decode it.
	var known ua.ExtensionObject
	known.Decode(append(append([]byte(nil), id...), ua.ExtensionObjectBinary, 1, 0, 0, 0, 0))
	if known.Value == nil {
		return
	}
	body.walk(reflect.TypeOf(known.Value), depth+1)
	r.bad, r.far = r.bad || body.bad, r.far || body.far
}

// skipTime walks over a date that is, or belongs to, the value of a signal.
func (r *reader) skipTime() {
	if b := r.take(8); b != nil {
		r.far = r.far || beyondLibrary(ticks(b))
	}
}

// beyondLibrary tells whether the library would make another date of this one.
func beyondLibrary(t int64) bool {
	since := t - ticksTo1970 // beyond any limit where it wraps around
	return t != 0 && (since > mostTicks || since < -mostTicks)
}

// dates takes a value of dates that the library would make other ones of. Those
// of several dimensions stay with it: no signal can be one.
func (r *reader) dates(v *ua.Variant) bool {
	walk := reader{b: r.b}
	if walk.skipVariant(0); walk.bad || !walk.far {
		return false
	}
	at := *r
	mask := at.byte()
	if mask&ua.VariantArrayValues == 0 {
		*v = *ua.MustVariant(at.time())
		*r = at
		return true
	}
	all := make([]time.Time, at.uint32())
	for i := range all {
		all[i] = at.time()
	}
	if mask&ua.VariantArrayDimensions != 0 {
		n := at.uint32()
		if n > 1 {
			return false
		}
		at.take(int(4 * n))
	}
	*v = *ua.MustVariant(all)
	*r = at
	return true
}

package opcua

import "github.com/gopcua/opcua/ua"

// deepest is how deep values may lie in each other.
const deepest = 16

// plainSizes are the sizes of the built-in types that have one (Part 6, 5.1.2);
// 0 for the others.
var plainSizes = [...]int{
	ua.TypeIDBoolean: 1, ua.TypeIDSByte: 1, ua.TypeIDByte: 1, ua.TypeIDInt16: 2, ua.TypeIDUint16: 2, ua.TypeIDInt32: 4, ua.TypeIDUint32: 4,
	ua.TypeIDInt64: 8, ua.TypeIDUint64: 8, ua.TypeIDFloat: 4, ua.TypeIDDouble: 8, ua.TypeIDDateTime: 8, ua.TypeIDGUID: 16, ua.TypeIDStatusCode: 4,
	ua.TypeIDDiagnosticInfo: 0,
}

// The library takes memory for as many dimensions as a value says it has, and
// follows values within values as deep as they go, which ends the process
// where the stack is at its end. So a value is walked over before it may decode
// it: skipVariant leaves the reader good only if the value is whole.

// variant takes a value.
func (r *reader) variant(v *ua.Variant) {
	if len(r.b) > 0 && ua.TypeID(r.b[0]&0x3F) == ua.TypeIDDateTime && r.dates(v) {
		return
	}
	if len(r.b) > 0 && (int(r.b[0]) >= len(plainSizes) || plainSizes[r.b[0]] == 0) { // else it is a plain one
		walk := reader{b: r.b}
		if walk.skipVariant(0); walk.bad {
			r.bad, r.broken = true, true
		}
	}
	r.decode(v)
}

// extension takes a structure.
func (r *reader) extension(eo *ua.ExtensionObject) {
	walk := reader{b: r.b}
	if walk.skipExtension(0); walk.bad || walk.far {
		r.bad, r.broken = true, true
	}
	r.decode(eo)
}

// diagnostic takes what a server tells of an error.
func (r *reader) diagnostic() *ua.DiagnosticInfo {
	d := new(ua.DiagnosticInfo)
	walk := reader{b: r.b}
	if walk.skipDiagnostics(0); walk.bad {
		r.bad, r.broken = true, true
	}
	r.decode(d)
	return d
}

// skipVariant walks over a value (Part 6, 5.2.2.16).
func (r *reader) skipVariant(depth int) {
	mask := r.byte()
	kind := ua.TypeID(mask & 0x3F)
	switch {
	case kind == ua.TypeIDNull:
		return
	case kind > ua.TypeIDDiagnosticInfo || depth > deepest:
		r.bad = true
		return
	case mask&ua.VariantArrayValues == 0:
		r.skip(kind, depth)
		return
	}
	n := int(int32(r.uint32()))
	size := plainSizes[kind]
	switch {
	case n < -1 || n > len(r.b):
		r.bad = true
	case size > 0 && n > 0 && kind != ua.TypeIDDateTime:
		r.take(n * size)
	default:
		for i := 0; i < n && !r.bad; i++ {
			r.skip(kind, depth)
		}
	}
	if mask&ua.VariantArrayDimensions != 0 {
		r.skipDimensions(n)
	}
}

// skipDimensions walks over the dimensions of so many elements. They must fit:
// the library multiplies them with an overflow, and makes lists as they say.
func (r *reader) skipDimensions(elements int) {
	dimensions := r.uint32()
	if dimensions > deepest {
		r.bad = true
		return
	}
	product := int64(1)
	for range dimensions {
		one := int64(int32(r.uint32()))
		if product *= one; one < 1 || product > int64(max(elements, 0)) {
			r.bad = true
			return
		}
	}
	if dimensions > 0 && product != int64(elements) {
		r.bad = true
	}
}

// skip walks over a value of a built-in type.
func (r *reader) skip(kind ua.TypeID, depth int) {
	if kind == ua.TypeIDDateTime {
		r.skipTime()
		return
	}
	if size := plainSizes[kind]; size > 0 {
		r.take(size)
		return
	}
	switch kind {
	case ua.TypeIDString, ua.TypeIDByteString, ua.TypeIDXMLElement:
		r.skipText()
	case ua.TypeIDNodeID:
		r.skipNode(r.byte())
	case ua.TypeIDExpandedNodeID:
		r.skipExpanded()
	case ua.TypeIDQualifiedName:
		r.take(2)
		r.skipText()
	case ua.TypeIDLocalizedText:
		mask := r.byte()
		if mask&1 != 0 {
			r.skipText()
		}
		if mask&2 != 0 {
			r.skipText()
		}
	case ua.TypeIDExtensionObject:
		r.skipExtension(depth + 1)
	case ua.TypeIDDataValue:
		r.skipDataValue(depth + 1)
	case ua.TypeIDVariant:
		r.skipVariant(depth + 1)
	case ua.TypeIDDiagnosticInfo:
		r.skipDiagnostics(depth + 1)
	}
}

// skipText walks over bytes with their number before them.
func (r *reader) skipText() {
	if n := r.uint32(); n != 0xFFFFFFFF {
		r.take(int(min(n, 1<<30)))
	}
}

// skipNode walks over what follows the first byte of a node id.
func (r *reader) skipNode(mask byte) {
	switch ua.NodeIDType(mask & 0xF) {
	case ua.NodeIDTypeTwoByte:
		r.take(1)
	case ua.NodeIDTypeFourByte:
		r.take(3)
	case ua.NodeIDTypeNumeric:
		r.take(6)
	case ua.NodeIDTypeGUID:
		r.take(18)
	case ua.NodeIDTypeString, ua.NodeIDTypeByteString:
		r.take(2)
		r.skipText()
	default:
		r.bad = true
	}
}

func (r *reader) skipExpanded() {
	mask := r.byte()
	r.skipNode(mask)
	if mask&0x80 != 0 {
		r.skipText()
	}
	if mask&0x40 != 0 {
		r.take(4)
	}
}

func (r *reader) skipDataValue(depth int) {
	mask := r.byte()
	if mask&ua.DataValueValue != 0 {
		r.skipVariant(depth)
	}
	if mask&ua.DataValueStatusCode != 0 {
		r.take(4)
	}
	if mask&ua.DataValueSourceTimestamp != 0 {
		r.skipTime()
	}
	if mask&ua.DataValueSourcePicoseconds != 0 {
		r.take(2)
	}
	if mask&ua.DataValueServerTimestamp != 0 {
		r.skipTime()
	}
	if mask&ua.DataValueServerPicoseconds != 0 {
		r.take(2)
	}
}

func (r *reader) skipDiagnostics(depth int) {
	for ; depth <= deepest; depth++ {
		mask := r.byte()
		for _, bit := range []byte{ua.DiagnosticInfoSymbolicID, ua.DiagnosticInfoNamespaceURI, ua.DiagnosticInfoLocalizedText, ua.DiagnosticInfoLocale} {
			if mask&bit != 0 {
				r.take(4)
			}
		}
		if mask&ua.DiagnosticInfoAdditionalInfo != 0 {
			r.skipText()
		}
		if mask&ua.DiagnosticInfoInnerStatusCode != 0 {
			r.take(4)
		}
		if mask&ua.DiagnosticInfoInnerDiagnosticInfo == 0 {
			return
		}
	}
	r.bad = true
}

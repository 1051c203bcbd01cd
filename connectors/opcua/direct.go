package opcua

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// mostDirect is the longest list that is decoded in one piece of memory.
const mostDirect = 10_000

var errBroken = errors.New("a value is cut off, or lies too deep in others")

// decodeDirect decodes the answers that carry values, of Read, of Publish with
// changes of data and of HistoryRead, without reflection and with few
// allocations.
// What it gives is what the library would, but for dates that the library
// cannot hold. Without an answer and an error, it
// is for the library to judge; an error is what the library must not see.
func decodeDirect(b []byte) (ua.Response, error) {
	if len(b) < 4 || b[0] != 1 || b[1] != 0 { // four-byte node id of namespace 0
		return nil, nil
	}
	var res ua.Response
	r := reader{b: b[4:]}
	switch binary.LittleEndian.Uint16(b[2:]) {
	case id.ReadResponse_Encoding_DefaultBinary:
		v := &ua.ReadResponse{ResponseHeader: r.header()}
		v.Results = r.dataValues()
		v.DiagnosticInfos = r.diagnostics()
		res = v
	case id.PublishResponse_Encoding_DefaultBinary:
		res = r.published()
	case id.HistoryReadResponse_Encoding_DefaultBinary:
		res = r.past()
	default:
		return nil, nil
	}
	if r.broken {
		return nil, errBroken
	}
	if r.bad {
		return nil, nil
	}
	return res, nil
}

// reader takes values from the front of a message. Once something is missing
// or unknown it is bad, and gives zeros.
type reader struct {
	b      []byte
	bad    bool
	broken bool // by a value that the library must not see
	far    bool // a date was walked over that the library cannot hold
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// time takes a DateTime: units of 100 ns since 1601 (Part 6, 5.2.2.5).
func (r *reader) time() time.Time {
	b := r.take(8)
	if b == nil {
		return time.Time{}
	}
	t := ticks(b)
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(t/1e7-ticksTo1970/1e7, t%1e7*100).UTC()
}

func ticks(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }

// bytes takes bytes with their number before them.
func (r *reader) bytes() []byte {
	n := r.uint32()
	if n == math.MaxUint32 {
		return nil
	}
	return r.take(int(min(n, 1<<30)))
}

// length takes the length of a list whose elements have at least so many
// bytes. A list that is null has none.
func (r *reader) length(least int) (n int, null bool) {
	u := r.uint32()
	if u == math.MaxUint32 {
		return 0, true
	}
	if u > mostDirect || int(u)*least > len(r.b) {
		r.bad = true
		return 0, true
	}
	return int(u), r.bad
}

// decode leaves a part that is short or rare to the library.
func (r *reader) decode(v ua.BinaryDecoder) {
	if r.bad {
		return
	}
	n, err := v.Decode(r.b)
	if err != nil {
		r.bad = true
		return
	}
	r.take(n)
}

func (r *reader) header() *ua.ResponseHeader {
	h := &ua.ResponseHeader{Timestamp: r.time(), RequestHandle: r.uint32(), ServiceResult: ua.StatusCode(r.uint32())}
	h.ServiceDiagnostics = r.diagnostic()
	if n, null := r.length(4); !null {
		h.StringTable = make([]string, n)
		for i := range h.StringTable {
			h.StringTable[i] = string(r.bytes())
		}
	}
	h.AdditionalHeader = new(ua.ExtensionObject)
	r.extension(h.AdditionalHeader)
	return h
}

func (r *reader) diagnostics() []*ua.DiagnosticInfo {
	n, null := r.length(1)
	if null {
		return nil
	}
	all := make([]*ua.DiagnosticInfo, n)
	for i := range all {
		all[i] = r.diagnostic()
	}
	return all
}

func (r *reader) dataValues() []*ua.DataValue {
	n, null := r.length(1)
	if null {
		return nil
	}
	all := make([]*ua.DataValue, n)
	values, variants := make([]ua.DataValue, n), make([]ua.Variant, n)
	for i := range all {
		all[i] = &values[i]
		r.dataValue(all[i], &variants[i])
	}
	return all
}

// dataValue takes one value with its status and times (Part 6, 5.2.2.17).
func (r *reader) dataValue(d *ua.DataValue, v *ua.Variant) {
	d.EncodingMask, d.Value = r.byte(), v
	if d.Has(ua.DataValueValue) {
		r.variant(v)
	}
	if d.Has(ua.DataValueStatusCode) {
		d.Status = ua.StatusCode(r.uint32())
	}
	if d.Has(ua.DataValueSourceTimestamp) {
		d.SourceTimestamp = r.time()
	}
	if d.Has(ua.DataValueSourcePicoseconds) {
		d.SourcePicoseconds = r.uint16()
	}
	if d.Has(ua.DataValueServerTimestamp) {
		d.ServerTimestamp = r.time()
	}
	if d.Has(ua.DataValueServerPicoseconds) {
		d.ServerPicoseconds = r.uint16()
	}
}

// published takes an answer of Publish (Part 4, 5.13.5).
func (r *reader) published() *ua.PublishResponse {
	p := &ua.PublishResponse{ResponseHeader: r.header(), SubscriptionID: r.uint32()}
	if n, null := r.length(4); !null {
		p.AvailableSequenceNumbers = make([]uint32, n)
		for i := range p.AvailableSequenceNumbers {
			p.AvailableSequenceNumbers[i] = r.uint32()
		}
	}
	p.MoreNotifications = r.byte() > 0
	p.NotificationMessage = &ua.NotificationMessage{SequenceNumber: r.uint32(), PublishTime: r.time()}
	if n, null := r.length(3); !null {
		p.NotificationMessage.NotificationData = make([]*ua.ExtensionObject, n)
		for i := range p.NotificationMessage.NotificationData {
			p.NotificationMessage.NotificationData[i] = r.notification()
		}
	}
	if n, null := r.length(4); !null {
		p.Results = make([]ua.StatusCode, n)
		for i := range p.Results {
			p.Results[i] = ua.StatusCode(r.uint32())
		}
	}
	p.DiagnosticInfos = r.diagnostics()
	return p
}

// notification takes changes of data; other notifications are the library's.
func (r *reader) notification() *ua.ExtensionObject {
	eo := &ua.ExtensionObject{}
	if !r.holds(id.DataChangeNotification_Encoding_DefaultBinary) {
		r.extension(eo)
		return eo
	}
	r.within(eo, func(body *reader) { eo.Value = body.changes() })
	return eo
}

// holds tells whether a structure of this encoding follows.
func (r *reader) holds(encoding uint16) bool {
	return len(r.b) >= 9 && r.b[0] == 1 && r.b[1] == 0 && r.b[4] == ua.ExtensionObjectBinary && binary.LittleEndian.Uint16(r.b[2:]) == encoding
}

// within takes a structure whose body is taken from a reader of its own.
func (r *reader) within(eo *ua.ExtensionObject, take func(body *reader)) {
	eo.TypeID, eo.EncodingMask = new(ua.ExpandedNodeID), ua.ExtensionObjectBinary
	r.decode(eo.TypeID)
	r.take(1)
	size := r.uint32()
	if size == 0 || size > uint32(len(r.b)) {
		r.bad = true
		return
	}
	body := reader{b: r.take(int(size))}
	take(&body)
	r.bad, r.broken = r.bad || body.bad, r.broken || body.broken
}

// past takes an answer of HistoryRead (Part 4, 5.10.3).
func (r *reader) past() *ua.HistoryReadResponse {
	h := &ua.HistoryReadResponse{ResponseHeader: r.header()}
	if n, null := r.length(11); !null {
		h.Results = make([]*ua.HistoryReadResult, n)
		for i := range h.Results {
			one := &ua.HistoryReadResult{StatusCode: ua.StatusCode(r.uint32()), ContinuationPoint: r.bytes(), HistoryData: &ua.ExtensionObject{}}
			if r.holds(id.HistoryData_Encoding_DefaultBinary) {
				r.within(one.HistoryData, func(body *reader) { one.HistoryData.Value = &ua.HistoryData{DataValues: body.dataValues()} })
			} else {
				r.extension(one.HistoryData)
			}
			h.Results[i] = one
		}
	}
	h.DiagnosticInfos = r.diagnostics()
	return h
}

func (r *reader) changes() *ua.DataChangeNotification {
	c := &ua.DataChangeNotification{}
	if n, null := r.length(5); !null {
		c.MonitoredItems = make([]*ua.MonitoredItemNotification, n)
		items, values, variants := make([]ua.MonitoredItemNotification, n), make([]ua.DataValue, n), make([]ua.Variant, n)
		for i := range c.MonitoredItems {
			items[i] = ua.MonitoredItemNotification{ClientHandle: r.uint32(), Value: &values[i]}
			r.dataValue(&values[i], &variants[i])
			c.MonitoredItems[i] = &items[i]
		}
	}
	c.DiagnosticInfos = r.diagnostics()
	return c
}

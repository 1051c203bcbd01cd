package opcua

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// byLibrary is the library's answer to what decodeDirect decodes.
func byLibrary(b []byte) (res ua.Response, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errChunk
		}
	}()
	_, v, err := ua.DecodeService(b)
	if err != nil {
		return nil, err
	}
	res, ok := v.(ua.Response)
	if !ok {
		return nil, errChunk
	}
	return res, nil
}

// directly is the answer that decodeDirect gives, if any. Over some values the
// library's decoders panic, which decodeMessage makes errors of.
func directly(b []byte) (res ua.Response) {
	defer func() {
		if recover() != nil {
			res = nil
		}
	}()
	res, _ = decodeDirect(b)
	return res
}

// alike compares two answers; NaN is like NaN, and a date that the library
// cannot hold like what it makes of it. Structures that it does not know it
// cannot encode: then only the types are compared.
func alike(t testing.TB, a, b ua.Response) (same bool) {
	if reflect.DeepEqual(a, b) {
		return true
	}
	defer func() {
		if recover() != nil {
			same = reflect.TypeOf(a) == reflect.TypeOf(b)
		}
	}()
	x, err := ua.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := ua.Encode(b)
	return err == nil && bytes.Equal(x, y) && reflect.TypeOf(a) == reflect.TypeOf(b)
}

func encoded(t testing.TB, kind byte, second byte, v ua.Response) []byte {
	t.Helper()
	b, err := ua.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{1, 0, kind, second}, b...)
}

// answers are of all kinds of values that may come.
func answers(t testing.TB) [][]byte {
	now := time.Date(2026, 3, 1, 8, 0, 0, 123_456_700, time.UTC)
	head := func() *ua.ResponseHeader {
		return header(&ua.ReadRequest{RequestHeader: &ua.RequestHeader{RequestHandle: 7}}, 0)
	}
	read := &ua.ReadResponse{ResponseHeader: head(), DiagnosticInfos: []*ua.DiagnosticInfo{{}, {EncodingMask: 0x10, AdditionalInfo: "why"}}}
	for _, v := range []any{true, int8(-1), uint8(2), int16(-3), uint16(4), int32(-5), uint32(6), int64(-7), uint64(8), float32(1.5), 2.5, "text", "", now, time.Time{},
		ua.NewGUID("72962B91-FA75-4AE6-8D28-B404DC7DAF63"), []byte{1, 2}, ua.StatusBadTimeout, ua.NewLocalizedText("x"), &ua.QualifiedName{NamespaceIndex: 1, Name: "q"},
		[]float64{1, 2}, []string{}, [][]int16{{1, 2}, {3, 4}}, ua.ByteArray{1}, ua.NewStringNodeID(2, "n"), ua.NewExtensionObject(&ua.Range{Low: 1, High: 2})} {
		dv := &ua.DataValue{Value: ua.MustVariant(v), SourceTimestamp: now, ServerTimestamp: now, SourcePicoseconds: 3, ServerPicoseconds: 4, Status: ua.StatusUncertain}
		dv.UpdateMask()
		read.Results = append(read.Results, dv)
	}
	read.Results = append(read.Results, &ua.DataValue{EncodingMask: ua.DataValueStatusCode, Status: ua.StatusBadNodeIDUnknown}, &ua.DataValue{})
	changes := &ua.DataChangeNotification{}
	for i, dv := range read.Results {
		changes.MonitoredItems = append(changes.MonitoredItems, &ua.MonitoredItemNotification{ClientHandle: uint32(i), Value: dv})
	}
	published := func(data ...any) *ua.PublishResponse {
		p := &ua.PublishResponse{ResponseHeader: head(), SubscriptionID: 9, AvailableSequenceNumbers: []uint32{1, 2}, MoreNotifications: true,
			NotificationMessage: &ua.NotificationMessage{SequenceNumber: 3, PublishTime: now}, Results: []ua.StatusCode{0, ua.StatusBadTimeout}}
		for _, d := range data {
			p.NotificationMessage.NotificationData = append(p.NotificationMessage.NotificationData, ua.NewExtensionObject(d))
		}
		return p
	}
	texts := head()
	texts.StringTable = []string{"a", "b"}
	return [][]byte{
		encoded(t, 0x7A, 0x02, read), encoded(t, 0x7A, 0x02, &ua.ReadResponse{ResponseHeader: head()}), encoded(t, 0x7A, 0x02, &ua.ReadResponse{ResponseHeader: texts}),
		encoded(t, 0x3D, 0x03, published(changes)), encoded(t, 0x3D, 0x03, published()), encoded(t, 0x3D, 0x03, published(changes, &ua.StatusChangeNotification{Status: ua.StatusBadTimeout, DiagnosticInfo: &ua.DiagnosticInfo{}}, changes)),
		encoded(t, 0x8D, 0x01, &ua.ServiceFault{ResponseHeader: head()}),
	}
}

func TestDirectIsTakenAndRight(t *testing.T) {
	for i, b := range answers(t) {
		want, err := byLibrary(b)
		if err != nil {
			t.Fatal(i, err)
		}
		got, err := decodeDirect(b)
		ok := got != nil
		if err != nil {
			t.Error(err)
		}
		if direct := i != 6; ok != direct { // other services are the library's
			t.Errorf("answer %d is decoded directly: %v", i, ok)
		}
		if ok && !reflect.DeepEqual(got, want) {
			t.Errorf("answer %d: %+v, want %+v", i, got, want)
		}
		for n := range b { // what is cut off is never taken for whole
			if got, _ := decodeDirect(b[:n]); got != nil {
				if want, err := byLibrary(b[:n]); err != nil || !alike(t, got, want) {
					t.Fatalf("answer %d cut to %d bytes: %+v, the library says %+v, %v", i, n, got, want, err)
				}
			}
		}
	}
}

// FuzzDirect holds the direct decoder against the library's: whatever it
// accepts, the library accepts, with the same result.
func FuzzDirect(f *testing.F) {
	for _, b := range answers(f) {
		f.Add(b)
	}
	f.Add(append([]byte{1, 0, 0x7A, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 1}, bytes.Repeat([]byte{24}, 1000)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := directly(b)
		if got == nil {
			return
		}
		want, err := byLibrary(b)
		if err != nil {
			t.Fatalf("decoded %+v, the library says %v", got, err)
		}
		if !alike(t, got, want) {
			t.Fatalf("decoded %+v, the library %+v", got, want)
		}
	})
}

// A few bytes shall neither take gigabytes nor end the process.
func TestBombsAreNotDecoded(t *testing.T) {
	read := func(value ...byte) []byte {
		b := encoded(t, 0x7A, 0x02, &ua.ReadResponse{ResponseHeader: header(&ua.ReadRequest{RequestHeader: &ua.RequestHeader{}}, 0)})
		return append(append(b[:len(b)-8], 1, 0, 0, 0, ua.DataValueValue), value...)
	}
	for name, b := range map[string][]byte{
		"dimensions":          read(0xC0|byte(ua.TypeIDInt16), 1, 0, 0, 0, 5, 0, 0xFF, 0xFF, 0xFF, 0x7F),
		"values in values":    read(bytes.Repeat([]byte{byte(ua.TypeIDVariant)}, 3<<20)...),
		"data in data":        read(bytes.Repeat([]byte{byte(ua.TypeIDDataValue), ua.DataValueValue}, 1<<20)...),
		"diagnostics in each": read(append([]byte{byte(ua.TypeIDDiagnosticInfo)}, bytes.Repeat([]byte{ua.DiagnosticInfoInnerDiagnosticInfo}, 3<<20)...)...),
		"elements":            read(0x80|byte(ua.TypeIDString), 0xFF, 0xFF, 0xFF, 0x7F),
		"text":                read(byte(ua.TypeIDString), 0xFE, 0xFF, 0xFF, 0xFF),
		"no such type":        read(26),
	} {
		if _, err := decodeMessage(b); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

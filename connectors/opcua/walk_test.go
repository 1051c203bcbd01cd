package opcua

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// response is an answer of a service with this head, and what follows it.
func response(service uint16, head []byte, rest ...byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{1, 0}, service)
	return append(append(b, head...), rest...)
}

// A server that nobody has trusted yet shall not end the process.
func TestHostileAnswersOfEveryService(t *testing.T) {
	const much = 4 << 20
	start := make([]byte, 16) // time, handle, result
	plain := append(make([]byte, 17), 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0)
	texts := append(make([]byte, 17), 1, 0, 0, 0, 1, 0, 0, 0, 'a', 0, 0, 0)
	inner := bytes.Repeat([]byte{ua.DiagnosticInfoInnerDiagnosticInfo}, much)
	variants := bytes.Repeat([]byte{byte(ua.TypeIDVariant)}, much)
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	size := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(len(b))) }
	one := []byte{1, 0, 0, 0}
	structure := func(encoding uint16, body []byte) []byte {
		return cat(binary.LittleEndian.AppendUint16([]byte{1, 0}, encoding), []byte{1}, size(body), body)
	}
	changes := func(value []byte) []byte {
		return structure(id.DataChangeNotification_Encoding_DefaultBinary, cat(one, []byte{0, 0, 0, 0, ua.DataValueValue}, value))
	}
	nested := []byte{byte(ua.TypeIDBoolean), 1}
	for range 1000 {
		nested = cat([]byte{byte(ua.TypeIDExtensionObject)}, changes(nested))
	}
	for name, b := range map[string][]byte{
		"endpoints, diagnostics in each other": response(id.GetEndpointsResponse_Encoding_DefaultBinary, start, inner...),
		"endpoints, additional header":         response(id.GetEndpointsResponse_Encoding_DefaultBinary, plain[:21], changes(variants)...),
		"endpoints, without end":               response(id.GetEndpointsResponse_Encoding_DefaultBinary, plain, 0xFF, 0xFF, 0xFF, 0x7F),
		"a fault":                              response(id.ServiceFault_Encoding_DefaultBinary, start, inner...),
		"opening":                              response(id.OpenSecureChannelResponse_Encoding_DefaultBinary, start, inner...),
		"read with texts":                      response(id.ReadResponse_Encoding_DefaultBinary, texts, cat(one, []byte{ua.DataValueValue}, variants)...),
		"read, its header":                     response(id.ReadResponse_Encoding_DefaultBinary, texts[:26], changes(variants)...),
		"read, a long list":                    response(id.ReadResponse_Encoding_DefaultBinary, plain, cat([]byte{0x11, 0x27, 0, 0}, make([]byte, 10000), []byte{ua.DataValueValue}, variants)...),
		"read, a structure":                    response(id.ReadResponse_Encoding_DefaultBinary, plain, cat(one, []byte{ua.DataValueValue, byte(ua.TypeIDExtensionObject)}, changes(variants))...),
		"read, structures":                     response(id.ReadResponse_Encoding_DefaultBinary, plain, cat(one, []byte{ua.DataValueValue}, nested)...),
		"history":                              response(id.HistoryReadResponse_Encoding_DefaultBinary, plain, cat(one, make([]byte, 8), structure(id.HistoryData_Encoding_DefaultBinary, cat(one, []byte{ua.DataValueValue}, variants)))...),
		"history, another structure":           response(id.HistoryReadResponse_Encoding_DefaultBinary, plain, cat(one, make([]byte, 8), changes(variants))...),
		"published":                            response(id.PublishResponse_Encoding_DefaultBinary, plain, cat(make([]byte, 4), []byte{0, 0, 0, 0, 0}, make([]byte, 12), one, structure(id.EventNotificationList_Encoding_DefaultBinary, cat(one, make([]byte, 4), one, variants)))...),
		"items, result of a filter":            response(id.CreateMonitoredItemsResponse_Encoding_DefaultBinary, plain, cat(one, make([]byte, 20), changes(variants))...),
		"browsed, diagnostics":                 response(id.BrowseResponse_Encoding_DefaultBinary, plain, cat(make([]byte, 4), one, inner)...),
		// -1 elements, and 3 times 1431655765 of them, which is -1 in 32 bits.
		"dimensions of nothing": response(id.ReadResponse_Encoding_DefaultBinary, plain, cat(one, []byte{ua.DataValueValue, 0xC6, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 3, 0, 0, 0, 0x55, 0x55, 0x55, 0x55}, make([]byte, 4))...),
		"too many dimensions":   response(id.ReadResponse_Encoding_DefaultBinary, plain, cat(one, []byte{ua.DataValueValue, 0xC1, 1, 0, 0, 0, 1, 0x40, 0x00, 0x10, 0}, bytes.Repeat(one, 1<<20))...),
	} {
		if _, err := decodeMessage(b); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := (answer{data: b}).decode(); !errors.As(err, new(undecodableError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is harmless is decoded as the library does.
func TestSurveyTakesWhatTheLibraryTakes(t *testing.T) {
	head := header(&ua.ReadRequest{RequestHeader: &ua.RequestHeader{}}, 0)
	head.StringTable = []string{"a", ""}
	for _, res := range []ua.Response{
		&ua.GetEndpointsResponse{ResponseHeader: head, Endpoints: []*ua.EndpointDescription{{EndpointURL: "opc.tcp://a", ServerCertificate: []byte{1, 2},
			Server:             &ua.ApplicationDescription{ApplicationName: ua.NewLocalizedText("x"), DiscoveryURLs: []string{"a", "b"}},
			UserIdentityTokens: []*ua.UserTokenPolicy{{PolicyID: "p", TokenType: ua.UserTokenTypeUserName}}}}},
		&ua.BrowseResponse{ResponseHeader: head, Results: []*ua.BrowseResult{{ContinuationPoint: []byte{1}, References: []*ua.ReferenceDescription{{
			ReferenceTypeID: ua.NewTwoByteNodeID(3), NodeID: ua.NewStringExpandedNodeID(2, "n"), BrowseName: &ua.QualifiedName{Name: "n"},
			DisplayName: ua.NewLocalizedText("n"), TypeDefinition: ua.NewTwoByteExpandedNodeID(1)}}}}, DiagnosticInfos: []*ua.DiagnosticInfo{{}}},
		&ua.CreateMonitoredItemsResponse{ResponseHeader: head, Results: []*ua.MonitoredItemCreateResult{{MonitoredItemID: 3,
			FilterResult: ua.NewExtensionObject(&ua.EventFilterResult{SelectClauseResults: []ua.StatusCode{1}, WhereClauseResult: &ua.ContentFilterResult{}})}}},
		&ua.OpenSecureChannelResponse{ResponseHeader: head, SecurityToken: &ua.ChannelSecurityToken{CreatedAt: time.Now()}, ServerNonce: []byte{1}},
	} {
		body, err := ua.Encode(res)
		if err != nil {
			t.Fatal(err)
		}
		b := response(ua.ServiceTypeID(res), body)
		got, err := decodeMessage(b)
		if err != nil || !alike(t, got, res) {
			t.Errorf("%T: %+v, %v", res, got, err)
		}
		for n := range b {
			if _, err := decodeMessage(b[:n]); err == nil {
				t.Errorf("%T cut to %d bytes is taken", res, n)
			}
		}
	}
}

// dated is a value that is a date of so many ticks.
func dated(ticks ...int64) []byte {
	if len(ticks) == 1 {
		return binary.LittleEndian.AppendUint64([]byte{ua.DataValueValue, byte(ua.TypeIDDateTime)}, uint64(ticks[0]))
	}
	b := []byte{ua.DataValueValue, 0x80 | byte(ua.TypeIDDateTime), byte(len(ticks)), 0, 0, 0}
	for _, one := range ticks {
		b = binary.LittleEndian.AppendUint64(b, uint64(one))
	}
	return b
}

func TestDatesThatTheLibraryCannotHold(t *testing.T) {
	plain := append(make([]byte, 17), 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0)
	one := []byte{1, 0, 0, 0}
	read := func(value []byte) (*ua.DataValue, error) {
		res, err := decodeMessage(response(id.ReadResponse_Encoding_DefaultBinary, plain, bytes.Join([][]byte{one, value, make([]byte, 4)}, nil)...))
		if err != nil {
			return nil, err
		}
		return res.(*ua.ReadResponse).Results[0], nil
	}
	// The last parts are in a structure whose id is written in the long way, which
	// the library decodes.
	history := func(value []byte, encoding ...byte) (*ua.DataValue, error) {
		body := append(bytes.Clone(one), value...)
		b := append(append(bytes.Clone(one), make([]byte, 8)...), encoding...)
		b = append(binary.LittleEndian.AppendUint32(append(b, 1), uint32(len(body))), body...)
		res, err := decodeMessage(response(id.HistoryReadResponse_Encoding_DefaultBinary, plain, append(b, 0, 0, 0, 0)...))
		if err != nil {
			return nil, err
		}
		all, err := values(res.(*ua.HistoryReadResponse).Results[0])
		if err != nil {
			return nil, err
		}
		return all[0], nil
	}
	short, long := []byte{1, 0, 0, 0}, []byte{2, 0, 0, 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(short[2:], id.HistoryData_Encoding_DefaultBinary)
	binary.LittleEndian.PutUint16(long[3:], id.HistoryData_Encoding_DefaultBinary)
	for ticks, want := range map[int64]string{
		2650467743999999999: "9999-12-31T23:59:59.999Z", 1<<63 - 1: "9999-12-31T23:59:59.000Z",
		1: "1601-01-01T00:00:00.000Z", 0: "", -1: "", -1 << 63: "", ticksTo1970 + mostTicks + 1: "2262-04-11T23:47:16.854Z", ticksTo1970 - 1: "1969-12-31T23:59:59.999Z",
	} {
		single, indexed := newDecoder(Signal{Type: "datetime"}), newDecoder(Signal{Type: "datetime", Index: new(1)})
		check := func(name string, d decoder, dv *ua.DataValue, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%d, %s: %v", ticks, name, err)
				return
			}
			v, q, reason := d.data(dv)
			if want == "" && (q != plant.Bad || reason != "no date and time") || want != "" && (q != plant.Good || v != plant.Text(want)) {
				t.Errorf("%d, %s: %v %v %q, want %q", ticks, name, v, q, reason, want)
			}
		}
		dv, err := read(dated(ticks))
		check("single", single, dv, err)
		dv, err = read(dated(0, ticks))
		check("of several", indexed, dv, err)
		dv, err = history(dated(ticks), short...)
		check("of the past", single, dv, err)
		dv, err = history(dated(0, ticks), short...)
		check("of several of the past", indexed, dv, err)
		if dv, err = history(dated(ticks), long...); beyondLibrary(ticks) {
			if err == nil {
				t.Errorf("%d by the library: %v", ticks, dv.Value.Value())
			}
		} else {
			check("by the library", single, dv, err)
		}
	}
	// One dimension is a list, more are what no signal can be.
	far := dated(0, 1<<63-1)
	far[1] |= ua.VariantArrayDimensions
	indexed := newDecoder(Signal{Type: "datetime", Index: new(1)})
	dv, err := read(append(bytes.Clone(far), 1, 0, 0, 0, 2, 0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if v, q, reason := indexed.data(dv); q != plant.Good || v != plant.Text("9999-12-31T23:59:59.000Z") {
		t.Error(v, q, reason)
	}
	if dv, err = read(append(bytes.Clone(far), 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if v, q, _ := indexed.data(dv); q != plant.Bad {
		t.Error(v, q)
	}
}

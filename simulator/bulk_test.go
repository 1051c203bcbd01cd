package simulator

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"github.com/simonvetter/modbus"
)

func startBulk(t *testing.T, cfg BulkConfig) *BulkPlant {
	t.Helper()
	cfg.Folder = folder(t)
	b, err := Bulk(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-b.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("not ready")
	}
	return b
}

func TestBulkServesOneNumber(t *testing.T) {
	b := startBulk(t, BulkConfig{Signals: 1000, Every: time.Hour})
	ou, mu := b.URLs()
	oc := opcuaClient(t, ou)
	mc := modbusClient(t, Machine{URL: mu, Unit: 1})
	regs, err := mc.ReadRegisters(900, 100, modbus.HOLDING_REGISTER)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{900, 999} {
		v, err := oc.Node(resolve(t, oc, b.Node(i))).Value(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if unit, address := b.Address(i); uint16(v.Value().(uint32)) != regs[i-900] || unit != 1 || address != fmt.Sprintf("holding:%d", i) {
			t.Errorf("signal %d: %v on OPC UA, %d on Modbus", i, v.Value(), regs[i-900])
		}
	}
	if _, err := mc.ReadRegisters(950, 100, modbus.HOLDING_REGISTER); err != modbus.ErrIllegalDataAddress {
		t.Errorf("past the last signal: %v", err)
	}
}

func TestBulkUnits(t *testing.T) {
	b := startBulk(t, BulkConfig{Signals: 120_000, Every: time.Hour, NoOPCUA: true})
	_, url := b.URLs()
	first := modbusRegister(t, url, 1, 0)
	for _, i := range []int{49_999, 50_000, 119_999} {
		unit, address := b.Address(i)
		var at uint16
		if _, err := fmt.Sscanf(address, "holding:%d", &at); err != nil {
			t.Fatal(err)
		}
		if got, want := modbusRegister(t, url, unit, at), uint16(int(first)+i); got != want {
			t.Errorf("signal %d is %d, want %d", i, got, want)
		}
	}
	for _, c := range []struct {
		unit int
		at   uint16
		want error
	}{{3, 20_000, modbus.ErrIllegalDataAddress}, {1, 50_000, modbus.ErrIllegalDataAddress}, {4, 0, modbus.ErrGWTargetFailedToRespond}} {
		if _, err := modbusClient(t, Machine{URL: url, Unit: uint8(c.unit)}).ReadRegisters(c.at, 1, modbus.HOLDING_REGISTER); err != c.want {
			t.Errorf("unit %d register %d: %v, want %v", c.unit, c.at, err, c.want)
		}
	}
}

func modbusRegister(t *testing.T, url string, unit int, at uint16) uint16 {
	t.Helper()
	r, err := modbusClient(t, Machine{URL: url, Unit: uint8(unit)}).ReadRegisters(at, 1, modbus.HOLDING_REGISTER)
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

func TestBulkSubscription(t *testing.T) {
	const signals = 1000
	b := startBulk(t, BulkConfig{Signals: signals, Every: 500 * time.Millisecond})
	url, _ := b.URLs()
	c := opcuaClient(t, url)
	ch := make(chan *opcua.PublishNotificationData, 64)
	sub, err := c.Subscribe(t.Context(), &opcua.SubscriptionParameters{Interval: 100 * time.Millisecond}, ch)
	if err != nil {
		t.Fatal(err)
	}
	base := resolve(t, c, b.Node(0))
	var items []*ua.MonitoredItemCreateRequest
	for i := range signals {
		items = append(items, opcua.NewMonitoredItemCreateRequestWithDefaults(ua.NewStringNodeID(base.Namespace(), fmt.Sprintf("S%05d", i)), ua.AttributeIDValue, uint32(i)))
	}
	if _, err := sub.Monitor(t.Context(), ua.TimestampsToReturnBoth, items...); err != nil {
		t.Fatal(err)
	}
	// Every signal changes at least twice after its first value.
	changes, complete := map[uint32]map[uint32]bool{}, 0
	await(t, ch, func(handle uint32, v *ua.DataValue) bool {
		if changes[handle] == nil {
			changes[handle] = map[uint32]bool{}
		}
		n := v.Value.Value().(uint32)
		if known := changes[handle]; !known[n] {
			if known[n] = true; len(known) == 3 {
				complete++
			}
		}
		return complete == signals
	})
}

func TestBulkFaults(t *testing.T) {
	for _, c := range []BulkConfig{{Signals: 0}, {Signals: 600_001}, {Signals: 1, OPCUA: "0.0.0.0:1"}} {
		if _, err := Bulk(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

package simulator

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"golang.org/x/sync/errgroup"
)

// Bounds of a bulk plant: signals, and how many of them are in one Modbus unit.
const (
	mostBulk = 600_000
	bulkUnit = 50_000
)

// BulkConfig asks for many signals that all change together, to measure what
// reads them.
type BulkConfig struct {
	Signals int           // 1 to 600,000
	NoOPCUA bool          // serves Modbus alone: a node costs the OPC UA server some kB
	Every   time.Duration // between changes; default 1s
	OPCUA   string        // default 127.0.0.1:0
	Modbus  string        // default 127.0.0.1:0
	Servers int           // of Modbus, all with the same signals, at Modbus's host; default 1. Those after the first have free ports
	Folder  string        // keeps the OPC UA server's certificate
}

// BulkPlant serves the same numbers on an OPC UA server and on a Modbus server.
// Signal i is, after k changes since the Unix epoch, the number k+i: as UInt32
// on OPC UA, modulo 65536 in one holding register on Modbus.
type BulkPlant struct {
	every  time.Duration
	count  int
	ready  chan struct{}
	opcua  *opcuaServer
	modbus []*bulkModbus
	der    []byte

	mu   sync.Mutex // held while nodes are read
	tick int64      // changes up to now
}

// Bulk makes a bulk plant; it binds nothing.
func Bulk(cfg BulkConfig) (*BulkPlant, error) {
	if cfg.Signals < 1 || cfg.Signals > mostBulk {
		return nil, fmt.Errorf("bulk signals: found %d, allowed: 1 to %d", cfg.Signals, mostBulk)
	}
	if cfg.Every <= 0 {
		cfg.Every = time.Second
	}
	for _, address := range []*string{&cfg.OPCUA, &cfg.Modbus} {
		if *address == "" {
			*address = "127.0.0.1:0"
		}
		if err := checkLoopback(*address); err != nil {
			return nil, fmt.Errorf("bulk address: found %q, allowed: %w", *address, err)
		}
	}
	who, err := loadIdentity(cfg.Folder)
	if err != nil {
		return nil, err
	}
	b := &BulkPlant{every: cfg.Every, count: cfg.Signals, ready: make(chan struct{}), der: who.der}
	b.sync()
	host, _, _ := net.SplitHostPort(cfg.Modbus) // checked above
	for i := range max(cfg.Servers, 1) {
		server := &bulkModbus{plant: b, address: cfg.Modbus}
		if i > 0 {
			server.address = net.JoinHostPort(host, "0")
		}
		b.modbus = append(b.modbus, server)
	}
	if cfg.NoOPCUA {
		return b, nil
	}
	nodes := make([]opcuaNode, cfg.Signals)
	for i := range nodes {
		nodes[i] = opcuaNode{
			namespace: "urn:linetwin:bulk", name: fmt.Sprintf("S%05d", i), browse: fmt.Sprintf("S%05d", i), folders: []string{"bulk"}, dataType: id.UInt32,
			read: func() *ua.DataValue { return b.value(i) },
			rev:  func() uint32 { return uint32(b.tick) },
		}
	}
	b.opcua = opcuaConfig{address: cfg.OPCUA, identity: who, tick: max(opcuaTick, min(cfg.Every/10, 100*time.Millisecond)), nodes: nodes, lock: &b.mu, sync: b.sync}.server()
	return b, nil
}

// Node gives the OPC UA address of signal i, Address the Modbus one.
func (b *BulkPlant) Node(i int) string { return fmt.Sprintf("nsu=urn:linetwin:bulk;s=S%05d", i) }

// Address gives the unit and the Modbus address of signal i, type uint16.
func (b *BulkPlant) Address(i int) (unit int, address string) {
	return 1 + i/bulkUnit, fmt.Sprintf("holding:%d", i%bulkUnit)
}

// Ready is closed once both servers listen.
func (b *BulkPlant) Ready() <-chan struct{} { return b.ready }

// URLs gives the addresses of the OPC UA and the (first) Modbus server.
func (b *BulkPlant) URLs() (opcua, modbus string) {
	if b.opcua != nil {
		opcua = b.opcua.url()
	}
	return opcua, b.ModbusURL(0)
}

// ModbusURL gives the address of one of the Modbus servers, from 0.
func (b *BulkPlant) ModbusURL(server int) string { return b.modbus[server].url() }

// Certificate gives the OPC UA server's certificate, DER.
func (b *BulkPlant) Certificate() []byte { return b.der }

// Run serves until ctx ends.
func (b *BulkPlant) Run(ctx context.Context) error {
	for i, s := range b.modbus {
		if err := s.listen(); err != nil {
			b.unbind(i)
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	if b.opcua != nil {
		if err := b.opcua.open(); err != nil {
			b.unbind(len(b.modbus))
			return err
		}
		group.Go(func() error { return b.opcua.run(ctx) })
	}
	for _, s := range b.modbus {
		group.Go(func() error { return s.run(ctx) })
	}
	close(b.ready)
	return group.Wait()
}

// unbind closes the first Modbus servers' ports, before they run.
func (b *BulkPlant) unbind(servers int) {
	for _, s := range b.modbus[:servers] {
		s.listener.Close()
	}
}

// now gives how often the numbers have changed.
func (b *BulkPlant) now() int64 { return time.Now().UnixNano() / int64(b.every) }

func (b *BulkPlant) sync() { b.tick = b.now() }

func (b *BulkPlant) value(i int) *ua.DataValue {
	return &ua.DataValue{
		EncodingMask:    ua.DataValueValue | ua.DataValueSourceTimestamp | ua.DataValueServerTimestamp,
		Value:           ua.MustVariant(uint32(b.tick + int64(i))),
		SourceTimestamp: time.Unix(0, b.tick*int64(b.every)), ServerTimestamp: time.Now(),
	}
}

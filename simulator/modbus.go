package simulator

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/simonvetter/modbus"
)

// lastRegister is the highest address of a unit's tables.
const lastRegister = 127

// modbusServer is one Modbus TCP address.
type modbusServer struct {
	name    string
	host    string
	handler modbus.RequestHandler
	units   map[uint8]*machine // of the plant

	mu     sync.Mutex // guards what follows
	port   int        // 0: any
	server *modbus.ModbusServer
}

// newModbusServer makes a server offset ports after address; port 0 stays 0.
func newModbusServer(name, address string, offset int) *modbusServer {
	host, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	if port != 0 {
		port += offset
	}
	return &modbusServer{name: name, host: host, port: port}
}

func (p *Plant) modbusServers() []*modbusServer {
	var all []*modbusServer
	for i := range modbusPorts {
		s := newModbusServer(fmt.Sprintf("modbus-%d", i+1), p.cfg.Modbus, i)
		s.units = map[uint8]*machine{}
		s.handler = modbusUnits{p, s.units}
		for _, st := range p.model.stations {
			if st.protocol == modbusTCP && st.port == i {
				s.units[st.unit] = p.machines[st.id]
			}
		}
		if len(s.units) > 0 {
			all = append(all, s)
		}
	}
	return all
}

func (p *Plant) closeModbus() {
	for _, s := range p.modbus {
		s.refuse()
	}
}

func (s *modbusServer) url() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "tcp://" + net.JoinHostPort(s.host, strconv.Itoa(s.port))
}

// listen opens the server's port. The library tells no port that it was given,
// so that a free one is found first; another process may snatch it, hence the
// few tries.
func (s *modbusServer) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	for try := 0; ; try++ {
		port, err := freePort(s.host, s.port)
		if err == nil {
			err = s.open(port)
		}
		if err == nil {
			s.port = port
			return nil
		}
		if s.port != 0 || try == 9 || !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen for Modbus on %s:%d: %w", s.host, s.port, err)
		}
	}
}

func (s *modbusServer) open(port int) error {
	server, err := modbus.NewServer(&modbus.ServerConfiguration{
		URL:        "tcp://" + net.JoinHostPort(s.host, strconv.Itoa(port)),
		Timeout:    5 * time.Minute,
		MaxClients: 64,
		Logger:     log.New(io.Discard, "", 0),
	}, s.handler)
	if err == nil {
		err = server.Start()
	}
	if err == nil {
		s.server = server
	}
	return err
}

// freePort gives port, or a free one for 0.
func freePort(host string, port int) (int, error) {
	if port != 0 {
		return port, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// refuse closes the port and all connections.
func (s *modbusServer) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		s.server.Stop()
		s.server = nil
	}
}

// modbusUnits answers for the machines behind one address: one controller, or
// the gateway to a serial line.
type modbusUnits struct {
	plant *Plant
	units map[uint8]*machine
}

// HandleHoldingRegisters answers function 3; writing is refused.
func (s modbusUnits) HandleHoldingRegisters(r *modbus.HoldingRegistersRequest) ([]uint16, error) {
	if r.IsWrite {
		return nil, modbus.ErrIllegalFunction
	}
	return s.read(r.UnitId, false, r.Addr, r.Quantity)
}

// HandleInputRegisters answers function 4.
func (s modbusUnits) HandleInputRegisters(r *modbus.InputRegistersRequest) ([]uint16, error) {
	return s.read(r.UnitId, true, r.Addr, r.Quantity)
}

// HandleCoils refuses: the plant has none.
func (s modbusUnits) HandleCoils(*modbus.CoilsRequest) ([]bool, error) {
	return nil, modbus.ErrIllegalFunction
}

// HandleDiscreteInputs refuses: the plant has none.
func (s modbusUnits) HandleDiscreteInputs(*modbus.DiscreteInputsRequest) ([]bool, error) {
	return nil, modbus.ErrIllegalFunction
}

func (s modbusUnits) read(unit uint8, input bool, first, count uint16) ([]uint16, error) {
	m := s.units[unit]
	if m == nil {
		return nil, modbus.ErrGWTargetFailedToRespond
	}
	if gate := s.plant.gate(m); gate != nil {
		if len(s.units) > 1 {
			// A serial gateway gives up on its dead unit and says so.
			select {
			case <-gate:
			case <-time.After(time.Second):
				return nil, modbus.ErrGWTargetFailedToRespond
			}
		} else {
			<-gate
		}
	}
	s.plant.mu.Lock()
	defer s.plant.mu.Unlock()
	s.plant.sync()
	return s.plant.registers(m, input, first, count)
}

// registers gives what stands in a unit's registers. The caller holds mu.
func (p *Plant) registers(m *machine, input bool, first, count uint16) ([]uint16, error) {
	if int(first)+int(count)-1 > lastRegister {
		return nil, modbus.ErrIllegalDataAddress
	}
	out := make([]uint16, count)
	known := 0
	for i := range slots {
		r := m.layout.at[i]
		if r.kind == "" || r.input != input || m.signalOf(i) == "" {
			continue
		}
		if int(r.address)+int(r.kind.words()) <= int(first) || int(r.address) >= int(first)+int(count) {
			continue
		}
		v, _ := p.serve(m, i)
		words := r.encode(v, m.layout.order)
		for k, w := range words[:r.kind.words()] {
			if at := int(r.address) + k - int(first); at >= 0 && at < len(out) {
				out[at] = w
				known++
			}
		}
	}
	if m.layout.strict && known < int(count) {
		return nil, modbus.ErrIllegalDataAddress
	}
	return out, nil
}

// encode gives the registers of a value: counters roll over at their width.
func (r register) encode(v Value, order byteOrder) [2]uint16 {
	if r.kind == kindUint16 {
		return [2]uint16{uint16(v.Integer)}
	}
	bits := uint32(v.Integer)
	if r.kind == kindFloat32 {
		bits = math.Float32bits(float32(v.Float))
	}
	high, low := uint16(bits>>16), uint16(bits)
	swap := func(w uint16) uint16 { return w<<8 | w>>8 }
	switch order {
	case cdab:
		return [2]uint16{low, high}
	case badc:
		return [2]uint16{swap(high), swap(low)}
	case dcba:
		return [2]uint16{swap(low), swap(high)}
	}
	return [2]uint16{high, low}
}

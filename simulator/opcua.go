package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"
)

// opcuaTick is how often the plant's server looks for changes to publish.
const opcuaTick = 10 * time.Millisecond

// opcuaNode is one variable. read and rev are called with the server's lock
// held; rev changes whenever read would give something new.
type opcuaNode struct {
	namespace   string // URI
	name        string // string identifier
	browse      string
	description string
	folders     []string // from the Objects folder down
	dataType    uint32   // OPC UA built-in type
	read        func() *ua.DataValue
	rev         func() uint32
}

// opcuaConfig is an address space and where to serve it.
type opcuaConfig struct {
	address  string // host:port
	identity identity
	tick     time.Duration // how often changes are looked for
	nodes    []opcuaNode
	lock     sync.Locker
	sync     func() // brings what nodes read to the present, lock held
}

// opcuaServer serves the variables. It stands on gopcua's server, of which it
// replaces the services that would publish nothing, accept nodes that do not
// exist or fall over: Read, CreateSubscription and CreateMonitoredItems.
type opcuaServer struct {
	opcuaConfig
	host string

	mu       sync.Mutex // guards what follows
	port     int        // 0: any
	instance *opcuaInstance
	gate     chan struct{} // closed on resume; nil: serves
	turn     int           // restarts, each of which moves the namespaces' indexes
}

// opcuaInstance is one run of the library's server, which cannot be restarted.
type opcuaInstance struct {
	owner  *opcuaServer
	server *server.Server
	cancel context.CancelFunc
	nodes  map[string]*opcuaNode // by the text of the node id

	mu    sync.Mutex
	dirty map[string]*ua.NodeID // to be published
	seen  map[string]uint32     // revision published last
}

func (c opcuaConfig) server() *opcuaServer {
	host, port, _ := net.SplitHostPort(c.address)
	n, _ := strconv.Atoi(port)
	return &opcuaServer{opcuaConfig: c, host: host, port: n}
}

func (s *opcuaServer) url() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "opc.tcp://" + net.JoinHostPort(s.host, strconv.Itoa(s.port))
}

// open starts the server. Like the Modbus library, this one tells no port that
// it was given.
func (s *opcuaServer) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instance != nil {
		return nil
	}
	for try := 0; ; try++ {
		port, err := freePort(s.host, s.port)
		if err == nil {
			err = s.launch(port)
		}
		if err == nil {
			s.port = port
			return nil
		}
		if s.port != 0 || try == 9 || !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listen for OPC UA on %s:%d: %w", s.host, s.port, err)
		}
	}
}

func (s *opcuaServer) launch(port int) error {
	srv := server.New(
		server.EndPoint(s.host, port),
		server.Certificate(s.identity.der),
		server.PrivateKey(s.identity.key),
		server.EnableSecurity("None", ua.MessageSecurityModeNone),
		server.EnableSecurity("Basic256Sha256", ua.MessageSecurityModeSign),
		server.EnableSecurity("Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt),
		server.EnableSecurity("Aes256_Sha256_RsaPss", ua.MessageSecurityModeSignAndEncrypt),
		server.EnableAuthMode(ua.UserTokenTypeAnonymous),
		server.EnableAuthMode(ua.UserTokenTypeUserName),
		server.ServerName("LineTwin simulator"),
		server.ManufacturerName("LineTwin"),
		server.ProductName("LineTwin simulator"),
	)
	i := &opcuaInstance{owner: s, server: srv, nodes: map[string]*opcuaNode{}, dirty: map[string]*ua.NodeID{}, seen: map[string]uint32{}}
	i.build(s.turn)
	srv.RegisterHandler(id.ReadRequest_Encoding_DefaultBinary, i.read)
	srv.RegisterHandler(id.CreateSubscriptionRequest_Encoding_DefaultBinary, i.subscribe)
	srv.RegisterHandler(id.CreateMonitoredItemsRequest_Encoding_DefaultBinary, i.monitor)
	ctx, cancel := context.WithCancel(context.Background())
	i.cancel = cancel
	if err := srv.Start(ctx); err != nil {
		cancel()
		return err
	}
	s.instance = i
	return nil
}

// run publishes changes until ctx ends, then closes the server.
func (s *opcuaServer) run(ctx context.Context) error {
	tick := time.NewTicker(s.tick)
	defer tick.Stop()
	second := time.Now()
	for {
		select {
		case <-ctx.Done():
			s.resume()
			s.close()
			return nil
		case now := <-tick.C:
			s.mu.Lock()
			i, frozen := s.instance, s.gate != nil
			s.mu.Unlock()
			if i == nil || frozen {
				continue
			}
			if now.Sub(second) >= time.Second {
				second = now
				i.touch(ua.NewNumericNodeID(0, id.Server_ServerStatus_CurrentTime))
			}
			i.publish()
		}
	}
}

// close ends the running instance: subscriptions first, which would otherwise
// wait for their lifetime, and the context last, because the library's
// connections need its loop to let go.
func (s *opcuaServer) close() {
	s.mu.Lock()
	i := s.instance
	s.instance = nil
	s.mu.Unlock()
	if i == nil {
		return
	}
	i.dropSubscriptions()
	i.server.Close()
	i.dropSubscriptions()
	i.cancel()
}

func (i *opcuaInstance) dropSubscriptions() {
	subs := i.server.SubscriptionService
	subs.Mu.Lock()
	var ids []uint32
	for n := range subs.Subs {
		ids = append(ids, n)
	}
	subs.Mu.Unlock()
	for _, n := range ids {
		subs.DeleteSubscription(n)
	}
}

// stall freezes the server with its connections open, or closes it.
func (s *opcuaServer) stall(mode string) error {
	if mode == Refuse {
		s.close()
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate == nil {
		s.gate = make(chan struct{})
	}
	return nil
}

// resume undoes stall.
func (s *opcuaServer) resume() error {
	s.mu.Lock()
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
	s.mu.Unlock()
	return s.open()
}

// restart closes the server and opens it again with its namespaces at other
// indexes, as a download to a controller may leave it.
func (s *opcuaServer) restart() error {
	s.close()
	s.mu.Lock()
	s.turn++
	s.mu.Unlock()
	return s.open()
}

// wait blocks while the server is frozen.
func (s *opcuaServer) wait() {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

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
// exist or fall over: Read, CreateSubscription, CreateMonitoredItems and
// GetEndpoints. Clients reach it through a front.
type opcuaServer struct {
	opcuaConfig
	front front

	mu       sync.Mutex // guards what follows
	instance *opcuaInstance
	turn     int // restarts, each of which moves the namespaces' indexes
}

// opcuaInstance is one run of the library's server, which cannot be restarted.
type opcuaInstance struct {
	owner  *opcuaServer
	server *server.Server
	cancel context.CancelFunc
	url    string
	nodes  map[string]*opcuaNode // by the text of the node id

	mu    sync.Mutex
	dirty map[string]*ua.NodeID // to be published
	seen  map[string]uint32     // revision published last
}

func (c opcuaConfig) server() *opcuaServer {
	host, port, _ := net.SplitHostPort(c.address)
	n, _ := strconv.Atoi(port)
	return &opcuaServer{opcuaConfig: c, front: front{host: host, port: n}}
}

func (s *opcuaServer) url() string {
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	return "opc.tcp://" + net.JoinHostPort(s.front.host, strconv.Itoa(s.front.port))
}

// open listens and starts the server behind.
func (s *opcuaServer) open() error {
	if err := s.front.open(); err != nil {
		return fmt.Errorf("listen for OPC UA: %w", err)
	}
	if err := s.start(); err != nil {
		s.front.close()
		return err
	}
	return nil
}

// start starts the library's server on any free port. It tells no port that it
// was given, so that a free one is found first; another process may snatch it,
// hence the few tries.
func (s *opcuaServer) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for try := 0; ; try++ {
		port, err := freePort("127.0.0.1", 0)
		if err == nil {
			err = s.launch(port)
		}
		if err == nil {
			s.front.mu.Lock()
			s.front.backend = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
			s.front.mu.Unlock()
			return nil
		}
		if try == 9 || !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("start the OPC UA server: %w", err)
		}
	}
}

func (s *opcuaServer) launch(port int) error {
	s.front.mu.Lock()
	frontPort := s.front.port
	s.front.mu.Unlock()
	srv := server.New(
		server.EndPoint("127.0.0.1", port), // where it listens
		server.EndPoint(s.front.host, frontPort),
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
	i := &opcuaInstance{owner: s, server: srv, url: s.url(), nodes: map[string]*opcuaNode{}, dirty: map[string]*ua.NodeID{}, seen: map[string]uint32{}}
	i.build(s.turn)
	srv.RegisterHandler(id.ReadRequest_Encoding_DefaultBinary, i.read)
	srv.RegisterHandler(id.CreateSubscriptionRequest_Encoding_DefaultBinary, i.subscribe)
	srv.RegisterHandler(id.CreateMonitoredItemsRequest_Encoding_DefaultBinary, i.monitor)
	srv.RegisterHandler(id.GetEndpointsRequest_Encoding_DefaultBinary, i.endpoints)
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
			s.close()
			return nil
		case now := <-tick.C:
			s.mu.Lock()
			i := s.instance
			s.mu.Unlock()
			if i == nil || s.front.frozen() {
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

// close ends the server and all connections.
func (s *opcuaServer) close() {
	s.front.thaw()
	s.front.close()
	s.end()
	s.front.working.Wait()
}

// end ends the running instance. Connections go first and the context last,
// because the library's connections need its loop to let go; subscriptions
// would otherwise wait for their lifetime.
func (s *opcuaServer) end() {
	s.mu.Lock()
	i := s.instance
	s.instance = nil
	s.mu.Unlock()
	if i == nil {
		return
	}
	s.front.cut()
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

// stall freezes the server with its connections open, or refuses them.
func (s *opcuaServer) stall(mode string) error {
	if mode == Refuse {
		s.front.thaw()
		s.front.close()
		return nil
	}
	s.front.freeze()
	return nil
}

// resume undoes stall.
func (s *opcuaServer) resume() error {
	s.front.thaw()
	return s.front.open()
}

// restart ends the server and starts it again with its namespaces at other
// indexes, as a download to a controller may leave it.
func (s *opcuaServer) restart() error {
	s.front.thaw()
	s.front.close()
	s.end()
	s.mu.Lock()
	s.turn++
	s.mu.Unlock()
	if err := s.start(); err != nil {
		return err
	}
	return s.front.open()
}

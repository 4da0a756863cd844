package bench_test

import (
	"io"
	"net"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"time"

	"quilt-rotate/internal/settings"
)

// behindNetwork puts both services behind TLS and a network with this round-trip time. It returns
// the variables that a function needs to use them.
func (w *workbench) behindNetwork(roundTrip time.Duration) (environment map[string]string) {
	w.Helper()
	environment, w.overNetwork = w.behindTLS(), true
	for name, service := range map[string]string{"AWS_ENDPOINT_URL": secretsManager,
		settings.EnvRegistryURL: registry} {
		front, err := url.Parse(environment[name])
		if err != nil {
			w.Fatal(err)
		}
		front.Host = newDelayProxy(w.B, front.Host, roundTrip, func() { w.connected(service) })
		environment[name] = front.String()
	}
	return environment
}

// A delayProxy is a TCP proxy that delays all bytes like a network.
type delayProxy struct {
	net.Listener
	target    string
	roundTrip time.Duration
	connected func()

	mu    sync.Mutex
	conns []net.Conn
}

// newDelayProxy starts a proxy to the target and returns its address. It calls connected for each
// connection.
func newDelayProxy(b *testing.B, target string, roundTrip time.Duration, connected func()) (address string) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	d := &delayProxy{Listener: listener, target: target, roundTrip: roundTrip, connected: connected}
	b.Cleanup(d.end)
	go d.serve()
	return listener.Addr().String()
}

func (d *delayProxy) serve() {
	for {
		client, err := d.Accept()
		if err != nil {
			return // the listener is closed
		}
		d.connected()
		server, err := net.Dial("tcp", d.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		d.keep(client, server)
		// The first bytes also wait for the round trip of the TCP handshake, which takes no time on
		// loopback.
		go forward(server, client, d.roundTrip, d.roundTrip/2)
		go forward(client, server, 0, d.roundTrip/2)
	}
}

func (d *delayProxy) keep(conns ...net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, conns...)
}

func (d *delayProxy) end() {
	_ = d.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range d.conns {
		_ = conn.Close()
	}
}

// A packet has bytes and the time at which they arrive.
type packet struct {
	due   time.Time
	bytes []byte
}

// forward forwards the bytes of one direction in order, each with the delay oneWay. The first bytes
// have the additional delay dial.
func forward(to io.WriteCloser, from io.Reader, dial, oneWay time.Duration) {
	packets := make(chan packet, 1024)
	go deliver(to, packets)
	defer close(packets)
	var last time.Time
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		due := time.Now().Add(dial + oneWay)
		if due.Before(last) {
			due = last
		}
		last, dial = due, 0
		packets <- packet{due, buffer[:n]}
		if err != nil {
			return
		}
	}
}

// deliver writes the packets when they are due, and then closes the connection. It does so even if
// the other direction is open, because HTTP does not use half-closed connections.
func deliver(to io.WriteCloser, packets <-chan packet) {
	for p := range packets {
		waitUntil(p.due)
		_, _ = to.Write(p.bytes) // fails if the receiver has closed the connection
	}
	_ = to.Close()
}

// waitUntil waits until a time. A sleep alone ends about a quarter of a millisecond late, which
// would be added to the time of the function.
func waitUntil(due time.Time) {
	time.Sleep(time.Until(due) - time.Millisecond)
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}

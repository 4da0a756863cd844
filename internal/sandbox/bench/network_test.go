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

// behindNetwork puts both services behind TLS and that far away, and returns the variables by which
// a function finds and trusts them.
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

// A distance is a network on loopback that takes its time: a proxy for TCP that forwards all bytes
// as late as they would arrive.
type delayProxy struct {
	net.Listener
	target    string
	roundTrip time.Duration
	connected func()

	mu    sync.Mutex
	conns []net.Conn
}

// newDistance returns the address at which the target is that far away. connected is told of each
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
			return // ended
		}
		d.connected()
		server, err := net.Dial("tcp", d.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		d.keep(client, server)
		// loopback's own handshake takes no time, so the first bytes wait for it here
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

// A parcel is bytes on their way.
type packet struct {
	due   time.Time
	bytes []byte
}

// forward takes the bytes of one direction to their end in order, each after its way. The first
// ones start later by the time of the dial.
func forward(to io.WriteCloser, from io.Reader, dial, way time.Duration) {
	packets := make(chan packet, 1024)
	go deliver(to, packets)
	defer close(packets)
	var last time.Time
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		due := time.Now().Add(dial + way)
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

// deliver ends the connection behind the last parcel, also where its other direction is open: HTTP
// needs no half of one.
func deliver(to io.WriteCloser, packets <-chan packet) {
	for p := range packets {
		waitUntil(p.due)
		_, _ = to.Write(p.bytes) // who does not listen any more is not told
	}
	_ = to.Close()
}

// waitUntil wakes in time: a sleep alone ends a quarter of a millisecond late, which with two for
// each request would count as the function's.
func waitUntil(due time.Time) {
	time.Sleep(time.Until(due) - time.Millisecond)
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}

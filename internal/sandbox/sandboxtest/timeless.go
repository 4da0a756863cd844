package sandboxtest

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quilt-rotate/internal/sandbox"
)

// Timeless runs a test with a rig in a bubble of testing/synctest, where time passes only while
// everybody waits. Waits and limits have the lengths that they have on AWS, take no time, and do
// not depend on how busy the machine is. What a service says about dates begins at the bubble's
// first day.
func Timeless(t *testing.T, test func(t *testing.T, r *Rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := &network{listeners: map[string]*listener{}}
		test(t, newRig(t, sandbox.Options{RotationTries: 1, RetryDelay: time.Millisecond, Listen: network.listen},
			network.dial))
	})
}

// A network is one in memory. A bubble's time does not pass while anybody waits for a socket,
// because the answer could come from outside.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener // by address
}

func (n *network) listen(int) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{
		address:   net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: len(n.listeners) + 1},
		incoming:  make(chan net.Conn),
		closed:    make(chan struct{}),
		closeOnce: sync.Once{},
	}
	n.listeners[l.address.String()] = l
	return l, nil
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l, ok := n.listeners[address]
	n.mu.Unlock()
	if !ok {
		return nil, &net.AddrError{Err: "nobody listens", Addr: address}
	}
	ours, theirs := net.Pipe()
	select {
	case l.incoming <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	address   net.TCPAddr
	incoming  chan net.Conn
	closed    chan struct{}
	closeOnce sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case connection := <-l.incoming:
		return connection, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.closeOnce.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &l.address }

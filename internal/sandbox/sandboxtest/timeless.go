package sandboxtest

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quilt-rotate/internal/sandbox"
)

// Timeless runs a test with a rig in a bubble of testing/synctest, where time passes only while all
// goroutines wait. Waits and limits have the lengths that they have on AWS, take no time, and do
// not depend on how busy the machine is. The dates of the services begin at the bubble's first day.
func Timeless(t *testing.T, test func(t *testing.T, r *Rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, start(t, sandbox.Options{RotationTries: 1, RetryDelay: time.Millisecond,
			Listen: (&addresses{}).listen}))
	})
}

// addresses gives each service of a sandbox an address without a socket. The time of a bubble does
// not pass while a goroutine waits for a socket, and the requests of a rig need none
// ([sandbox.Sandbox.RoundTrip]).
type addresses struct{ used int }

func (a *addresses) listen(int) (net.Listener, error) {
	a.used++
	return &address{port: a.used, closed: make(chan struct{})}, nil
}

// address is a listener that accepts no connection.
type address struct {
	port   int
	close  sync.Once
	closed chan struct{}
}

func (a *address) Accept() (net.Conn, error) {
	<-a.closed
	return nil, net.ErrClosed
}

func (a *address) Close() error {
	a.close.Do(func() { close(a.closed) })
	return nil
}

func (a *address) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: a.port} }

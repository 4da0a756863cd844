package awslambda_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/awslambda"
)

func TestKilledHostTakesItsProcessesAlong(t *testing.T) {
	// Protects the machine when a test run or the demo is killed: a function must not go on without
	// its host.
	if url := os.Getenv("TEST_HOST_TO_KILL"); url != "" {
		host := newHost(t, awslambda.Options{})
		add(t, host, awslambda.Config{Name: "rotate", Bootstrap: os.Getenv("TEST_BOOTSTRAP"), Timeout: time.Minute})
		_, _, _ = host.Invoke(context.Background(), "rotate", event{Do: "meet", Value: url}.payload(t))
		return
	}
	g := newGate(t)
	victim := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	victim.Env = append(os.Environ(), "TEST_HOST_TO_KILL="+g.url, "TEST_BOOTSTRAP="+bootstrap, "TMPDIR="+t.TempDir())
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Wait() }()
	receive(t, g.met, "the function of the host that will be killed")
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	receive(t, g.left, "the function's process is killed with its host")
}

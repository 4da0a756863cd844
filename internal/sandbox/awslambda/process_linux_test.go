package awslambda_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox/awslambda"
)

func TestProcessesEndWhenTheHostIsKilled(t *testing.T) {
	// If a test run or the demo is killed, no function may continue.
	if url := os.Getenv("TEST_HOST_TO_KILL"); url != "" {
		host := newHost(t, awslambda.Options{})
		add(t, host, awslambda.Config{Name: "rotate", Bootstrap: os.Getenv("TEST_BOOTSTRAP"), Timeout: time.Minute})
		_, _, _ = host.Invoke(context.Background(), "rotate", event{Do: "wait", Value: url}.payload(t))
		return
	}
	g := newGate(t)
	host := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	host.Env = append(os.Environ(), "TEST_HOST_TO_KILL="+g.url, "TEST_BOOTSTRAP="+bootstrap, "TMPDIR="+t.TempDir())
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Wait() }()
	receive(t, g.arrived, "the function of the host")
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	receive(t, g.left, "the end of the function's process")
}

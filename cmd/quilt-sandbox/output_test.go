package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"quilt-rotate/internal/terminal/commandline"
)

func TestFullOutputIsAFailure(t *testing.T) {
	// If the output is a file on a full disk, the command must fail.
	for _, args := range [][]string{
		{"demo", "--functions", folder}, {"serve", "--functions", folder}, {"invoke", "--functions", folder,
			"../../events/set-secret.json"}, {"version"},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("SKIPPED: an output that cannot be written: /dev/full is not installed")
		}
		defer full.Close()
		var stderr bytes.Buffer
		status := program().Execute(t.Context(), args, strings.NewReader(""), full, &stderr)
		said := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		last := said[len(said)-1]
		if status != commandline.Failure || !strings.HasPrefix(last, "quilt-sandbox: ") ||
			!strings.Contains(last, "no space left") {
			t.Errorf("%v: exit status %d, and %q", args, status, last)
		}
	}
	noProcessIsLeft(t)
}

func TestPortInUseHasAHint(t *testing.T) {
	// The error names the port, and the hint says how to choose another.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	for _, flag := range []string{"--aws-port", "--registry-port"} {
		status, _, stderr := inProcess(t.Context(), "serve", "--functions", folder, flag, port)
		if status != commandline.Failure || !strings.Contains(stderr, port) || !strings.Contains(stderr,
			"choose another port with --aws-port or --registry-port") {
			t.Errorf("%s: exit status %d, and %s", flag, status, stderr)
		}
	}
}

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

func TestCommandFailsIfTheOutputCannotBeWritten(t *testing.T) {
	// For example, the output is a file on a full disk.
	for _, args := range [][]string{
		{"demo", "--functions", folder}, {"serve", "--functions", folder},
		{"invoke", "--functions", folder, "../../events/set-secret.json"}, {"version"},
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("SKIPPED: an output that cannot be written: /dev/full is not installed")
		}
		defer full.Close()
		var stderr bytes.Buffer
		status := program().Execute(t.Context(), args, strings.NewReader(""), full, &stderr)
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		last := lines[len(lines)-1]
		if status != commandline.Failure || !strings.HasPrefix(last, "quilt-sandbox: ") ||
			!strings.Contains(last, "no space left") {
			t.Errorf("%v: got the exit status %d and the error %q", args, status, last)
		}
	}
	checkNoProcess(t)
}

func TestPortInUseHasAHint(t *testing.T) {
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
			t.Errorf("%s: got the exit status %d and the error %s", flag, status, stderr)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/hermetic"
)

// folder holds the built functions.
var folder string

// TestMain builds the functions, and puts this command on the scripts' path.
func TestMain(m *testing.M) {
	testscript.Main(withFunctions{m}, map[string]func(){"quilt-rotate": asCommand})
}

// hang is how long a command of a script may take. It is longer than any wait of the command, so it
// only ends a command that hangs.
const hang = 5 * time.Minute

// asCommand runs main with a time limit. If a script sets NOTICED, the command creates that file
// when it has received an interrupt. A process continues for a moment after a signal was sent, so a
// script cannot detect this in another way.
func asCommand() {
	time.AfterFunc(hang, func() { panic("the command did not end within " + hang.String()) })
	marker := os.Getenv("NOTICED")
	if marker == "" {
		main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, func() { _ = os.WriteFile(marker, nil, 0o600) })
	status := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

type withFunctions struct{ m *testing.M }

func (w withFunctions) Run() int {
	// Started with nohup, this process ignores SIGHUP, and so would each command of a script. A
	// signal that is caught here has its default effect there.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	hermetic.Clear()
	var err error
	if folder, err = os.MkdirTemp("", "quilt-rotate-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	if _, err := scene.Build(context.Background(), folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return w.m.Run()
}

// inProcess runs the command in this process.
func inProcess(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = execute(ctx, args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

// execute runs a command inside this process.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return program().Execute(ctx, args, stdin, stdout, stderr)
}

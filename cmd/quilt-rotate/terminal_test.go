package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// atTerminal is the command "at-terminal STATUS ANSWER COMMAND [ARG...]". It runs the command at a
// terminal of 80 columns, types the answer at the first question, and expects the exit status. The
// standard output is what the terminal shows.
func atTerminal(ts *testscript.TestScript, _ bool, args []string) {
	status, answer, command := args[0], args[1], args[2:]
	path := ts.Getenv("PATH")
	c := exec.Command("/bin/sh", append([]string{"-c", `exec "$0" "$@"`}, command...)...)
	c.Env = append(variables(ts), "PATH="+path, "TERM=dumb")
	terminal, err := pty.StartWithSize(c, &pty.Winsize{Rows: 50, Cols: 80})
	if err != nil {
		ts.Fatalf("start at a terminal: %v", err)
	}
	defer terminal.Close()
	var screen bytes.Buffer
	buffer, answered := make([]byte, 4096), false
	for {
		n, err := terminal.Read(buffer)
		screen.Write(buffer[:n])
		if !answered && (strings.Contains(screen.String(), "to go on:") || strings.Contains(screen.String(),
			"(not shown):") || strings.Contains(screen.String(), "MFA code of")) {
			answered = true
			if _, err := terminal.WriteString(answer + "\n"); err != nil {
				ts.Fatalf("type: %v", err)
			}
		}
		if err != nil { // the other end is closed
			break
		}
	}
	fmt.Fprint(ts.Stdout(), strings.ReplaceAll(screen.String(), "\r\n", "\n"))
	got := 0
	if ended, ok := errors.AsType[*exec.ExitError](c.Wait()); ok {
		got = ended.ExitCode()
	}
	if fmt.Sprint(got) != status {
		ts.Fatalf("exit status %d, want %s", got, status)
	}
}

// variables returns the environment variables that the script's sandbox sets.
func variables(ts *testscript.TestScript) []string {
	var list []string
	for _, name := range append([]string{"HOME", "AWS_ENDPOINT_URL_ATHENA", "AWS_ENDPOINT_URL_STS"}, awsVariables...) {
		if value := ts.Getenv(name); value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

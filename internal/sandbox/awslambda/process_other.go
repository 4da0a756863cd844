//go:build !linux

package awslambda

import (
	"os/exec"
	"syscall"
)

// isolate gives the command its own process group. Only Linux has a parent-death signal, so the
// command continues if this process crashes.
func isolate(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

func startIsolated(command *exec.Cmd) error { return command.Start() }

// peakMemory returns 0, because only Linux has /proc.
func peakMemory(int) int { return 0 }

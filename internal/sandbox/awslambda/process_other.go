//go:build !linux

package awslambda

import (
	"os/exec"
	"syscall"
)

// isolate puts the command in a process group of its own. Without Linux's parent-death signal a
// crash of this process leaves it running.
func isolate(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

func startIsolated(command *exec.Cmd) error { return command.Start() }

// peakMemory is 0: only Linux has /proc.
func peakMemory(int) int { return 0 }

package awslambda

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// isolate gives the command its own process group. The kernel kills the command when this process
// ends.
func isolate(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

var (
	startThread sync.Once
	starts      = make(chan func())
)

// startIsolated starts the command from a thread that never ends. The kernel sends the parent-death
// signal when the thread that started the child ends (prctl(2), PR_SET_PDEATHSIG), and Go can end
// any other thread.
func startIsolated(command *exec.Cmd) error {
	startThread.Do(func() {
		go func() {
			runtime.LockOSThread()
			for start := range starts {
				start()
			}
		}()
	})
	result := make(chan error)
	starts <- func() { result <- command.Start() }
	return <-result
}

// peakMemory returns the maximum resident memory of a running process in bytes, or 0 if it is not
// known.
func peakMemory(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	number, _, _ := bytes.Cut(bytes.TrimSpace(after), []byte(" kB"))
	kilobytes, err := strconv.Atoi(string(number))
	if err != nil {
		return 0
	}
	return kilobytes << 10
}

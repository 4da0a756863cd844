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

// isolate puts the command in a process group of its own, and has the kernel kill it when this
// process dies.
func isolate(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

var (
	startThread sync.Once
	starts      = make(chan func())
)

// startIsolated starts the command from a thread that never ends: the kernel sends the parent-death
// signal when the *thread* that started the child ends (prctl(2), PR_SET_PDEATHSIG), and Go may end
// any other.
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

// peakMemory is the most memory that a living process had resident, in bytes; 0 when that cannot be
// told.
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

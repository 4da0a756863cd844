package awslambda

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// An executable is a bootstrap file with the command that runs it on this machine.
type executable struct {
	path         string   // absolute
	command      []string // the path, after an emulator if the machine needs one
	architecture string   // in the service's terms: arm64 or x86_64
	size         int64
	sum          string // SHA-256, in base64
}

// architectures are the architectures of Lambda, by their number in an ELF file.
var architectures = map[elf.Machine]struct{ goarch, lambda, emulator string }{
	elf.EM_X86_64:  {"amd64", "x86_64", "qemu-x86_64"},
	elf.EM_AARCH64: {"arm64", "arm64", "qemu-aarch64"},
}

func findExecutable(path string) (executable, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return executable{}, fmt.Errorf("find bootstrap: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return executable{}, fmt.Errorf("find bootstrap: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return executable{}, fmt.Errorf("find bootstrap: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return executable{}, fmt.Errorf("find bootstrap: %s is not an executable file: build it, or set its mode to "+
			"0755", path)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return executable{}, fmt.Errorf("read bootstrap %s: %w", path, err)
	}
	e := executable{path: path, command: []string{path}, size: info.Size(),
		sum: base64.StdEncoding.EncodeToString(sum.Sum(nil))}
	return e.emulated(file)
}

// emulated adds an emulator to the command if the program is built for another processor. A file
// that is not an ELF file, such as a script, runs without an emulator.
func (e executable) emulated(file *os.File) (executable, error) {
	e.architecture = hostArchitecture()
	program, err := elf.NewFile(file)
	if err != nil {
		return e, nil
	}
	built, known := architectures[program.Machine]
	switch {
	case !known:
		return e, fmt.Errorf("run bootstrap %s: it is built for %s, which Lambda does not have: build it for arm64 "+
			"or amd64", e.path, program.Machine)
	case runtime.GOOS != "linux":
		return e, fmt.Errorf("run bootstrap %s: it is built for linux and this machine is %s: build it with GOOS=%[2]s",
			e.path, runtime.GOOS)
	}
	e.architecture = built.lambda
	if built.goarch == runtime.GOARCH {
		return e, nil
	}
	for _, emulator := range []string{built.emulator, built.emulator + "-static"} {
		if emulator, err := exec.LookPath(emulator); err == nil {
			e.command = []string{emulator, e.path}
			return e, nil
		}
	}
	return e, fmt.Errorf("run bootstrap %s: it is built for %s, this machine is %s, and %s is not installed: install "+
		"qemu-user, or build it with GOARCH=%[3]s", e.path, built.goarch, runtime.GOARCH, built.emulator)
}

func hostArchitecture() string {
	for _, a := range architectures {
		if a.goarch == runtime.GOARCH {
			return a.lambda
		}
	}
	return runtime.GOARCH
}

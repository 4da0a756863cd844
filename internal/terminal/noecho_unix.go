//go:build unix

package terminal

import (
	"errors"
	"io"
	"syscall"

	"github.com/charmbracelet/x/term"
)

// readNoEcho reads a line without an echo. It fails with io.EOF if Ctrl-D is pressed on an empty
// line, which [term.ReadPassword] ignores.
func readNoEcho(fd uintptr, state *term.State) (string, error) {
	silent := *state
	silent.Lflag &^= syscall.ECHO
	silent.Lflag |= syscall.ICANON | syscall.ISIG
	silent.Iflag |= syscall.ICRNL
	if err := term.SetState(fd, &silent); err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, state) }()
	var line []byte
	for char := make([]byte, 1); ; {
		n, err := syscall.Read(int(fd), char)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return "", err
		case n == 0 && len(line) == 0:
			return "", io.EOF
		case n == 0 || char[0] == '\n':
			return string(line), nil
		}
		line = append(line, char[0])
	}
}

//go:build !unix

package terminal

import "github.com/charmbracelet/x/term"

func readNoEcho(fd uintptr, _ *term.State) (string, error) {
	text, err := term.ReadPassword(fd)
	return string(text), err
}

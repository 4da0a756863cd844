//go:build unix

package main

import (
	"os"

	"github.com/charmbracelet/x/termios"
	"golang.org/x/sys/unix"
)

// echoes reports whether the terminal shows what is typed.
func echoes(terminal *os.File) bool {
	settings, err := termios.GetTermios(int(terminal.Fd()))
	return err == nil && settings.Lflag&unix.ECHO != 0
}

package main

import (
	"errors"
	"fmt"
	"runtime/debug"

	"quilt-rotate/internal/terminal"
)

type versionCommand struct{}

// Run prints the version, in which the go command puts the revision where git tells it.
func (versionCommand) Run(c *terminal.Console) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without its version")
	}
	_, err := fmt.Fprintf(c.Out, "quilt-rotate %s, %s\n", info.Main.Version, info.GoVersion)
	return err
}

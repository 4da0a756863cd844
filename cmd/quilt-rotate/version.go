package main

import (
	"errors"
	"fmt"
	"runtime/debug"
)

type versionCommand struct{}

// Run prints the version, in which the go command puts the revision where git tells it.
func (versionCommand) Run(c console) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without its version")
	}
	_, err := fmt.Fprintf(c.out, "quilt-rotate %s, %s\n", info.Main.Version, info.GoVersion)
	return err
}

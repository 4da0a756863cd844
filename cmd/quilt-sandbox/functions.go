package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/terminal"
)

// functionsOption is the folder of the built functions.
type functionsOption struct {
	Functions string `placeholder:"DIR" help:"Folder with the built functions, rotate/bootstrap and revoke/bootstrap. Default: the folder of this program."`
}

func (o functionsOption) find() (scene.Functions, error) {
	folder := o.Functions
	if folder == "" {
		program, err := os.Executable()
		if err != nil {
			return scene.Functions{}, fmt.Errorf("find the folder of this program: %w", err)
		}
		folder = filepath.Dir(program)
	}
	functions := scene.In(folder)
	if missing := functions.Missing(); len(missing) > 0 {
		return scene.Functions{}, terminal.WithHint(
			fmt.Errorf("the functions are not built: %s not found", strings.Join(missing, " and ")),
			"run `make build`, or set their folder with --functions")
	}
	return functions, nil
}

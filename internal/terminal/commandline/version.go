package commandline

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"quilt-rotate/internal/terminal"
)

// Version is the command that prints the version.
type Version struct{}

// Run prints the program's version. The go command records it in the program, with the revision if
// git is available.
func (Version) Run(parsed *kong.Context, c *terminal.Console) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without version information")
	}
	_, err := fmt.Fprintf(c.Out, "%s %s, %s\n", parsed.Model.Name, info.Main.Version, info.GoVersion)
	return err
}

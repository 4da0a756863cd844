package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/charmbracelet/x/ansi"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/doctor"
	"quilt-rotate/internal/commandline"
	"quilt-rotate/internal/terminal"
)

type doctorCommand struct {
	Secrets []secretID `arg:"" optional:"" name:"secret" help:"Names or ARNs of secrets. Default: all managed secrets."`
	NoProbe bool       `help:"Create no probe key. Nothing is written then, but whether keys may manage keys is not checked."`
	jsonOption
	registryOptions
	sweeperOption
}

// Help says what the short help does not.
func (doctorCommand) Help() string {
	return `One line for each check: ✓ is OK, ! is a warning, ✗ is a failure with its fix below, ~ was skipped, with the reason.

Nothing is changed. For each secret in turn, one probe key is created, which expires after a day, and revoked within seconds. It shows whether the current key may
create, list and revoke keys, as rotations need it. After a Ctrl-C the probe key is still revoked; after a crash, the next sweep revokes it.

With --json: an array [{subject, check, status (ok, warning, failed or skipped), detail, fix}].

Exit status: 1 if any check failed.`
}

// checkOf is a check in JSON, with what it is of.
type checkOf struct {
	Subject string `json:"subject"`
	doctor.Result
}

func (o *doctorCommand) Run(ctx context.Context, c *terminal.Console) error {
	options, err := o.options()
	if err != nil {
		return err
	}
	aws, err := awsclient.Open(ctx, c)
	if err != nil {
		return err
	}
	progress := c.Progress(o.JSON)
	closeProgress := sync.OnceFunc(progress.Close)
	defer closeProgress()
	progress.Doing("checking the account")
	options.Progress = reading(progress)
	width := defaultDetail
	if c.Watched() && !o.JSON {
		width = c.Width() - detailColumn - 1
	}
	list, wrong := []checkOf{}, false
	err = doctor.Run(ctx, aws, options, func(g doctor.Group) {
		for _, r := range g.Results {
			wrong = wrong || r.Status == doctor.Failed
			list = append(list, checkOf{g.Subject, r})
		}
		if !o.JSON {
			progress.Say(groupLines(g, width)...)
		}
	})
	closeProgress()
	if err != nil {
		return err
	}
	if o.JSON {
		err = c.JSON(list)
	} else {
		_, err = fmt.Fprintln(c.Out, conclusion(list))
	}
	if err == nil && wrong {
		err = commandline.ErrReported
	}
	return err
}

func (o *doctorCommand) options() (doctor.Options, error) {
	client, err := o.client()
	if err != nil {
		return doctor.Options{}, err
	}
	options := doctor.Options{RevokeFunction: o.RevokeFunction, Registry: o.Registry, Catalog: o.Catalog, Client: client, NoProbe: o.NoProbe}
	for _, s := range o.Secrets {
		options.Secrets = append(options.Secrets, string(s))
	}
	return options, nil
}

// Where the details begin: after the mark and the check's name.
const (
	nameColumn    = 12
	detailColumn  = 4 + nameColumn + 1
	defaultDetail = 0 // in a pipe: each on one line
)

var marks = map[doctor.Status]terminal.Mark{doctor.OK: terminal.Done, doctor.Warning: terminal.Warned, doctor.Failed: terminal.Failed, doctor.Skipped: terminal.Noted}

// groupLines are the lines of one thing; the details are as wide as given, 0 for any width.
func groupLines(g doctor.Group, width int) []string {
	lines := []string{terminal.Strong.Render(g.Subject)}
	for rest := g.Results; len(rest) > 0; {
		if n := skippedAlike(rest); n >= manyAlike {
			names := make([]string, n)
			for i, r := range rest[:n] {
				names[i] = r.Check
			}
			lines = append(lines, checkLines(doctor.Result{Check: "skipped", Status: doctor.Skipped, Detail: rest[0].Detail + ": " + strings.Join(names, ", ")}, width)...)
			rest = rest[n:]
			continue
		}
		r := rest[0]
		if r.Status == doctor.Skipped {
			r.Detail = "skipped: " + r.Detail
		}
		lines = append(lines, checkLines(r, width)...)
		rest = rest[1:]
	}
	return append(lines, "")
}

// manyAlike is how many checks in a row, skipped for the same reason, become one line.
const manyAlike = 4

func skippedAlike(results []doctor.Result) int {
	n := 0
	for n < len(results) && results[n].Status == doctor.Skipped && results[n].Detail == results[0].Detail {
		n++
	}
	return n
}

func checkLines(r doctor.Result, width int) []string {
	var lines []string
	indent := strings.Repeat(" ", detailColumn)
	for i, line := range wrapped(r.Detail, width) {
		if r.Status == doctor.OK || r.Status == doctor.Skipped {
			line = terminal.Faint.Render(line)
		}
		if i == 0 {
			line = fmt.Sprintf("  %s %-*s %s", marks[r.Status], nameColumn, r.Check, line)
		} else {
			line = indent + line
		}
		lines = append(lines, line)
	}
	if r.Fix != "" {
		for _, line := range wrapped("→ "+r.Fix, width) {
			lines = append(lines, indent+line)
		}
	}
	return lines
}

func wrapped(text string, width int) []string {
	if width > 0 {
		text = ansi.Wrap(text, width, " ")
	}
	return strings.Split(text, "\n")
}

// conclusion is the last line.
func conclusion(list []checkOf) string {
	counts := map[doctor.Status]int{}
	for _, r := range list {
		counts[r.Status]++
	}
	mark, text := terminal.Done, fmt.Sprintf("%d OK", counts[doctor.OK])
	if n := counts[doctor.Warning]; n > 0 {
		mark, text = terminal.Warned, text+fmt.Sprintf(", %d warnings", n)
	}
	if n := counts[doctor.Failed]; n > 0 {
		mark, text = terminal.Failed, text+fmt.Sprintf(", %d failed", n)
	}
	if n := counts[doctor.Skipped]; n > 0 {
		text += fmt.Sprintf(", %d skipped", n)
	}
	return mark.String() + " " + text
}

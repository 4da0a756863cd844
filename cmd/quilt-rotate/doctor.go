package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/charmbracelet/x/ansi"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/doctor"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/terminal/commandline"
)

type doctorCommand struct {
	Secrets []secretID `arg:"" optional:"" name:"secret" help:"Names or ARNs of secrets. Default: all managed secrets."`
	NoProbe bool       `help:"Create no probe key. Then the command changes nothing, and does not check whether the key may manage keys."`
	jsonOption
	registryOptions
	sweeperOption
}

// Help describes the marks, the probe key and the output for programs.
func (doctorCommand) Help() string {
	return `Prints one line for each check. ✓ means OK, ! means a warning, ✗ means a failure, and ~ means that the check was
skipped. The fix is printed below a warning or a failure. A check that cannot run because another check failed is
counted as skipped and not shown.

The command changes no secret. For each secret, it creates one probe key, which expires after a day, and revokes it
within seconds. The probe key shows whether the current key may create, list and revoke keys, which rotations need.
After Ctrl-C, the probe key is still revoked. If the command crashes, the next sweep revokes the probe key.

  quilt-rotate doctor
  quilt-rotate doctor prod/pipeline

With --json: an array [{subject, check, status (ok, warning, failed or skipped), detail, fix}].

Exit status 1: at least one check failed.`
}

// checkOf is a check in JSON, with the name of its group.
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
	width := 0 // in a pipe, each detail is on one line
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
			progress.Print(groupLines(g, width)...)
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
	options := doctor.Options{RevokeFunction: o.RevokeFunction, Registry: o.Registry, Catalog: o.Catalog,
		Client: client, NoProbe: o.NoProbe}
	for _, s := range o.Secrets {
		options.Secrets = append(options.Secrets, string(s))
	}
	return options, nil
}

// detailColumn is where the details begin: after the mark and the name of the check.
const detailColumn = 4 + nameColumn + 1

const nameColumn = 12

var marks = map[doctor.Status]terminal.Mark{doctor.OK: terminal.Done, doctor.Warning: terminal.Warned,
	doctor.Failed: terminal.Failed, doctor.Skipped: terminal.Noted}

// groupLines returns the lines of one group, without the checks that were skipped because another
// check failed. Details are wrapped at the width. 0 means no wrapping.
func groupLines(g doctor.Group, width int) []string {
	lines := []string{terminal.Strong.Render(g.Subject)}
	indent := strings.Repeat(" ", detailColumn)
	for _, r := range g.Results {
		detail := wrapped(r.Detail, width)
		switch {
		case r.Status == doctor.Skipped && strings.HasPrefix(r.Detail, doctor.See):
			continue
		case r.Status == doctor.Skipped:
			detail = wrapped("skipped: "+r.Detail, width)
		}
		for i, line := range detail {
			if r.Status == doctor.OK || r.Status == doctor.Skipped {
				line = terminal.Faint.Render(line)
			}
			begin := indent
			if i == 0 {
				begin = fmt.Sprintf("  %s %-*s ", marks[r.Status], nameColumn, r.Check)
			}
			lines = append(lines, begin+line)
		}
		if r.Fix != "" {
			for _, line := range wrapped("→ "+r.Fix, width) {
				lines = append(lines, indent+line)
			}
		}
	}
	return append(lines, "")
}

func wrapped(text string, width int) []string {
	if width > 0 {
		text = ansi.Wrap(text, width, " ")
	}
	return strings.Split(text, "\n")
}

// conclusion returns the last line, which counts the checks of each status.
func conclusion(list []checkOf) string {
	counts := map[doctor.Status]int{}
	for _, r := range list {
		counts[r.Status]++
	}
	mark, text := doctor.OK, fmt.Sprintf("%d OK", counts[doctor.OK])
	for _, status := range []doctor.Status{doctor.Warning, doctor.Failed, doctor.Skipped} {
		if counts[status] > 0 {
			text += fmt.Sprintf(", %d %s", counts[status], status)
		}
		if counts[status] > 0 && status != doctor.Skipped {
			mark = status
		}
	}
	return marks[mark].String() + " " + text
}

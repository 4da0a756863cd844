package terminal

import (
	"fmt"
	"io"
	"os"
	"time"
)

// Progress shows the progress of a command: a permanent line for each completed step and, on a
// terminal, a line for the current step.
type Progress struct {
	live  *Live
	to    io.Writer // the end of the output
	doing string
	since time.Time
}

// Progress returns a Progress on standard output, or on standard error if the result is JSON. The
// caller must call [Progress.Close].
func (c *Console) Progress(resultIsJSON bool) *Progress {
	to, out := c.outTo, c.plainOut
	if resultIsJSON {
		to, out = c.errTo, c.rawErr
	}
	return newProgress(to, out, c.environ)
}

func newProgress(to, out io.Writer, environ []string) *Progress {
	p := &Progress{to: to}
	p.live = NewLive(to, out, environ, p.region)
	return p
}

func (p *Progress) region(frame int) []string {
	if p.doing == "" {
		return nil
	}
	seconds := int(time.Since(p.since).Seconds())
	return []string{fmt.Sprintf("  %s %s%s", Spinner(frame), p.doing, Faint.Render(fmt.Sprintf("  %d s", seconds)))}
}

// Doing sets the current step, until the next call of [Progress.Report].
func (p *Progress) Doing(what string) {
	p.live.Print(nil, func() { p.doing, p.since = Legible(what), time.Now() })
}

// Report prints a permanent line, and ends the current step.
func (p *Progress) Report(mark Mark, what, detail string) {
	p.live.Print(p.fit(Line(mark, what, detail)), func() { p.doing = "" })
}

// Print prints permanent lines, such as a heading or a table. The current step continues.
func (p *Progress) Print(lines ...string) {
	var all []string
	for _, line := range lines {
		all = append(all, p.fit(line)...)
	}
	p.live.Print(all, nil)
}

// fit breaks a line between words on a terminal.
func (p *Progress) fit(line string) []string {
	if !isTerminal(p.to) {
		return []string{line}
	}
	return Wrap(line, columns(p.to.(*os.File)))
}

// Close removes the line for the current step.
func (p *Progress) Close() { p.live.Close() }

package terminal

import (
	"fmt"
	"io"
	"os"
	"time"
)

// Progress shows work: lines that stay for what is done, and on a terminal a line below them for
// what is under way.
type Progress struct {
	live  *Live
	to    io.Writer // where it ends
	doing string
	since time.Time
}

// Progress starts to show work on standard output, or on standard error if the result is JSON. The
// caller closes it.
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

// Doing names what is under way, until the next line.
func (p *Progress) Doing(what string) {
	p.live.Print(nil, func() { p.doing, p.since = Legible(what), time.Now() })
}

// Tell prints a line that stays, and ends what was under way.
func (p *Progress) Tell(mark Mark, what, detail string) {
	p.live.Print(p.fit(Line(mark, what, detail)), func() { p.doing = "" })
}

// Say prints lines that stay, such as a heading or a table. What is under way continues.
func (p *Progress) Say(lines ...string) {
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

// Close ends the progress.
func (p *Progress) Close() { p.live.Close() }

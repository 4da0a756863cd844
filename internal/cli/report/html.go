package report

import (
	"bufio"
	_ "embed"
	"encoding/xml"
	"io"

	"quilt-rotate/internal/terminal"
)

//go:embed report.css
var style string

// WriteHTML writes the report as one page. It has no script, and its content security policy blocks
// all loading. Every text is escaped, and characters that change the direction of text are made
// visible.
func (r Report) WriteHTML(w io.Writer) error {
	p := page{bufio.NewWriter(w)}
	p.raw(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>Rotation of API keys</title>
<style>`, style, `</style>
</head>
<body>
<header>
<h1>Rotation of API keys</h1>
`)
	p.element("p", "", r.window())
	p.element("p", "quiet", r.Place.String())
	p.element("p", "", r.totals())
	p.raw("<h2>Sources</h2>\n<dl>\n")
	for _, m := range Meanings {
		p.element("dt", "", string(m.Source))
		p.element("dd", "", m.Meaning)
	}
	p.raw("</dl>\n")
	p.list("Not seen", "unseen", r.Unseen)
	p.raw("</header>\n<main>\n")
	for _, s := range r.Secrets {
		p.secret(s)
	}
	p.raw("</main>\n</body>\n</html>\n")
	return p.Flush()
}

// A page writes HTML. Only raw writes a text without escaping it.
type page struct{ *bufio.Writer }

func (p page) raw(parts ...string) {
	for _, part := range parts {
		_, _ = p.WriteString(part) // the writer keeps its first error; Flush returns it
	}
}

// text writes an escaped text. The escapes of XML are also those of HTML, and package html would
// add its table of 2,000 entities to the program.
func (p page) text(s string) { _ = xml.EscapeText(p.Writer, []byte(terminal.Legible(s))) }

func (p page) element(name, class, text string) {
	p.raw("<", name)
	if class != "" {
		p.raw(` class="`, class, `"`)
	}
	p.raw(">")
	p.text(text)
	p.raw("</", name, ">\n")
}

func (p page) list(title, class string, texts []string) {
	if len(texts) == 0 {
		return
	}
	p.element("h3", "", title)
	p.raw(`<ul class="`, class, "\">\n")
	for _, text := range texts {
		p.element("li", "", text)
	}
	p.raw("</ul>\n")
}

func (p page) table(headers []string, rows [][]string, class func(row int) string) {
	p.raw("<table>\n<thead><tr>\n")
	for _, h := range headers {
		p.raw(`<th scope="col">`)
		p.text(h)
		p.raw("</th>\n")
	}
	p.raw("</tr></thead>\n<tbody>\n")
	for i, row := range rows {
		p.raw(`<tr class="`, class(i), "\">\n")
		for _, cell := range row {
			p.element("td", "", cell)
		}
		p.raw("</tr>\n")
	}
	p.raw("</tbody>\n</table>\n")
}

func (p page) secret(s Secret) {
	p.raw("<section>\n")
	p.element("h2", "", s.Secret)
	if s.Error != "" {
		p.element("p", "gap", s.Error)
		p.raw("</section>\n")
		return
	}
	p.element("p", "quiet", s.ARN)
	p.element("p", "", s.policy())
	if len(s.Rotations) == 0 {
		p.element("p", "", "No rotation was seen.")
	} else {
		var rows [][]string
		for _, r := range s.Rotations {
			by := r.CreatedBy
			if by == "" {
				by = "not known"
			}
			rows = append(rows, []string{clock(r.Time), r.what(), keyName(r.Fingerprint, r.KeyID, r.VersionID), by,
				r.Replaced.name(), r.Replaced.age(), r.Replaced.end(), r.Replaced.refused(), r.sources()})
		}
		p.table([]string{"date", "what", "new key", "created by", "replaced key", "its age", "revoked", "refused",
			"sources"}, rows, func(i int) string {
			if q := s.Rotations[i].Replaced; q != nil && q.End.State == NotSeen {
				return "unseen"
			}
			return string(s.Rotations[i].Kind)
		})
	}
	p.deviations(s)
	p.list("Not seen", "unseen", s.Unseen)
	p.raw("</section>\n")
}

// deviations writes the gaps and the exceptions.
func (p page) deviations(s Secret) {
	var rows [][]string
	for _, g := range s.Gaps {
		to := "now"
		if g.To != nil {
			to = clock(*g.To)
		}
		rows = append(rows, []string{clock(g.From), to, "gap", g.what(), "", join(g.Sources)})
	}
	for _, e := range s.Exceptions {
		to := ""
		if e.To != nil {
			to = clock(*e.To)
		}
		rows = append(rows, []string{clock(e.From), to, e.Kind, e.what(), e.Reason, join(e.Sources)})
	}
	if len(rows) == 0 {
		p.element("p", "", "No gap and no exception was seen.")
		return
	}
	p.element("h3", "", "Gaps and exceptions")
	p.table([]string{"from", "to", "kind", "what", "reason", "sources"}, rows, func(i int) string {
		if i < len(s.Gaps) {
			return "gap"
		}
		return "exception"
	})
}

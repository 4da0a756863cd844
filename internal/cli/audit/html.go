package audit

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"quilt-rotate/internal/terminal"
)

var (
	//go:embed report.html.tmpl
	pageSource string
	//go:embed report.css
	styleSource string
	//go:embed report.js
	scriptSource string
)

var pageTemplate = template.Must(template.New("report").Parse(pageSource))

// policy lets the page use its own style and script, known by their hashes, and the picture of its tab; it can reach nothing else.
var policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none'; form-action 'none'",
	hash(styleSource), hash(scriptSource))

func hash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// WriteHTML writes the report as one page that asks for nothing else, shows everything without its script, and is made for a
// screen, a phone and paper.
func (r Report) WriteHTML(w io.Writer) error {
	out := bufio.NewWriter(w)
	if err := pageTemplate.Execute(out, r.page()); err != nil {
		return err
	}
	return out.Flush()
}

// page is what the template shows: texts as they are to be read. The template escapes them.
type page struct {
	Policy  string
	Style   template.CSS
	Script  template.JS
	Title   string
	AskedBy string
	Scope   string
	At      time.Time
	Counts  []string
	Notes   []string
	Tiles   []tile
	Charts  []chart
	Top     []OwnerTotal
	More    []OwnerTotal
	Status  []string
	Columns []column
	Count   string
	Groups  [][]row // a browser leaves out those that nobody looks at
	Many    bool    // whether that is worth it
}

type tile struct {
	Finding Finding
	Keys    string
	Means   string
	Class   string
	None    bool
}

// A column's key tells the script how to order it.
type column struct{ Name, By string }

type row struct {
	Name, Fingerprint, ID, Owner, Status, Secret string
	Created, Expires, Used                       date
	Findings                                     []Finding
	FindingWords                                 string
	Rank                                         int // of the order in the report
}

type date struct{ Machine, Day, Words string }

var columns = []column{
	{"Name", "text"}, {"Owner", "text"}, {"Status", "text"}, {"Created", "time"}, {"Expires", "time"}, {"Last used", "time"}, {"Held by", "text"}, {"Findings", "rank"},
}

const groupSize = 50

// Owners that stand beside the charts; the others are folded in.
const topOwners = 6

func (r Report) page() page {
	p := page{
		Policy: policy, Style: template.CSS(styleSource), Script: template.JS(scriptSource), // #nosec G203 -- our own files
		Title: "API keys at " + terminal.Legible(r.Registry), AskedBy: terminal.Legible(r.AskedBy), Scope: terminal.Legible(r.Scope), At: r.At, Notes: r.Notes,
		Counts: []string{plural(len(r.Keys), "key")}, Charts: []chart{r.expiryChart(), r.useChart()}, Columns: columns, Count: plural(len(r.Keys), "key"),
		Many: len(r.Keys) > 4*groupSize,
	}
	for _, s := range r.Statuses {
		status := terminal.Legible(string(s.Status))
		p.Counts = append(p.Counts, number(s.Keys)+" "+strings.ToLower(status))
		p.Status = append(p.Status, status)
	}
	for _, t := range r.Totals {
		p.Tiles = append(p.Tiles, r.tile(t))
	}
	for i, o := range r.Owners {
		o.Owner = terminal.Legible(o.Owner)
		if i < topOwners {
			p.Top = append(p.Top, o)
		} else {
			p.More = append(p.More, o)
		}
	}
	for i, k := range r.Keys {
		if i%groupSize == 0 {
			p.Groups = append(p.Groups, make([]row, 0, groupSize))
		}
		group := &p.Groups[i/groupSize]
		*group = append(*group, rowOf(k, i))
	}
	return p
}

// Class is the colour of a finding, as in the terminal.
func (f Finding) Class() string {
	switch f {
	case Expired, Expiring:
		return "bad"
	case Elsewhere, Name:
		return "note"
	}
	return "warn"
}

func (r Report) tile(t FindingTotal) tile {
	made := tile{Finding: t.Finding, Keys: number(t.Keys), Means: r.means(t.Finding), Class: t.Finding.Class(), None: t.Keys == 0}
	if t.Unjudged {
		made.Keys, made.Means = "?", "cannot be told, see the note"
	}
	return made
}

func rowOf(k Key, rank int) row {
	made := row{
		Name: terminal.Legible(k.Name), Fingerprint: terminal.Legible(k.Fingerprint), ID: terminal.Legible(k.ID), Owner: terminal.Legible(k.Owner), Status: terminal.Legible(string(k.Status)),
		Secret: terminal.Legible(k.Secret), Findings: k.Findings, FindingWords: words(k.Findings, " "), Rank: rank,
		Created: dateOf(k.CreatedAt, ""), Expires: dateOf(k.ExpiresAt, k.inDays()), Used: date{Words: k.daysAgo()},
	}
	if k.LastUsedAt != nil {
		made.Used = dateOf(*k.LastUsedAt, k.daysAgo())
	}
	return made
}

func dateOf(t time.Time, words string) date {
	return date{Machine: t.Format(time.RFC3339), Day: t.Format(time.DateOnly), Words: words}
}

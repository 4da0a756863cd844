package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A report is the result of a run. It can be attached to a public issue, because it contains no
// key, no account and no name of a registry.
type report struct {
	Run      string      `json:"run"` // name of the temporary stack
	Region   string      `json:"region"`
	Revision string      `json:"revision"`
	Began    time.Time   `json:"began"`
	Seconds  int         `json:"seconds"`
	Life     []lived     `json:"life"`
	Checks   []checked   `json:"checks"`
	Left     []string    `json:"left"` // what is not removed
	hide     replacement // what must not be shown
}

// lived is the result of one part of the life.
type lived struct {
	Part    string  `json:"part"`
	Outcome outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
	Seconds float64 `json:"seconds"`
}

type outcome string

// The outcomes of a part.
const (
	passed  outcome = "passed"
	failed  outcome = "failed"
	skipped outcome = "skipped"
)

// checked is a check with its finding.
type checked struct {
	Name    string `json:"name"`
	Answer  answer `json:"answer"`
	Assumed string `json:"assumed"`
	Seen    string `json:"seen"`
	How     string `json:"how"`
	Depends string `json:"depends"`
}

// judge adds the finding of each check.
func (r *report) judge(o *observations) {
	for _, c := range checks {
		f := c.judge(o)
		r.Checks = append(r.Checks, checked{c.Name, f.Answer, c.Assumed, f.Seen, c.How, c.Depends})
	}
}

// ok reports whether all parts passed and nothing is left. The answer "different" is not a failure.
func (r *report) ok() bool {
	for _, part := range r.Life {
		if part.Outcome == failed {
			return false
		}
	}
	return len(r.Left) == 0
}

// replacement has pairs of a text that the report must not contain and its replacement.
type replacement []string

var keyText = regexp.MustCompile(`qk_[^\s"'\\` + "`" + `]+`)

func (h replacement) clean(text string) string {
	return keyText.ReplaceAllString(strings.NewReplacer(h...).Replace(text), "[key]")
}

// JSON returns the report for programs.
func (r *report) JSON() []byte {
	text, _ := json.MarshalIndent(r, "", "  ") // cannot fail for these types
	return append([]byte(r.hide.clean(string(text))), '\n')
}

// Markdown returns the report for people.
func (r *report) Markdown() []byte {
	var b strings.Builder
	count := map[answer]int{}
	for _, c := range r.Checks {
		count[c.Answer]++
	}
	fmt.Fprintf(&b, "# Acceptance run %s\n\nRegion %s, revision %s, %s, %d seconds. %d facts as assumed, %d "+
		"different, "+
		"%d could not be seen.\n\n", r.Run, r.Region, r.Revision, r.Began.UTC().Format("2006-01-02 "+
		"15:04 UTC"), r.Seconds,
		count[asAssumed], count[different], count[notSeen])
	section := func(title string, which answer, depends bool) {
		if count[which] == 0 {
			return
		}
		fmt.Fprintf(&b, "## %s\n\n", title)
		for _, c := range r.Checks {
			if c.Answer != which {
				continue
			}
			fmt.Fprintf(&b, "- **%s**: %s\n  Seen: %s\n", c.Name, c.Assumed, oneLine(c.Seen))
			if depends {
				fmt.Fprintf(&b, "  What depends on it: %s\n", c.Depends)
			}
		}
		b.WriteByte('\n')
	}
	section("Different", different, true)
	section("Could not be seen", notSeen, false)
	section("As assumed", asAssumed, false)
	b.WriteString("## The life of the key\n\n| part | outcome | seconds | |\n|---|---|---|---|\n")
	for _, l := range r.Life {
		fmt.Fprintf(&b, "| %s | %s | %.1f | %s |\n", l.Part, l.Outcome, l.Seconds,
			strings.ReplaceAll(oneLine(l.Detail), "|", "\\|"))
	}
	b.WriteString("\n## What is left\n\n")
	if len(r.Left) == 0 {
		b.WriteString("Nothing.\n")
	}
	for _, l := range r.Left {
		fmt.Fprintf(&b, "- %s\n", oneLine(l))
	}
	return []byte(r.hide.clean(b.String()))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

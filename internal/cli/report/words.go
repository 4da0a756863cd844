package report

import (
	"fmt"
	"strings"
)

// This file has the texts of the table and of the page.

func (r Report) totals() string {
	rotations, gaps, exceptions := 0, 0, 0
	for _, s := range r.Secrets {
		for _, x := range s.Rotations {
			if x.Kind.ByRotation() {
				rotations++
			}
		}
		gaps, exceptions = gaps+len(s.Gaps), exceptions+len(s.Exceptions)
	}
	return strings.Join([]string{plural(len(r.Secrets), "secret"), plural(rotations, "rotation"), plural(gaps, "gap"),
		plural(exceptions, "exception")}, ", ")
}

func (r Report) window() string {
	return fmt.Sprintf("from %s to %s", clock(r.Since), clock(r.Time))
}

// policy describes how the secret is rotated, and what a gap is.
func (s Secret) policy() string {
	var words []string
	switch {
	case s.Deleted:
		words = append(words, "marked for deletion")
	case !s.RotationOn:
		words = append(words, "rotation is off")
	case s.Schedule != "":
		words = append(words, "rotation "+s.Schedule)
	default:
		words = append(words, "rotation is on")
	}
	if s.MaxGap > 0 {
		words = append(words, fmt.Sprintf("a gap is longer than %s (%s)", length(s.MaxGap), s.Policy))
	}
	return strings.Join(words, "; ")
}

// length is a length of time in days, or in hours if it is short.
func length(s Span) string {
	hours := int(s / Span(day/24))
	switch days, rest := hours/24, hours%24; {
	case days == 0:
		return fmt.Sprintf("%d h", hours)
	case rest == 0 || days >= 60:
		return fmt.Sprintf("%d d", days)
	default:
		return fmt.Sprintf("%d d %d h", days, rest)
	}
}

func (k Kind) words() string {
	switch k {
	case Rotated:
		return "rotation"
	case OnNeed:
		return "rotation on need"
	case First:
		return "first value"
	case Written:
		return "written by no rotation"
	}
	return "not known: not in the log"
}

func (r Rotation) what() string {
	text := r.Kind.words()
	if r.Failures > 0 {
		text += fmt.Sprintf(", after %s", plural(r.Failures, "failed step"))
	}
	return text
}

// keyName returns the fingerprint and the id of a key, if they are known.
func keyName(fingerprint, id, version string) string {
	switch {
	case fingerprint != "" && id != "":
		return fingerprint + " " + id
	case fingerprint+id != "":
		return fingerprint + id
	case version != "":
		return "of version " + short(version)
	}
	return "-"
}

func short(id string) string { return id[:min(8, len(id))] }

func (p *Replaced) name() string {
	if p == nil {
		return "-"
	}
	return keyName(p.Fingerprint, p.KeyID, p.VersionID)
}

func (p *Replaced) age() string {
	switch {
	case p == nil:
		return "-"
	case p.Age == nil:
		return "not known"
	case p.AgeAtLeast:
		return "at least " + length(*p.Age)
	}
	return length(*p.Age)
}

// end describes the end of a replaced key.
func (p *Replaced) end() string {
	if p == nil {
		return "-"
	}
	e := p.End
	text := map[State]string{
		Revoked: "revoked", Gone: "found revoked", Elsewhere: "revoked", Expired: "expired, labels removed",
		Waiting: "not yet revoked", Again: "current again", NotSeen: "not seen",
	}[e.State]
	if e.State == InGrace {
		text = "in its grace period until " + clock(*e.Until)
	}
	if e.Time != nil {
		text += " " + clock(*e.Time)
	}
	if e.By != "" {
		text += " by " + e.By
	}
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

func (p *Replaced) refused() string {
	switch {
	case p == nil || p.End.State == InGrace || p.End.State == Waiting || p.End.State == Again:
		return "-"
	case p.End.RefusedSeen:
		return "seen"
	}
	return "not seen"
}

// sources returns the sources of a row without duplicates.
func (r Rotation) sources() string {
	all := append([]Source{}, r.Sources...)
	if r.Replaced != nil {
		all = append(append(all, r.Replaced.AgeSources...), r.Replaced.End.Sources...)
	}
	return join(all)
}

func join(sources []Source) string {
	var words []string
	for _, m := range Meanings {
		for _, s := range sources {
			if s == m.Source {
				words = append(words, string(s))
				break
			}
		}
	}
	return strings.Join(words, " ")
}

func (g Gap) what() string {
	text := fmt.Sprintf("no rotation for %s", length(g.Length))
	if g.AtLeast {
		text = fmt.Sprintf("no rotation for at least %s", length(g.Length))
	}
	if g.To == nil {
		text += ", until now"
	}
	if !g.Covered {
		text += "; the log does not go back to the beginning of the gap, so a rotation may be missing here"
	}
	return text
}

func (e Exception) what() string {
	text := e.What
	if key := e.about(); key != "" {
		text += " (" + key + ")"
	}
	if e.Times > 1 {
		text += fmt.Sprintf("; logged %d times", e.Times)
	}
	return text
}

func (e Exception) about() string {
	switch {
	case e.KeyID != "":
		return "key " + e.KeyID
	case e.Version != "":
		return "version " + short(e.Version)
	}
	return ""
}

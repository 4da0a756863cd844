package audit

import (
	"io"
	"time"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// document is the report in JSON. Programs rely on the fields: a field never changes its meaning,
// but fields may be added.
type document struct {
	Registry string `json:"registry"`
	AskedBy  string `json:"askedBy"`
	// account, region, and how many managed secrets were read; "" if they could not be listed
	Scope      string     `json:"scope"`
	Time       time.Time  `json:"time"` // the registry's clock
	Thresholds thresholds `json:"thresholds"`
	Unjudged   []Finding  `json:"unjudged"` // could not be looked for; no key has them
	Notes      []string   `json:"notes"`    // why
	Totals     totals     `json:"totals"`
	Keys       []Key      `json:"keys"`
}

type thresholds struct {
	UnusedDays   int `json:"unusedDays"`
	ExpiringDays int `json:"expiringDays"`
}

type totals struct {
	Keys     int                  `json:"keys"`
	Statuses map[quilt.Status]int `json:"statuses"`
	Owners   []OwnerTotal         `json:"owners"`   // the one with the most keys first
	Findings map[Finding]*int     `json:"findings"` // all of them; null: it was not judged
}

// WriteJSON writes the report as one JSON object. Lists are never null.
func (r Report) WriteJSON(w io.Writer) error { return terminal.WriteJSON(w, r.document()) }

func (r Report) document() document {
	d := document{
		Registry: r.Registry, AskedBy: r.AskedBy, Scope: r.Scope, Time: r.At, Thresholds: thresholds{r.UnusedDays,
			r.ExpiringDays},
		Unjudged: append([]Finding{}, r.Unjudged...), Notes: append([]string{}, r.Notes...),
		Totals: totals{Keys: len(r.Keys), Statuses: map[quilt.Status]int{}, Owners: append([]OwnerTotal{}, r.Owners...),
			Findings: map[Finding]*int{}},
		Keys: append([]Key{}, r.Keys...),
	}
	for _, s := range r.Statuses {
		d.Totals.Statuses[s.Status] = s.Keys
	}
	for _, t := range r.Totals {
		d.Totals.Findings[t.Finding] = nil
		if !t.Unjudged {
			d.Totals.Findings[t.Finding] = &t.Keys
		}
	}
	return d
}

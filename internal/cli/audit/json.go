package audit

import (
	"io"
	"time"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

// document is the report in JSON. The fields are a contract: new ones may come, none changes its meaning.
type document struct {
	Registry   string     `json:"registry"`
	AskedBy    string     `json:"askedBy"`
	Scope      string     `json:"scope"` // account, region, and how many managed secrets were read; "" if they could not be listed
	Time       time.Time  `json:"time"`  // the registry's clock
	Thresholds thresholds `json:"thresholds"`
	Unjudged   []Finding  `json:"unjudged"` // could not be looked for; no key has them
	Notes      []string   `json:"notes"`    // why
	Totals     totals     `json:"totals"`
	Keys       []keyJSON  `json:"keys"`
}

type thresholds struct {
	UnusedDays   int `json:"unusedDays"`
	ExpiringDays int `json:"expiringDays"`
}

type totals struct {
	Keys     int                  `json:"keys"`
	Statuses map[quilt.Status]int `json:"statuses"`
	Owners   []ownerJSON          `json:"owners"`   // the one with the most keys first
	Findings map[Finding]*int     `json:"findings"` // all of them; null: it was not judged
}

type ownerJSON struct {
	Owner    string `json:"owner"`
	Keys     int    `json:"keys"`
	Expired  int    `json:"expired"`
	Findings int    `json:"findings"` // keys that have one or more
}

type keyJSON struct {
	KeyID        string       `json:"keyId"`
	KeyName      string       `json:"keyName"`
	Fingerprint  string       `json:"fingerprint"`
	Owner        string       `json:"owner"`
	Status       quilt.Status `json:"status"`
	CreatedAt    time.Time    `json:"createdAt"`
	ExpiresAt    time.Time    `json:"expiresAt"`
	LastUsedAt   *time.Time   `json:"lastUsedAt"`
	DaysToExpiry *int         `json:"daysToExpiry"` // null: it has expired
	DaysUnused   *int         `json:"daysUnused"`   // null: it was never used
	Secret       *string      `json:"secret"`       // null: no managed secret is known to hold it
	Findings     []Finding    `json:"findings"`
}

// WriteJSON writes the report as one JSON object. Lists are never null.
func (r Report) WriteJSON(w io.Writer) error { return terminal.WriteJSON(w, r.document()) }

func (r Report) document() document {
	d := document{
		Registry: r.Registry, AskedBy: r.AskedBy, Scope: r.Scope, Time: r.At, Thresholds: thresholds{r.UnusedDays, r.ExpiringDays},
		Unjudged: append([]Finding{}, r.Unjudged...), Notes: append([]string{}, r.Notes...),
		Totals: totals{Keys: len(r.Keys), Statuses: map[quilt.Status]int{}, Owners: []ownerJSON{}, Findings: map[Finding]*int{}},
		Keys:   make([]keyJSON, len(r.Keys)),
	}
	for _, s := range r.Statuses {
		d.Totals.Statuses[s.Status] = s.Keys
	}
	for _, o := range r.Owners {
		d.Totals.Owners = append(d.Totals.Owners, ownerJSON(o))
	}
	for _, t := range r.Totals {
		d.Totals.Findings[t.Finding] = nil
		if !t.Unjudged {
			d.Totals.Findings[t.Finding] = &t.Keys
		}
	}
	for i, k := range r.Keys {
		d.Keys[i] = keyJSON{
			KeyID: k.ID, KeyName: k.Name, Fingerprint: k.Fingerprint, Owner: k.Owner, Status: k.Status,
			CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
			LastUsedAt: k.LastUsedAt, DaysToExpiry: k.DaysToExpiry, DaysUnused: k.DaysUnused, Findings: k.Findings,
		}
		if k.Secret != "" {
			d.Keys[i].Secret = &k.Secret
		}
	}
	return d
}

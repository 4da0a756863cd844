package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf16"
	"unicode/utf8"

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

// WriteJSON writes the report as one JSON object. Lists are never null. Names are what they are, with JSON's own escapes for what a
// terminal would obey.
func (r Report) WriteJSON(w io.Writer) error {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false) // it is read by programs and people, and stands in no page
	if err := out.Encode(r.document()); err != nil {
		return err
	}
	_, err := w.Write(escaped(text.Bytes()))
	return err
}

// escaped writes out the control characters that JSON lets stand, and marks that turn the direction of reading. All of them are
// in strings.
func escaped(document []byte) []byte {
	written := make([]byte, 0, len(document))
	for _, r := range string(document) {
		if r < 0x7f || !terminal.Hidden(r) {
			written = utf8.AppendRune(written, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			written = fmt.Appendf(written, `\u%04x`, unit)
		}
	}
	return written
}

func (r Report) document() document {
	d := document{
		Registry: r.Registry, AskedBy: r.AskedBy, Scope: r.Scope, Time: toSecond(r.At), Thresholds: thresholds{r.UnusedDays, r.ExpiringDays},
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
			CreatedAt: toSecond(k.CreatedAt), ExpiresAt: toSecond(k.ExpiresAt),
			DaysToExpiry: k.DaysToExpiry, DaysUnused: k.DaysUnused, Findings: k.Findings,
		}
		if k.LastUsedAt != nil {
			used := toSecond(*k.LastUsedAt)
			d.Keys[i].LastUsedAt = &used
		}
		if k.Secret != "" {
			d.Keys[i].Secret = &k.Secret
		}
	}
	return d
}

// toSecond is a time as all of the command's JSON has it: in UTC, to the second.
func toSecond(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

package report

import (
	"strings"
	"time"

	"quilt-rotate/internal/quilt/trail"
)

// Changes are the creations and revocations of keys in the audit trail of the registry.
type Changes struct {
	made, ended map[string]change // by key id
	Unnamed     int               // revocations that name no key: those by the key's own text
}

type change struct {
	at time.Time
	by string
}

// NewChanges reads an answer to [trail.Changes].
func NewChanges(a *trail.Answer) *Changes {
	c := &Changes{made: map[string]change{}, ended: map[string]change{}}
	for i := range a.Rows {
		at, err := time.Parse(time.RFC3339, a.Value(i, trail.EventTime))
		id, name := a.Value(i, trail.KeyID), strings.ToLower(a.Value(i, trail.EventName))
		revoked := strings.HasSuffix(name, ".revoke")
		switch {
		case err != nil || a.Value(i, trail.ErrorCode) != "":
		case id == "" && revoked:
			c.Unnamed++
		case revoked:
			c.ended[id] = change{at, a.Value(i, trail.UserEmail)}
		case id != "":
			c.made[id] = change{at, a.Value(i, trail.UserEmail)}
		}
	}
	return c
}

func (c *Changes) created(id string) time.Time {
	if c == nil || id == "" {
		return time.Time{}
	}
	return c.made[id].at
}

func (c *Changes) creator(id string) string {
	if c == nil || id == "" {
		return ""
	}
	return c.made[id].by
}

func (c *Changes) revoked(id string) (time.Time, string) {
	if c == nil || id == "" {
		return time.Time{}, ""
	}
	return c.ended[id].at, c.ended[id].by
}

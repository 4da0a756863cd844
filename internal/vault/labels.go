package vault

import (
	"slices"
	"strings"
	"time"
)

// The staging labels of Secrets Manager itself.
const (
	Current  = "AWSCURRENT"
	Pending  = "AWSPENDING"
	Previous = "AWSPREVIOUS"
)

// The labels of quilt-rotate begin with "quilt-". They are a storage format: each release must read
// the labels of earlier releases. A release that finds a label of an unknown form must stop its
// sweep of the secret ([Version.Unknown]).
const (
	ownPrefix   = "quilt-"
	keyPrefix   = "quilt-key:"
	markPrefix  = "quilt-superseded:"
	pausePrefix = "quilt-pause:"
	labelTime   = "20060102T150405Z"
)

// LabelQuota is the largest number of staging labels on all versions of a secret together.
// MaxLabelLength is the largest length of a label (AWS Secrets Manager quotas).
const (
	LabelQuota     = 20
	MaxLabelLength = 256
)

// KeyLabel returns the label that names the key of a version: `quilt-key:<key id>`.
func KeyLabel(keyID string) string { return keyPrefix + keyID }

// PauseLabel returns the label that pauses the sweeps of the secret until that time:
// `quilt-pause:20261122T181500Z`. It is valid on any version.
func PauseLabel(until time.Time) string { return pausePrefix + until.UTC().Format(labelTime) }

// Mark is the label that records when a version was found superseded, and until when its grace
// period was promised: `quilt-superseded:20261122T181500Z:<first 8 characters of the version
// id>:20261123T181500Z`. It contains the version because a label can be on one version only: two
// versions that are superseded in the same second need different labels. Marks of older releases
// end with the version and promise nothing.
type Mark struct {
	Since   time.Time // UTC, whole seconds
	Until   time.Time // UTC, whole seconds; zero if nothing was promised
	version string
}

// NewMark returns the mark of a version that was found superseded at that time. It promises no
// grace period.
func NewMark(versionID string, since time.Time) Mark {
	return Mark{Since: since.UTC().Truncate(time.Second), version: short(versionID)}
}

// Promising returns the mark with a promised grace period. A shorter grace period that is
// configured later does not shorten it.
func (m Mark) Promising(grace time.Duration) Mark {
	m.Until = m.Since.Add(grace).Truncate(time.Second)
	return m
}

// Label returns the mark as a staging label.
func (m Mark) Label() string {
	label := markPrefix + m.Since.Format(labelTime) + ":" + m.version
	if !m.Until.IsZero() {
		label += ":" + m.Until.Format(labelTime)
	}
	return label
}

func short(versionID string) string { return versionID[:min(8, len(versionID))] }

// parseMark parses a mark of this version. ok is false unless [Mark.Label] returns the same text.
func parseMark(label, versionID string) (m Mark, ok bool) {
	rest, ok := strings.CutPrefix(label, markPrefix)
	if !ok {
		return Mark{}, false
	}
	m = Mark{version: short(versionID)}
	since, promised, _ := strings.Cut(rest, ":"+m.version)
	m.Since, _ = time.Parse(labelTime, since)
	m.Until, _ = time.Parse(labelTime, strings.TrimPrefix(promised, ":"))
	return m, m.Label() == label
}

func parsePause(label string) (until time.Time, ok bool) {
	until, _ = time.Parse(labelTime, strings.TrimPrefix(label, pausePrefix))
	return until, PauseLabel(until) == label
}

// Version is a version of a secret that has labels, with the parsed labels.
type Version struct {
	ID      string
	Stages  []string    // all labels, as Secrets Manager returns them
	Keys    []string    // key ids of the key labels: one, unless a person moved labels by hand
	Marks   []Mark      // one, unless two sweeps marked the version at the same time
	Pauses  []time.Time // ends of pauses: one, unless a command was interrupted
	Unknown []string    // other labels that begin with "quilt-": of a newer release, or moved by a person
}

// NewVersion parses the labels of a version.
func NewVersion(id string, stages []string) Version {
	v := Version{ID: id, Stages: stages}
	for _, label := range stages {
		mark, isMark := parseMark(label, id)
		until, isPause := parsePause(label)
		switch {
		case strings.HasPrefix(label, keyPrefix) && len(label) > len(keyPrefix):
			v.Keys = append(v.Keys, strings.TrimPrefix(label, keyPrefix))
		case isMark:
			v.Marks = append(v.Marks, mark)
		case isPause:
			v.Pauses = append(v.Pauses, until)
		case strings.HasPrefix(label, ownPrefix):
			v.Unknown = append(v.Unknown, label)
		}
	}
	return v
}

// Has reports whether the version has the label.
func (v Version) Has(label string) bool { return slices.Contains(v.Stages, label) }

// Key returns the id in the version's key label, or "" if it has no key label.
func (v Version) Key() string {
	if len(v.Keys) == 0 {
		return ""
	}
	return v.Keys[0]
}

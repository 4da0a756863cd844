package vault

import (
	"slices"
	"strings"
	"time"
)

// The service's own staging labels.
const (
	Current  = "AWSCURRENT"
	Pending  = "AWSPENDING"
	Previous = "AWSPREVIOUS"
)

// The labels of quilt-rotate begin with "quilt-". Their forms are a format on disk: newer releases
// must be able to read them, and an older one that does not know a form must stop its sweeps
// ([Version.Unknown]).
const (
	ownPrefix   = "quilt-"
	keyPrefix   = "quilt-key:"
	markPrefix  = "quilt-superseded:"
	pausePrefix = "quilt-pause:"
	labelTime   = "20060102T150405Z"
)

// LabelQuota is how many staging labels a secret can have over all its versions, and MaxLabelLength
// how long one can be (AWS Secrets Manager quotas).
const (
	LabelQuota     = 20
	MaxLabelLength = 256
)

// KeyLabel says which key a version holds: `quilt-key:<key id>`.
func KeyLabel(keyID string) string { return keyPrefix + keyID }

// PauseLabel says that sweeps of the secret are paused until then: `quilt-pause:20261122T181500Z`.
// It counts on whatever version it sits.
func PauseLabel(until time.Time) string { return pausePrefix + until.UTC().Format(labelTime) }

// Mark says when a version was superseded and until when grace was promised to its key:
// `quilt-superseded:20261122T181500Z:<first 8 characters of the version id>:20261123T181500Z`. It
// names the version because a label sits on one version only. Marks of older releases end with the
// version and promise nothing.
type Mark struct {
	Since   time.Time // UTC, whole seconds
	Until   time.Time // likewise; zero: nothing was promised
	version string
}

// NewMark is the mark of a version that is superseded since then. It promises no grace.
func NewMark(versionID string, since time.Time) Mark {
	return Mark{Since: since.UTC().Truncate(time.Second), version: short(versionID)}
}

// Promising is the mark with a promised grace period. A shorter period that is set later does not
// end it.
func (m Mark) Promising(grace time.Duration) Mark {
	m.Until = m.Since.Add(grace).Truncate(time.Second)
	return m
}

// Label is the mark as a staging label.
func (m Mark) Label() string {
	label := markPrefix + m.Since.Format(labelTime) + ":" + m.version
	if !m.Until.IsZero() {
		label += ":" + m.Until.Format(labelTime)
	}
	return label
}

func short(versionID string) string { return versionID[:min(8, len(versionID))] }

// parseMark reads a mark of the version. A label is a mark only if [Mark.Label] writes the same
// text.
func parseMark(label, versionID string) (Mark, bool) {
	rest, ok := strings.CutPrefix(label, markPrefix)
	if !ok {
		return Mark{}, false
	}
	m := Mark{version: short(versionID)}
	since, promised, _ := strings.Cut(rest, ":"+m.version)
	m.Since, _ = time.Parse(labelTime, since)
	m.Until, _ = time.Parse(labelTime, strings.TrimPrefix(promised, ":"))
	return m, m.Label() == label
}

func parsePause(label string) (until time.Time, ok bool) {
	until, _ = time.Parse(labelTime, strings.TrimPrefix(label, pausePrefix))
	return until, PauseLabel(until) == label
}

// Version is a version of a secret that has labels, and what they say.
type Version struct {
	ID      string
	Stages  []string    // all its labels, as the service gives them
	Keys    []string    // ids out of its key labels: one, unless somebody moved labels by hand
	Marks   []Mark      // one, unless two sweeps marked it at once
	Pauses  []time.Time // until when sweeps of the secret are paused: one, unless a command was interrupted
	Unknown []string    // other labels that begin with "quilt-": a newer release wrote them, or a person moved a mark
}

// NewVersion reads the labels of a version.
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

// Key is the id in the version's key label; "" if it has no such label.
func (v Version) Key() string {
	if len(v.Keys) == 0 {
		return ""
	}
	return v.Keys[0]
}

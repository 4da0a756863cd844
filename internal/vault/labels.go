package vault

import (
	"regexp"
	"strings"
	"sync"
	"time"
)

// The service's own staging labels.
const (
	Current  = "AWSCURRENT"
	Pending  = "AWSPENDING"
	Previous = "AWSPREVIOUS"
)

// Ours begin with "quilt-"; their forms are a format on disk: older releases must be able to read them.
const (
	ownPrefix  = "quilt-"
	keyPrefix  = "quilt-key:"
	markPrefix = "quilt-superseded:"
	markTime   = "20060102T150405Z"
)

// LabelQuota is how many staging labels a secret can have over all its versions, and MaxLabelLength how long one can be
// (AWS Secrets Manager quotas).
const (
	LabelQuota     = 20
	MaxLabelLength = 256
)

// KeyLabel says which key a version holds: `quilt-key:<key id>`.
func KeyLabel(keyID string) string { return keyPrefix + keyID }

// Mark says since when a version is superseded, and of which version it speaks, since a label sits on one version only:
// `quilt-superseded:20261122T181500Z:<first 8 of the version id>`.
type Mark struct {
	Since   time.Time // UTC, whole seconds
	version string
}

// NewMark marks a version as superseded since then.
func NewMark(versionID string, since time.Time) Mark {
	return Mark{since.UTC().Truncate(time.Second), short(versionID)}
}

// Label is the mark as a staging label.
func (m Mark) Label() string { return markPrefix + m.Since.Format(markTime) + ":" + m.version }

func short(versionID string) string {
	if len(versionID) > 8 {
		return versionID[:8]
	}
	return versionID
}

var markForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + markPrefix + `([0-9]{8}T[0-9]{6}Z):(.{1,8})$`) })

func parseMark(label string) (Mark, bool) {
	if !strings.HasPrefix(label, markPrefix) { // most are none, and then nothing is compiled
		return Mark{}, false
	}
	m := markForm().FindStringSubmatch(label)
	if m == nil {
		return Mark{}, false
	}
	since, err := time.Parse(markTime, m[1])
	return Mark{since, m[2]}, err == nil
}

// Version is a version of a secret that has labels, and what they say.
type Version struct {
	ID      string
	Stages  []string // all its labels, as the service gives them
	Keys    []string // ids out of its key labels: one, unless somebody moved labels by hand
	Marks   []Mark   // one, unless two sweeps marked it at once
	Unknown []string // labels that begin with "quilt-" and are none of ours: a newer release wrote them, or a hand moved a mark
}

// NewVersion reads the labels of a version.
func NewVersion(id string, stages []string) Version {
	v := Version{ID: id, Stages: stages}
	for _, label := range stages {
		mark, isMark := parseMark(label)
		switch {
		case strings.HasPrefix(label, keyPrefix) && len(label) > len(keyPrefix):
			v.Keys = append(v.Keys, strings.TrimPrefix(label, keyPrefix))
		case isMark && mark.version == short(id):
			v.Marks = append(v.Marks, mark)
		case strings.HasPrefix(label, ownPrefix):
			v.Unknown = append(v.Unknown, label)
		}
	}
	return v
}

// Has tells whether the version has that label.
func (v Version) Has(label string) bool {
	for _, l := range v.Stages {
		if l == label {
			return true
		}
	}
	return false
}

// Key is the id in the version's key label, "" where there is none.
func (v Version) Key() string {
	if len(v.Keys) == 0 {
		return ""
	}
	return v.Keys[0]
}

package awssecrets

import (
	"bytes"
	"sort"
	"time"

	"quilt-rotate/internal/sandbox/awsjson"
)

// The three staging labels that the service itself moves.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// The quotas of the User Guide. None of them is adjustable.
const (
	maxLabels   = 20  // over all versions of a secret
	maxVersions = 100 // with and without labels
	deprecation = 24 * time.Hour
)

// A version is one value of a secret. It is immutable. To fill the empty version of a rotation, add
// replaces it.
type version struct {
	id      string
	order   int // order of creation, because two versions can have the same date
	created time.Time
	value   *value // nil: a rotation registered the id and no value has been stored yet
}

// A value is the content of a version: text or bytes.
type value struct {
	text   string
	binary []byte
}

func (v *value) equal(w *value) bool { return v.text == w.text && bytes.Equal(v.binary, w.binary) }

// stages returns the labels of a version, sorted.
func (s *secret) stages(id string) []string {
	var stages []string
	for label, at := range s.labels {
		if at == id {
			stages = append(stages, label)
		}
	}
	sort.Strings(stages)
	return stages
}

// sorted returns all versions, oldest first.
func (s *secret) sorted() []*version {
	versions := make([]*version, 0, len(s.versions))
	for _, v := range s.versions {
		versions = append(versions, v)
	}
	sort.Slice(versions, func(i, j int) bool { return versions[i].order < versions[j].order })
	return versions
}

// hasValue reports whether any version has a value.
func (s *secret) hasValue() bool {
	for _, v := range s.versions {
		if v.value != nil {
			return true
		}
	}
	return false
}

// add creates a version. If a rotation registered an empty version under the same id, add replaces
// that version.
func (s *secret) add(id string, v *value, now time.Time) {
	added := &version{id: id, created: now, value: v}
	if placeholder := s.versions[id]; placeholder != nil {
		added.order = placeholder.order
	} else {
		s.count++
		added.order = s.count
	}
	s.versions[id] = added
}

// attach moves a label to a version. When AWSCURRENT moves, AWSPREVIOUS moves to the version that
// had AWSCURRENT.
func (s *secret) attach(label, id string) {
	former, attached := s.labels[label]
	s.labels[label] = id
	if label == current && attached && former != id {
		s.labels[previous] = former
	}
}

// attachAll attaches the VersionStages of a put. AWSCURRENT comes last, so that AWSPREVIOUS ends on
// the same version as on AWS, whatever order the caller used.
func (s *secret) attachAll(labels []string, id string) {
	includesCurrent := false
	for _, label := range labels {
		if label == current {
			includesCurrent = true
			continue
		}
		s.attach(label, id)
	}
	if includesCurrent {
		s.attach(current, id)
	}
}

// pendingElsewhere returns the version that blocks a new rotation: the version with AWSPENDING, if
// it is not the current version.
func (s *secret) pendingElsewhere() (id string, blocked bool) {
	id, attached := s.labels[pending]
	return id, attached && id != s.labels[current]
}

// enforceQuotas checks the quotas before a state is committed. If there are more than 100 versions,
// it purges the oldest versions that have no label and are older than a day, as the service does.
func (s *secret) enforceQuotas(now time.Time) error {
	if len(s.labels) > maxLabels {
		return awsjson.Faultf("LimitExceededException", "You can't have more than %d staging labels attached to the "+
			"versions of a secret.", maxLabels)
	}
	if len(s.versions) <= maxVersions {
		return nil
	}
	labelled := map[string]bool{}
	for _, id := range s.labels {
		labelled[id] = true
	}
	for len(s.versions) > maxVersions {
		var oldest *version
		for _, v := range s.versions {
			if !labelled[v.id] && now.Sub(v.created) > deprecation && (oldest == nil || v.order < oldest.order) {
				oldest = v
			}
		}
		if oldest == nil {
			return awsjson.Faultf("LimitExceededException", "You can't have more than %d versions of a secret.",
				maxVersions)
		}
		delete(s.versions, oldest.id)
	}
	return nil
}

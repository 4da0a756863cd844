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

// Quotas of the User Guide, none of them adjustable.
const (
	maxLabels   = 20  // over all versions of a secret
	maxVersions = 100 // labelled or not
	deprecation = 24 * time.Hour
)

// A version is one value of a secret. It is never altered once its state is committed; to fill the
// empty version of a rotation is to put another in its place.
type version struct {
	id      string
	order   int // of creation, since two versions can share a millisecond
	created time.Time
	value   *value // nil: a rotation registered the id, and nobody has stored a value yet
}

// A value is what a version holds: text or bytes.
type value struct {
	text   string
	binary []byte
}

func (v *value) equal(w *value) bool { return v.text == w.text && bytes.Equal(v.binary, w.binary) }

// stages are the labels of a version, sorted.
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

// sorted are all versions, oldest first.
func (s *secret) sorted() []*version {
	versions := make([]*version, 0, len(s.versions))
	for _, v := range s.versions {
		versions = append(versions, v)
	}
	sort.Slice(versions, func(i, j int) bool { return versions[i].order < versions[j].order })
	return versions
}

// valued says whether any version holds a value.
func (s *secret) valued() bool {
	for _, v := range s.versions {
		if v.value != nil {
			return true
		}
	}
	return false
}

// add makes a version, or fills the empty one that a rotation registered under the same id.
func (s *secret) add(id string, v *value, now time.Time) {
	added := &version{id: id, created: now, value: v}
	if placeholder := s.versions[id]; placeholder != nil {
		added.order = placeholder.order
	} else {
		s.made++
		added.order = s.made
	}
	s.versions[id] = added
}

// attach puts a label on a version, wherever it was. AWSPREVIOUS follows AWSCURRENT to the version
// that lost it.
func (s *secret) attach(label, id string) {
	former, attached := s.labels[label]
	s.labels[label] = id
	if label == current && attached && former != id {
		s.labels[previous] = former
	}
}

// attachAll is what a put does with its VersionStages. AWSCURRENT comes last, so that AWSPREVIOUS
// ends up where the service puts it, whatever the caller asked for.
func (s *secret) attachAll(labels []string, id string) {
	takes := false
	for _, label := range labels {
		if label == current {
			takes = true
			continue
		}
		s.attach(label, id)
	}
	if takes {
		s.attach(current, id)
	}
}

// pendingElsewhere is the version that blocks a new rotation: the one with AWSPENDING, unless it is
// the current one.
func (s *secret) pendingElsewhere() (id string, blocked bool) {
	id, attached := s.labels[pending]
	return id, attached && id != s.labels[current]
}

// settle applies the quotas to a state that is about to be committed, and purges what the service
// purges: versions without a label, older than a day, the oldest first, while there are more than a
// hundred.
func (s *secret) settle(now time.Time) error {
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

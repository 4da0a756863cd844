package awssecrets

import (
	"slices"
	"strings"

	"quilt-rotate/internal/sandbox/awsjson"
)

const maxTags = 50

type tagResourceInput struct {
	SecretId string
	Tags     []tag
}

func (s *Server) tagResource(in tagResourceInput) (awsjson.NoOutput, error) {
	_, err := s.change(in.SecretId, func(_ *record, next *secret) error { return next.setTags(in.Tags) })
	return awsjson.NoOutput{}, err
}

type untagResourceInput struct {
	SecretId string
	TagKeys  []string
}

func (s *Server) untagResource(in untagResourceInput) (awsjson.NoOutput, error) {
	_, err := s.change(in.SecretId, func(_ *record, next *secret) error {
		next.tags = slices.DeleteFunc(next.tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
		return nil
	})
	return awsjson.NoOutput{}, err
}

// setTags adds tags. If a tag with the same key exists, it gets the new value.
func (s *secret) setTags(tags []tag) error {
	for _, t := range tags {
		if len(t.Key) < 1 || len(t.Key) > 128 || len(t.Value) > 256 {
			return invalidParameter("A tag's key must be 1-128 characters long and its value at most 256.")
		}
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return invalidParameter("A tag's key can't start with aws:, which is reserved.")
		}
		if i := slices.IndexFunc(s.tags, func(u tag) bool { return u.Key == t.Key }); i >= 0 {
			s.tags[i] = t
		} else {
			s.tags = append(s.tags, t)
		}
	}
	if len(s.tags) > maxTags {
		return invalidParameter("A secret can't have more than %d tags.", maxTags)
	}
	return nil
}

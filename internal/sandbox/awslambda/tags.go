package awslambda

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The limits in the Developer Guide ("Using tags on Lambda functions").
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalidParameter("a function can have at most %d tags", maxTags)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		switch {
		case key == "" || len(key) > maxTagKey || len(tags[key]) > maxTagValue:
			return invalidParameter("the key of a tag must have 1 to %d characters, and the value at most %d",
				maxTagKey, maxTagValue)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return invalidParameter("the key of a tag must not begin with aws:, which is reserved")
		}
	}
	return nil
}

// serveTags serves ListTags, which requires the complete ARN of the function.
func (h *Host) serveTags(w http.ResponseWriter, r *http.Request) error {
	arn := r.PathValue("arn")
	if !strings.HasPrefix(arn, h.arn("")) {
		return invalidParameter("the resource must be the ARN of a function")
	}
	f, err := h.find(arn, "")
	if err != nil {
		return err
	}
	d := h.deployed(f)
	if d == nil { // the function was removed at the same time
		return h.notFound(arn, "")
	}
	tags := d.config.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"Tags": tags})
	return nil
}

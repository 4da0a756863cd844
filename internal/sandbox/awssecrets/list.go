package awssecrets

import (
	"slices"
	"sort"
	"strings"
)

type listSecretsInput struct {
	IncludePlannedDeletion bool
	MaxResults             *int
	NextToken              *string
	Filters                []filter
	SortOrder              string
}

type listSecretsOutput struct {
	SecretList []secretEntry
	NextToken  *string `json:",omitempty"`
}

type secretEntry struct {
	details
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

func (s *Server) listSecrets(in listSecretsInput) (listSecretsOutput, error) {
	if err := in.check(); err != nil {
		return listSecretsOutput{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	listed := s.listed(in)
	from, to, next, err := page(len(listed), in.MaxResults, in.NextToken)
	if err != nil {
		return listSecretsOutput{}, err
	}
	out := listSecretsOutput{SecretList: make([]secretEntry, 0, to-from), NextToken: next}
	for _, r := range listed[from:to] {
		out.SecretList = append(out.SecretList, secretEntry{details: s.details(r, r.state),
			SecretVersionsToStages: r.state.idsToStages()})
	}
	return out, nil
}

func (in listSecretsInput) check() error {
	if len(in.Filters) > 10 {
		return invalidParameter("Filters must have at most 10 elements.")
	}
	for _, f := range in.Filters {
		if err := f.check(); err != nil {
			return err
		}
	}
	if !slices.Contains([]string{"", "asc", "desc"}, in.SortOrder) {
		return invalidParameter("SortOrder must be asc or desc.")
	}
	return nil
}

// listed returns the records that match, in order. The documentation gives no default order. Here
// it is ascending.
func (s *Server) listed(in listSecretsInput) []*record {
	var listed []*record
	for name := range s.secrets {
		r, err := s.find(name) // deletes a secret whose recovery window is over
		if err != nil || r.state.markedForDeletion() && !in.IncludePlannedDeletion {
			continue
		}
		if !slices.ContainsFunc(in.Filters, func(f filter) bool { return !f.matches(r.state, s.options.Region) }) {
			listed = append(listed, r)
		}
	}
	sort.Slice(listed, func(i, j int) bool { return listed[i].order < listed[j].order })
	if in.SortOrder == "desc" {
		slices.Reverse(listed)
	}
	return listed
}

// A filter matches a secret if one of its values matches. A list of filters matches if all filters
// match.
type filter struct {
	Key    string
	Values []string
}

func (f filter) check() error {
	if !slices.Contains([]string{"description", "name", "tag-key", "tag-value", "primary-region", "owning-service",
		"all"}, f.Key) {
		return invalidParameter("Invalid filter key: %s", f.Key)
	}
	if len(f.Values) < 1 || len(f.Values) > 10 {
		return invalidParameter("A filter must have 1-10 values.")
	}
	for _, v := range f.Values {
		if len(v) > 512 {
			return invalidParameter("A filter's value must be at most 512 characters long.")
		}
	}
	return nil
}

func (f filter) matches(s *secret, region string) bool {
	return slices.ContainsFunc(f.Values, func(v string) bool {
		wanted, negated := strings.CutPrefix(v, "!")
		return f.matchesValue(s, region, wanted) != negated
	})
}

func (f filter) matchesValue(s *secret, region, wanted string) bool {
	starts := func(text string) bool { return strings.HasPrefix(text, wanted) }
	switch f.Key {
	case "name":
		return starts(s.name)
	case "description":
		return strings.HasPrefix(strings.ToLower(s.description), strings.ToLower(wanted))
	case "tag-key":
		return slices.ContainsFunc(s.tags, func(t tag) bool { return starts(t.Key) })
	case "tag-value":
		return slices.ContainsFunc(s.tags, func(t tag) bool { return starts(t.Value) })
	case "primary-region":
		return starts(region)
	case "owning-service":
		return false // the sandbox has no secrets that a service owns
	}
	return s.matchesAll(wanted)
}

// matchesAll implements the filter "all". Each word of the value must be the start of a word in the
// name, the description or a tag. Letter case is ignored.
func (s *secret) matchesAll(wanted string) bool {
	attributes := []string{s.name, s.description}
	for _, t := range s.tags {
		attributes = append(attributes, t.Key, t.Value)
	}
	present := words(strings.Join(attributes, " "))
	return !slices.ContainsFunc(words(wanted), func(word string) bool {
		return !slices.ContainsFunc(present, func(w string) bool { return strings.HasPrefix(w, word) })
	})
}

func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return !isAlphanumeric(c) })
}

package status

import (
	"fmt"
	"slices"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
	"quilt-rotate/internal/wording"
)

// Facts are what there is to see, as sentences that stay the same until something changes: they hold no age.
func (s Status) Facts() []string {
	if s.ARN == "" {
		return []string{s.Error}
	}
	var facts []string
	for _, v := range s.Versions {
		facts = append(facts, fmt.Sprintf("%s is %s", wording.Stage(v), wording.KeyOf(v)))
	}
	switch {
	case s.Rotation.UnderWay:
		facts = append(facts, "a rotation is under way")
	case s.Rotation.On && s.Rotation.Next != nil:
		facts = append(facts, "the next rotation is on "+wording.Clock(*s.Rotation.Next))
	}
	if s.PausedUntil != nil {
		facts = append(facts, "sweeps are paused until "+wording.Clock(*s.PausedUntil))
	}
	if s.Sweep != nil {
		for _, a := range s.Sweep.Actions {
			if a.Action == revocation.Hold { // says when the key was used
				a.LastUsedAt = nil
			}
			facts = append(facts, "the next sweep "+wording.Planned(a, s.Time).Text)
		}
	}
	for _, p := range s.Problems {
		facts = append(facts, p.Text)
	}
	if s.Error != "" {
		facts = append(facts, s.Error)
	}
	return facts
}

// Changes are the facts that are new, and those that are so no more.
func Changes(before, now Status) []string {
	was, is := before.Facts(), now.Facts()
	var changes []string
	for _, fact := range is {
		if !slices.Contains(was, fact) {
			changes = append(changes, fact)
		}
	}
	for _, fact := range was {
		if !slices.Contains(is, fact) {
			changes = append(changes, "no more: "+fact)
		}
	}
	return changes
}

// Current is the version that has AWSCURRENT.
func (s Status) Current() (revocation.Seen, bool) {
	for _, v := range s.Versions {
		if slices.Contains(v.Stages, vault.Current) {
			return v, true
		}
	}
	return revocation.Seen{}, false
}

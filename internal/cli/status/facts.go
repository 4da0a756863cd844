package status

import (
	"fmt"
	"slices"

	"quilt-rotate/internal/cli/wording"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
)

// Facts are what there is to see, as sentences that stay the same until something changes: they hold no age. What the next sweep will do is not among them:
// that follows from the stages, and changes with each of them.
func (s Status) Facts() []string { return slices.Concat(s.stages(), s.states()) }

// stages are which key is where, and the rotation: when one is so no more, another one is.
func (s Status) stages() []string {
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
	return facts
}

// states are what holds for a while, and whose end is worth a line.
func (s Status) states() []string {
	var facts []string
	if s.PausedUntil != nil {
		facts = append(facts, "sweeps are paused until "+wording.Clock(*s.PausedUntil))
	}
	for _, p := range s.Problems {
		facts = append(facts, p.Text)
	}
	if s.Error != "" {
		facts = append(facts, s.Error)
	}
	return facts
}

// Changes are the facts that are new, and the states that are over.
func Changes(before, now Status) []string {
	var changes []string
	was, is := before.Facts(), now.Facts()
	for _, fact := range is {
		if !slices.Contains(was, fact) {
			changes = append(changes, fact)
		}
	}
	for _, fact := range before.states() {
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

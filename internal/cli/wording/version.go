package wording

import (
	"slices"
	"strings"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
)

// Stage says in a word what a version is: the first that fits.
func Stage(v revocation.Seen) string {
	switch {
	case slices.Contains(v.Stages, vault.Current):
		return "current"
	case slices.Contains(v.Stages, vault.Pending):
		return "pending"
	case slices.Contains(v.Stages, vault.Previous):
		return "previous"
	case v.SupersededSince != nil:
		return "superseded"
	case v.KeyID != "":
		return "replaced" // and no sweep has seen it yet
	}
	var own []string
	for _, label := range v.Stages {
		if !strings.HasPrefix(label, "quilt-") {
			own = append(own, label)
		}
	}
	return strings.Join(own, " ")
}

// KeyOf names the key of a version, or says why there is none.
func KeyOf(v revocation.Seen) string {
	switch {
	case v.Value == revocation.NoValue:
		return "no value yet"
	case v.Value == revocation.Blank:
		return "no key yet"
	case v.Value == revocation.Unreadable:
		return "unreadable"
	case v.Fingerprint != "":
		return v.Fingerprint
	case v.KeyID != "":
		return v.KeyID
	}
	return "not known"
}

package revocation

import (
	"slices"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// Ours are the registry's keys that this secret must answer for, the current one among them: those that were made for
// it, as their names say, and those that it holds under their labels. They are what is to be revoked when the secret is
// given up.
//
// [Plan] revokes none but these, and what it leaves alone for whose it is is not among them: another user's key, one
// that was made for another secret, and one that a label alone calls ours, if the version's value is another key's
// or the fingerprint is no proof. What they cannot tell is whether somebody copied a value of this secret into another
// one, which then needs the same key.
//
// Where the registry's list does not count, those that it was asked for by their ids are all that is known.
func (w World) Ours() []quilt.APIKey {
	ours := w.ours()
	return slices.DeleteFunc(w.rows(), func(k quilt.APIKey) bool {
		return !quilt.SameUser(k.UserEmail, w.Owner) || !ours(k) && (w.madeForAnother(k) || !w.keeps(k))
	})
}

// keeps reports whether a version holds the key, and is its label's place: the one that names it, or the current one,
// whose label will follow.
func (w World) keeps(row quilt.APIKey) bool {
	return slices.ContainsFunc(w.Versions, func(v Version) bool {
		labelled := slices.Contains(v.Keys, row.ID) || v.Has(vault.Current) && len(v.Keys) == 0
		return labelled && v.holds(row) && !w.ambiguous(row)
	})
}

// holds reports whether the key in the version's value can be the registry's, as far as its fingerprint shows.
func (v Version) holds(row quilt.APIKey) bool {
	return v.Holds.State == Holds && v.Holds.Key.Fits(row.Fingerprint)
}

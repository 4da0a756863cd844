package revocation

import (
	"slices"

	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/vault"
)

// Ours are the keys of this secret, the current one included: those whose names have its mark, and those that it holds
// under their labels. They are to be revoked when the secret is retired. If the registry's list does not count, only
// the keys that it was asked for by their ids are known.
//
// [Plan] revokes no other key. Another user's key is not among them, nor one that was made for another secret, nor one
// that only a label connects with this secret, if the fingerprint does not prove that the version holds it. It is not
// known whether somebody copied a value of this secret into another one, which then needs the same key.
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
	return v.Holds.Key.Fits(row.Fingerprint)
}

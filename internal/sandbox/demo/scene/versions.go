package scene

import (
	"slices"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// A Version is a labelled version of a secret, with the fingerprint of its key.
type Version struct {
	ID     string
	Labels []string // the labels of Secrets Manager first
	Key    string   // the fingerprint, or a note
}

// Versions returns the labelled versions of a secret, oldest first.
func (s *Scene) Versions(secretARN string) ([]Version, error) {
	shot, err := s.Secrets.Snapshot(secretARN)
	if err != nil {
		return nil, err
	}
	var versions []Version
	for _, v := range shot.Versions {
		if len(v.Stages) == 0 {
			continue
		}
		version := Version{ID: v.ID, Labels: slices.Clone(v.Stages), Key: "no value yet"}
		if !v.Empty {
			version.Key = s.fingerprint(v.Value)
		}
		slices.Sort(version.Labels) // the labels of Secrets Manager are in capitals, which come first
		versions = append(versions, version)
	}
	return versions, nil
}

func (s *Scene) fingerprint(value string) string {
	v, err := apikey.ParseValue(redact.New(value), "")
	switch {
	case err != nil:
		return "no key"
	case !s.Registry.Valid(v.Key().Reveal()):
		return v.Key().Fingerprint() + " (revoked)"
	}
	return v.Key().Fingerprint()
}

// Current returns the parsed value of AWSCURRENT and the id of its version.
func (s *Scene) Current(secretARN string) (versionID string, value apikey.Value, err error) {
	shot, err := s.Secrets.Snapshot(secretARN)
	if err != nil {
		return "", apikey.Value{}, err
	}
	v, _ := shot.Holder(vault.Current)
	value, err = apikey.ParseValue(redact.New(v.Value), "")
	return v.ID, value, err
}

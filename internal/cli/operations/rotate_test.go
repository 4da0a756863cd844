package operations

import (
	"testing"
	"time"

	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/vault"
)

func TestRotationIsReplacedOnlyIfItsVersionLostItsLabels(t *testing.T) {
	// The log may show finishSecret before the labels change. That is not another rotation.
	for name, c := range map[string]struct {
		stages             []string
		complete, replaced bool
	}{
		"the labels have not changed yet":               {[]string{vault.Pending}, false, false},
		"the version is current":                        {[]string{vault.Current}, true, false},
		"current, before AWSPENDING is removed":         {[]string{vault.Current, vault.Pending}, true, false},
		"one other rotation has completed":              {[]string{vault.Previous}, true, true},
		"two other rotations have completed":            {nil, true, true},
		"another rotation, and a label of another tool": {[]string{"approved"}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			version := vault.NewVersion("new", c.stages)
			f := &follower{
				secret: &managed.Secret{Secret: vault.Secret{Name: "prod/pipeline",
					Versions: map[string]vault.Version{"new": version}}},
				result: &Rotated{VersionID: "new"}, stepped: steps,
				Operator: &Operator{}, patience: Patience{Whole: 1 << 60, Retry: 1 << 60},
			}
			f.began = time.Now()
			if _, err := f.ended(); (err == nil && f.result.Complete) != c.complete || f.result.Replaced != c.replaced {
				t.Errorf("got complete %t, replaced %t, %v; want %t, %t", f.result.Complete, f.result.Replaced, err,
					c.complete, c.replaced)
			}
		})
	}
}

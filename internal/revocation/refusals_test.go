package revocation_test

import (
	"slices"
	"testing"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/vault"
)

// TestRegistryThatRefusesEveryKeyFromAnyRequestOn has a registry that starts to refuse all keys at
// any request of a sweep. No label of a valid key is removed, and the next sweep does the rest.
func TestRegistryThatRefusesEveryKeyFromAnyRequestOn(t *testing.T) {
	for from := range 20 {
		r := sandboxtest.New(t)
		s, old, fresh := due(t, r)
		r.Registry.MintKey(sandbox.UserEmail, apikey.Name(s.Name, r.Clock.Now(), s.ARN), 90)
		r.Clock.Advance(2 * orphanAge) // the first key is due, and the orphan old enough
		refuse, n := true, 0
		refused := sandboxtest.Answer(401, `{"message":"Token invalid."}`)
		r.Intercept(sandboxtest.OnService("registry", func(c *wire.Call, next func()) {
			if n++; refuse && n > from {
				refused(c, next)
				return
			}
			next()
		}))
		_, err := s.Sweep()
		if row, exists := r.Registry.KeyBySecret(old.Reveal()); exists && !slices.Contains(ledger(s),
			vault.KeyLabel(row.ID)) {
			t.Errorf("refused from request %d on: the valid key %s lost its label", from, row.ID)
		}
		valid(t, s, fresh)
		if n <= from {
			if err != nil || from == 0 {
				t.Errorf("the sweep made %d requests and failed with %v", n, err)
			}
			return
		}
		if err == nil {
			t.Errorf("refused from request %d on: the sweep succeeded", from)
		}
		refuse = false
		s.MustSweep()
		valid(t, s, fresh)
		if left := len(r.Registry.Keys()); left != 1 {
			t.Errorf("refused from request %d on: the next sweep leaves %d keys, want the current one only", from, left)
		}
	}
	t.Error("the sweep never ran without a refusal")
}

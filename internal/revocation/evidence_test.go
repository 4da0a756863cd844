package revocation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quilt-rotate/internal/apikey"
	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/vault"
)

func init() { hermetic.FixSeed() }

// TestAKeyInAnotherFieldIsProtected has a consumer that reads the superseded key from another field
// of the current value. The key is not revoked, in any form of the text. Its grace period starts
// when the text is removed.
func TestAKeyInAnotherFieldIsProtected(t *testing.T) {
	for name, form := range map[string]string{
		"another field": `"quilt_api_key":"KEY"`, "inside a URL": `"url":"https://x:KEY@host"`,
		"nested": `"a":[{"b":"x KEY y"}]`, "escaped": `"a":"\u0071REST"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			plain := sandboxtest.ValueWith(fresh.Reveal())
			text := strings.NewReplacer("KEY", old.Reveal(), "REST", old.Reveal()[1:]).Replace(form)
			s.Put(strings.Replace(plain, "{", "{"+text+",", 1))
			s.Put(strings.Replace(plain, "{", "{"+text+",", 1)) // so that the old version is not AWSPREVIOUS
			sweptAll(t, s, "unmark current-again done", "relabel key-moved done")
			r.Clock.Advance(48 * time.Hour)
			swept(t, s, "report same-key")
			valid(t, s, old, fresh)
			s.Put(plain)
			sweptAll(t, s, "mark superseded done", "relabel key-moved done")
			r.Clock.Advance(23 * time.Hour)
			swept(t, s, "report in-grace")
			valid(t, s, old)
			r.Clock.Advance(25 * time.Hour)
			swept(t, s, "revoke grace-over done")
			revoked(t, s, old)
		})
	}
}

// TestAnOrphanInAnotherFieldIsProtected has a key without a label that the current value holds
// beside its own key.
func TestAnOrphanInAnotherFieldIsProtected(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	s.MustSweep()
	_, other := r.Registry.MintKey(sandbox.UserEmail, apikey.Name(s.Name, r.Clock.Now(), s.ARN), 90)
	s.Put(strings.Replace(sandboxtest.ValueWith(s.CurrentKey().Reveal()), "{", `{"spare":"`+other+`",`, 1))
	r.Clock.Advance(48 * time.Hour)
	swept(t, s, "relabel key-moved done", "report ambiguous")
	valid(t, s, parsed(other))
}

// TestUnreadableVersionDoesNotStopTheSweep disables the KMS key of an older version. The sweep
// reports the version with the error's code, raises the alarm, and handles the other keys. The same
// error for AWSCURRENT, or any other error, stops the sweep.
func TestUnreadableVersionDoesNotStopTheSweep(t *testing.T) {
	for _, code := range []string{"AccessDeniedException", "DecryptionFailure", "InvalidRequestException",
		"InvalidParameterException"} {
		t.Run(code, func(t *testing.T) {
			r := sandboxtest.New(t)
			s, _, _ := due(t, r)
			s.MustRotate()
			second := s.KeyIn(s.Holder(vault.Previous))
			sweptAll(t, s, "mark superseded done", "revoke grace-over done")
			r.Clock.Advance(48 * time.Hour)
			s.MustRotate()
			sweptAll(t, s, "mark superseded done", "revoke grace-over done")
			revoked(t, s, second)
			locked := s.Holder(vault.Previous).ID
			s.MustRotate()
			s.MustSweep()
			third := s.KeyIn(s.Holder(vault.Previous))
			r.Clock.Advance(48 * time.Hour)
			r.Secrets.SetUndecryptable(locked, code)
			result := sweptAll(t, s, "report undecryptable", "revoke grace-over done")
			revoked(t, s, third)
			for _, a := range result.Actions {
				if a.Reason == Undecryptable && (a.Version != locked || a.Code != code) {
					t.Errorf("the report does not name version and code: %+v", a)
				}
			}
			if len(r.Output.Lines(`"reason":"undecryptable"`, locked, code)) != 1 ||
				len(r.Output.Lines(`"KeysNeedingAttention":1`, `"reasons":"undecryptable"`)) != 1 {
				t.Errorf("log and metric do not report it:\n%s", r.Output)
			}
			r.Secrets.SetUndecryptable(s.Holder(vault.Current).ID, code)
			failed(t, s, "SecretsManagerFailed", code)
		})
	}
	t.Run("a throttled request says nothing about the version", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, old, _ := due(t, r)
		r.Secrets.SetUndecryptable(s.Holder(vault.Previous).ID, "ThrottlingException")
		failed(t, s, "SecretsManagerFailed")
		valid(t, s, old)
	})
}

// sweptAll is swept in any order.
func sweptAll(t *testing.T, s *sandboxtest.Secret, want ...string) Result {
	t.Helper()
	result := s.MustSweep()
	got := map[string]int{}
	for _, line := range did(result) {
		got[line]++
	}
	for _, line := range want {
		got[line]--
	}
	for line, n := range got {
		if n != 0 {
			t.Fatalf("the sweep did %v, want %v: %q %+d\n%s", did(result), want, line, n, s.Labels())
		}
	}
	return result
}

// TestFingerprintsOfAnUnknownForm has a registry that shows fingerprints in an unknown form.
// Revocations must continue, or keys are left behind. The value decides, so a label that a person
// moved leads to no other key.
func TestFingerprintsOfAnUnknownForm(t *testing.T) {
	for _, form := range []string{quiltregistry.FingerprintStart, quiltregistry.FingerprintMasked,
		quiltregistry.FingerprintHash} {
		t.Run(form, func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.FingerprintForm = form })
			// a masked fingerprint is every key's
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.UseNotRecorded = true })
			r.Clock.Advance(48 * time.Hour)
			swept(t, s, "revoke grace-over done")
			revoked(t, s, old)
			valid(t, s, fresh)
			noLabelsLeft(t, s)
		})
		t.Run(form+"/orphan", func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			s.MustRotate() // its key has a label
			crash(t, s, 7)
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.FingerprintForm = form })
			r.Clock.Advance(2 * time.Hour)
			result := s.MustSweep()
			if !strings.Contains(fmt.Sprint(did(result)), "report not-comparable") ||
				strings.Contains(fmt.Sprint(did(result)), "revoke-orphan") {
				t.Errorf("the sweep did %v, and cannot know that no version holds the key", did(result))
			}
		})
		t.Run(form+"/label moved by hand", func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			oldID, newID := s.Holder(vault.Previous).ID, s.Holder(vault.Current).ID
			k, _ := r.Registry.KeyBySecret(fresh.Reveal())
			o, _ := r.Registry.KeyBySecret(old.Reveal())
			must(t, s.MoveLabel(vault.KeyLabel(o.ID), "", oldID))
			must(t, s.MoveLabel(vault.KeyLabel(k.ID), oldID, newID)) // the current key's label on the old version
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) {
				w.FingerprintForm = form
				w.UseNotRecorded = true
			})
			r.Clock.Advance(72 * time.Hour)
			for range 3 {
				_, err := s.Sweep()
				must(t, err)
			}
			valid(t, s, fresh)
		})
	}
}

// TestDeactivatedOwner has a former owner who is deactivated for a while. The registry refuses the
// owner's key, and the current user's session cannot see it, but it is valid again later. It is
// reported and keeps its label until it expires.
func TestDeactivatedOwner(t *testing.T) {
	r := sandboxtest.New(t)
	s, first, second := due(t, r)
	_, handed := r.Registry.MintKey(sandbox.AdminEmail, apikey.Name(s.Name, r.Clock.Now(), s.ARN), 90)
	r.Registry.SetActive(sandbox.AdminEmail, true)
	s.Put(sandboxtest.ValueWith(handed)) // recover --new-owner
	// The administrator's session would find the keys of all users, so its answer is taken away.
	r.Intercept(sandboxtest.On(sandboxtest.EditAnswer(`"isAdmin":true`, `"isAdmin":false`), "account", "accountKeys",
		"login", "me"))
	r.Registry.SetActive(sandbox.UserEmail, false)
	for range 3 {
		result := s.MustSweep()
		for _, a := range result.Actions {
			if a.Action == Unlabel || a.Action == Revoke {
				t.Fatalf("the sweep takes a refusal for proof: %+v", a)
			}
		}
		r.Clock.Advance(24 * time.Hour)
	}
	if len(r.Output.Lines(`"reason":"foreign"`)) == 0 || len(ledger(s)) < 2 {
		t.Fatalf("the former owner's keys are in no ledger: %v\n%s", ledger(s), s.Labels())
	}
	r.Registry.SetActive(sandbox.UserEmail, true)
	valid(t, s, first, second)
}

// TestAnAdministratorsSessionProvesAbsence uses a session that can see the keys of all users.
// Otherwise the sweep would report an absent key forever.
func TestAnAdministratorsSessionProvesAbsence(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	s.MustSweep()
	old, _ := r.Registry.KeyBySecret(s.CurrentKey().Reveal())
	must(t, s.MoveLabel(vault.KeyLabel(old.ID), s.Holder(vault.Current).ID, ""))
	_, handed := r.Registry.MintKey(sandbox.AdminEmail, "by hand", 90)
	s.Put(sandboxtest.ValueWith(handed))
	r.Registry.Delete(old.ID)
	sweptAll(t, s, "unlabel gone done")
}

// TestRefusalOfEveryKeyIsNoEvidence has a registry that refuses all keys for a moment after the
// login with the current key. The labels must stay.
func TestRefusalOfEveryKeyIsNoEvidence(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	omit(r, old)
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.GetOmits = w.ListOmits })
	r.Intercept(sandboxtest.On(sandboxtest.Answer(401, `{"message":"Token invalid."}`), "me", "login"))
	swept(t, s, "report not-asked")
	valid(t, s, old)
	if len(ledger(s)) != 2 {
		t.Errorf("the key lost its label: %v", ledger(s))
	}
}

// TestAnExpiredKeyThatTheRegistryDoesNotRevoke has a key that nobody can use. It is reported once
// and its labels are removed, so that sweeps do not fail forever.
func TestAnExpiredKeyThatTheRegistryDoesNotRevoke(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	k, _ := r.Registry.KeyBySecret(old.Reveal())
	r.Registry.Expire(k.ID)
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.ExpiredNotRevoked = true })
	swept(t, s, "report expired-not-revoked")
	noLabelsLeft(t, s)
	swept(t, s) // nor is it taken for an orphan
}

// TestConcurrentSweepsMoveAKeyLabel runs two sweeps. The slower one must not report an error for
// what the faster one did.
func TestConcurrentSweepsMoveAKeyLabel(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	s.MustRotate()
	s.Put(strings.Replace(s.Holder(vault.Current).Value, "1.0e+02", "7", 1))
	twin := r.NewProcess()
	var once bool
	r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		if !once {
			once = true
			if _, err := twin.Sweep(s.ARN); err != nil {
				t.Errorf("the twin failed: %v", err)
			}
		}
		next()
	}, "UpdateSecretVersionStage"))
	result, err := s.Sweep()
	if err != nil || !strings.Contains(fmt.Sprint(did(result)), "relabel key-moved done") {
		t.Errorf("the slower sweep did %v, and failed with %v", did(result), err)
	}
}

// TestASecretNamedLikeAKeyIsSwept has a secret whose name looks like a key. It is swept, and the
// log shows its ARN.
func TestASecretNamedLikeAKeyIsSwept(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("team/qk_pipeline")
	s.MustRotate()
	swept(t, s, "mark superseded done")
	if len(r.Output.Lines(`"message":"sweep done"`, s.ARN)) == 0 {
		t.Errorf("the log does not show the ARN:\n%s", r.Output)
	}
}

// TestOrphansAreFoundWithinADay checks that exactly one sweep of each day searches for orphans,
// whenever in an hour the schedule runs and however late each run is.
func TestOrphansAreFoundWithinADay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		minute, late := rapid.IntRange(0, 59).Draw(rt, "minute"), rapid.SliceOfN(rapid.IntRange(0, 59), 24, 24).Draw(rt,
			"late")
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		s.MustRotate()
		s.MustSweep()
		r.Clock.Advance(50 * time.Hour)
		s.MustSweep()
		r.Clock.Advance(50 * time.Hour)
		r.Registry.MintKey(sandbox.UserEmail, apikey.Name(s.Name, r.Clock.Now(), s.ARN), 90)
		r.Clock.Advance(2 * time.Hour)
		now := r.Clock.Now().UTC()
		next := now.Truncate(time.Hour).Add(time.Hour + time.Duration(minute)*time.Minute)
		trace, found := r.Trace(), 0
		for _, wait := range late {
			if run := next.Add(time.Duration(wait) * time.Minute); run.After(r.Clock.Now()) {
				r.Clock.Advance(run.Sub(r.Clock.Now()))
			}
			result, err := s.Process().SweepAt(s.ARN, next)
			if err != nil {
				rt.Fatal(err)
			}
			found += len(result.Actions)
			next = next.Add(time.Hour)
		}
		if searched := sandboxtest.Count(trace.Take(), "account"); searched != 1 || found != 1 || len(s.Ours()) != 1 {
			rt.Fatalf("%d of 24 sweeps searched, and did %d things; %d keys are left", searched, found, len(s.Ours()))
		}
	})
}

// TestSweepsNearARotationSearch checks that the next sweep finds an orphan that a rotation left,
// without waiting for the daily search.
func TestSweepsNearARotationSearch(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	s.MustRotate()
	idle := r.Clock.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(SearchHour(s.ARN)+1) * time.Hour)
	searches := func(want int) {
		t.Helper()
		trace := r.Trace()
		_, err := s.Process().SweepAt(s.ARN, idle)
		must(t, err)
		if got := sandboxtest.Count(trace.Take(), "account"); got != want {
			t.Errorf("the sweep fetched the list %d times, want %d", got, want)
		}
	}
	searches(1) // rotated a moment ago, and not marked yet
	r.Clock.Advance(49 * time.Hour)
	s.MustSweep()
	searches(0)
	event := s.Begin(sandboxtest.Token(1))
	searches(1) // a rotation is under way
	must(t, s.Step(event, rotation.Create))
	must(t, s.MoveLabel(vault.Pending, "", sandboxtest.Token(1)))
	s.MustSweep()
	searches(1) // marked a moment ago
	r.Clock.Advance(25 * time.Hour)
	searches(0)
	k := s.Holder(vault.Current)
	for _, label := range k.Stages {
		if strings.HasPrefix(label, "quilt-key:") {
			must(t, s.MoveLabel(label, "", k.ID))
		}
	}
	searches(1) // its key cannot be asked for by an id
}

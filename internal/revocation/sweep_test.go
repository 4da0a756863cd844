package revocation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// rotated is a secret that was rotated once, and its keys.
func rotated(t *testing.T, r *sandboxtest.Rig, tags ...string) (s *sandboxtest.Secret, old, fresh apikey.Key) {
	t.Helper()
	s = r.Secret("quilt/pipeline", tags...)
	old = s.CurrentKey()
	s.MustRotate()
	return s, old, s.CurrentKey()
}

// due is rotated, marked, and past all its time.
func due(t *testing.T, r *sandboxtest.Rig, tags ...string) (s *sandboxtest.Secret, old, fresh apikey.Key) {
	t.Helper()
	s, old, fresh = rotated(t, r, tags...)
	swept(t, s, "mark superseded done")
	r.Clock.Advance(48 * time.Hour)
	return s, old, fresh
}

// did is what a sweep took: action and reason, and whether it was done.
func did(result Result) []string {
	lines := []string{}
	for _, a := range result.Actions {
		line := string(a.Action) + " " + string(a.Reason)
		if a.Done {
			line += " done"
		}
		lines = append(lines, line)
	}
	return lines
}

// swept sweeps and demands that this and nothing else is done or reported.
func swept(t *testing.T, s *sandboxtest.Secret, want ...string) Result {
	t.Helper()
	result := s.MustSweep()
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, did(result)); diff != "" {
		t.Fatalf("the sweep is not as it must be (-want +got):\n%s\n%s", diff, s.Labels())
	}
	return result
}

// failed sweeps and demands an error of that type, whose one sentence has the words in it.
func failed(t *testing.T, s *sandboxtest.Secret, name string, words ...string) {
	t.Helper()
	_, err := s.Sweep()
	wantFault(t, err, name, words...)
}

func wantFault(t *testing.T, err error, name string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("the sweep succeeded, want %s", name)
	}
	if got := fault.TypeName(err); got != name {
		t.Fatalf("the sweep failed with %s, want %s: %v", got, name, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the sentence of %s does not say %q: %v", name, word, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), "%!") {
		t.Errorf("the error is not one short line: %q", err)
	}
}

func valid(t *testing.T, s *sandboxtest.Secret, keys ...apikey.Key) {
	t.Helper()
	for _, k := range keys {
		if !s.Valid(k) {
			t.Fatalf("the key %s is revoked\n%s", k, s.Labels())
		}
	}
}

func revoked(t *testing.T, s *sandboxtest.Secret, keys ...apikey.Key) {
	t.Helper()
	for _, k := range keys {
		if s.Valid(k) {
			t.Fatalf("the key %s still works\n%s", k, s.Labels())
		}
	}
}

// ledger are our labels, the current key's left out.
func ledger(s *sandboxtest.Secret) []string {
	labels := []string{}
	for _, v := range s.Snapshot().Versions {
		for _, label := range v.Stages {
			if strings.HasPrefix(label, "quilt-") && !slices.Contains(v.Stages, vault.Current) {
				labels = append(labels, label)
			}
		}
	}
	return labels
}

func noLabelsLeft(t *testing.T, s *sandboxtest.Secret) {
	t.Helper()
	if left := ledger(s); len(left) > 0 {
		t.Errorf("labels are left: %v", left)
	}
}

// use logs in as a consumer does.
func use(t *testing.T, r *sandboxtest.Rig, key apikey.Key) {
	t.Helper()
	c, err := quilt.NewClient(r.RegistryURL, quilt.Options{})
	must(t, err)
	_, err = c.WithKey(key).Me(t.Context())
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func count(r *sandboxtest.Rig, audit string) (n int) {
	for _, e := range r.Registry.Audit() {
		if e.EventName == audit && e.ErrorCode == "" {
			n++
		}
	}
	return n
}

// TestTheWholeLifeOfASupersededKey has a consumer that changes to the new key late. The old key is
// held for it and then revoked.
func TestTheWholeLifeOfASupersededKey(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, fresh := rotated(t, r)
	swept(t, s, "mark superseded done")
	swept(t, s, "report in-grace")
	r.Clock.Advance(23 * time.Hour)
	swept(t, s, "report in-grace")
	use(t, r, old)
	r.Clock.Advance(time.Hour)
	result := swept(t, s, "hold still-used")
	a := result.Actions[0]
	if a.LastUsedAt == nil || a.Until == nil || a.Fingerprint != old.Fingerprint() || a.Owner != sandbox.UserEmail {
		t.Errorf("the hold does not say whose key it is, when it was used last and how long it lasts: %s",
			sandboxtest.JSONOf(a))
	}
	r.Clock.Advance(23 * time.Hour)
	swept(t, s, "hold still-used")
	r.Clock.Advance(time.Hour + time.Second)
	valid(t, s, old)
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
	valid(t, s, fresh)
	noLabelsLeft(t, s)
	swept(t, s)
}

// crash kills createSecret between the registry's new key and the put.
func crash(t *testing.T, s *sandboxtest.Secret, n int) (event sandboxtest.Event) {
	t.Helper()
	event = s.Begin(sandboxtest.Token(n))
	process := s.Process()
	remove := s.Intercept(sandboxtest.On(func(c *wire.Call, _ func()) {
		process.Kill()
		c.Cut()
	}, "PutSecretValue"))
	defer remove()
	if err := s.Step(event, rotation.Create); err == nil {
		t.Fatal("createSecret survived")
	}
	return event
}

// TestOrphanIsRevokedAtTheOrphanAge checks that a key which no version holds is revoked, but not
// before the late put of a crashed createSecret could store it.
func TestOrphanIsRevokedAtTheOrphanAge(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	current := s.CurrentKey()
	crash(t, s, 1)
	swept(t, s, "report orphan-too-young")
	r.Clock.Advance(time.Hour - 10*time.Second)
	swept(t, s, "report orphan-too-young")
	if n := len(s.Ours()); n != 2 {
		t.Fatalf("there are %d keys, want the current one and the orphan", n)
	}
	r.Clock.Advance(12 * time.Second)
	swept(t, s, "revoke-orphan orphaned done")
	if n := len(s.Ours()); n != 1 {
		t.Errorf("%d keys are left, want the current one", n)
	}
	valid(t, s, current)
	swept(t, s)
}

// TestRollback rolls back by hand before and after the mark. The key that is current again is not
// revoked, and its mark is removed.
func TestRollback(t *testing.T) {
	for _, markedFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("marked=%t", markedFirst), func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := rotated(t, r)
			oldID, freshID := s.Holder(vault.Previous).ID, s.Holder(vault.Current).ID
			if markedFirst {
				swept(t, s, "mark superseded done")
			}
			r.Clock.Advance(72 * time.Hour)
			must(t, s.MoveLabel(vault.Current, oldID, freshID))
			result := s.MustSweep()
			want := []string{"mark superseded done"}
			if markedFirst {
				want = append(want, "unmark current-again done")
			}
			got := did(result)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			valid(t, s, old, fresh)
			r.Clock.Advance(48 * time.Hour)
			swept(t, s, "revoke grace-over done")
			revoked(t, s, fresh)
			valid(t, s, old)
		})
	}
}

// TestAnEditOfAnotherField has two versions with the same key. Its label moves to the newer one,
// and the grace period starts when the last one is superseded.
func TestAnEditOfAnotherField(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	key := s.CurrentKey()
	s.Put(strings.Replace(s.Holder(vault.Current).Value, "1.0e+02", "7", 1))
	swept(t, s, "relabel key-moved done")
	swept(t, s)
	s.MustRotate()
	r.Clock.Advance(48 * time.Hour)
	swept(t, s, "mark superseded done")
	valid(t, s, key)
	r.Clock.Advance(48 * time.Hour)
	swept(t, s, "revoke grace-over done")
	revoked(t, s, key)
}

// TestAnOlderMarkDoesNotShortenGrace stores an old value again, and then a new one, between two
// sweeps. The mark of the old version has an earlier time.
func TestAnOlderMarkDoesNotShortenGrace(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, fresh := rotated(t, r)
	newest := s.Holder(vault.Current).Value
	swept(t, s, "mark superseded done")
	r.Clock.Advance(72 * time.Hour)
	s.Put(sandboxtest.ValueWith(old.Reveal()))
	s.Put(newest)
	marked := slices.IndexFunc(s.Snapshot().Versions,
		func(v awssecrets.Version) bool { return len(vault.NewVersion(v.ID, v.Stages).Marks) > 0 })
	result := s.MustSweep()
	if v := s.Snapshot().Versions[marked]; len(vault.NewVersion(v.ID, v.Stages).Marks) > 0 {
		t.Errorf("the version that lost its key label keeps its mark:\n%s", s.Labels())
	}
	valid(t, s, old, fresh)
	for _, a := range result.Actions {
		if a.Action == Revoke {
			t.Fatalf("a key that was current a moment ago is revoked: %s", sandboxtest.JSONOf(result))
		}
	}
	result = s.MustSweep()
	if !slices.Contains(did(result), "mark superseded done") {
		t.Errorf("its grace does not begin anew: %v\n%s", did(result), s.Labels())
	}
	r.Clock.Advance(48 * time.Hour)
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
	valid(t, s, fresh)
}

// TestConditionsThatStopASweep has states in which a sweep must not write or revoke anything.
func TestConditionsThatStopASweep(t *testing.T) {
	blank := func(s *sandboxtest.Secret) { s.Put("{}") }
	states := []struct {
		name    string
		prepare func(*sandboxtest.Secret)
		outcome Outcome // or
		fault   string
		says    string
	}{
		{name: "paused by the tag of older releases", prepare: pauseFor(time.Hour), outcome: Paused},
		{name: "paused", prepare: pauseByLabel(time.Hour, vault.Current), outcome: Paused},
		{name: "paused, and AWSCURRENT has moved since", prepare: pauseByLabel(time.Hour, vault.Previous),
			outcome: Paused},
		{name: "paused by two labels, the later counts", prepare: func(s *sandboxtest.Secret) {
			pauseByLabel(-time.Hour, vault.Current)(s)
			pauseByLabel(time.Hour, vault.Previous)(s)
		}, outcome: Paused},
		{name: "pause over", prepare: pauseFor(-time.Second), outcome: Swept},
		{name: "deleted", prepare: deleteSecret, outcome: Deleted},
		{name: "overwritten with a blank", prepare: blank, fault: "Overwritten", says: "rollback"},
		{name: "overwritten with nonsense", prepare: func(s *sandboxtest.Secret) { s.Put("hello") },
			fault: "Overwritten", says: settings.TagField},
		{name: "overwritten with another JSON",
			prepare: func(s *sandboxtest.Secret) { s.Put(`{"user":"x","password":"y"}`) }, fault: "Overwritten",
			says: "rollback"},
		{name: "current key revoked by somebody", prepare: deleteCurrentKey, fault: "CurrentKeyRefused",
			says: "quilt-rotate recover"},
		{name: "user switched off", prepare: func(s *sandboxtest.Secret) {
			s.Registry.SetActive(sandbox.UserEmail,
				false)
		}, fault: "CurrentKeyRefused"},
		{name: "registry down", prepare: registryDown, fault: "RegistryUnavailable"},
		{name: "bad tag", prepare: func(s *sandboxtest.Secret) { s.Tag(settings.TagGrace, "soon") }, fault: "BadTags",
			says: settings.TagGrace},
		{name: "unknown label", prepare: unknownLabel, fault: "UnknownLabel", says: "deploy the release that wrote it"},
	}
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			state.prepare(s)
			before, revocations := s.Labels(), count(r, "APIKeys.Revoke")
			foreseen(t, s, state.outcome, state.fault, state.says)
			result, err := s.Sweep()
			if state.fault != "" {
				wantFault(t, err, state.fault, state.says)
			} else if err != nil || result.Outcome != state.outcome {
				t.Fatalf("the sweep ended with %q and %v, want %q", result.Outcome, err, state.outcome)
			}
			if state.outcome == Swept {
				revoked(t, s, old)
				return
			}
			if count(r, "APIKeys.Revoke") != revocations || s.Labels() != before {
				t.Errorf("it changed something:\n%s\nwas\n%s", s.Labels(), before)
			}
			_ = fresh
		})
	}
}

func pauseByLabel(d time.Duration, stage string) func(*sandboxtest.Secret) {
	return func(s *sandboxtest.Secret) {
		if err := s.MoveLabel(vault.PauseLabel(s.Clock.Now().Add(d)), s.Holder(stage).ID, ""); err != nil {
			s.Fatalf("%v", err)
		}
	}
}

func pauseFor(d time.Duration) func(*sandboxtest.Secret) {
	return func(s *sandboxtest.Secret) {
		s.Tag(settings.TagPauseUntil, s.Clock.Now().Add(d).Format(time.RFC3339))
	}
}

func deleteSecret(s *sandboxtest.Secret) {
	_, err := s.Hands.DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: &s.ARN})
	if err != nil {
		s.Fatalf("%v", err)
	}
}

func deleteCurrentKey(s *sandboxtest.Secret) {
	k, _ := s.Registry.KeyBySecret(s.CurrentKey().Reveal())
	s.Registry.Delete(k.ID)
}

func registryDown(s *sandboxtest.Secret) {
	s.Intercept(sandboxtest.OnService("registry", sandboxtest.LoseRequest))
}

func unknownLabel(s *sandboxtest.Secret) {
	if err := s.MoveLabel("quilt-next:1", s.Holder(vault.Current).ID, ""); err != nil {
		s.Fatalf("%v", err)
	}
}

// TestAFreshSecretRaisesNoAlarm has a deployment before its first key. Neither the test run nor the
// sweeps fail.
func TestAFreshSecretRaisesNoAlarm(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.BareSecret("quilt/fresh", "{}")
	r.Output.Take()
	trace := r.Trace()
	for range 2 {
		if result := swept(t, s); result.Outcome != NotBootstrapped {
			t.Errorf("the outcome is %q", result.Outcome)
		}
	}
	if n := len(slices.DeleteFunc(trace.Take(), func(q sandboxtest.Request) bool {
		return !strings.Contains(q.Operation, "account") && q.Operation != "me"
	})); n != 0 {
		t.Errorf("%d requests to the registry, though there is nothing to ask", n)
	}
	if lines := r.Output.Lines(`"level":"ERROR"`); len(lines) > 0 || len(r.Output.Lines(`"NotBootstrapped":1`)) != 2 ||
		len(r.Output.Lines(`"SweepFailed"`)) > 0 {
		t.Errorf("the output is not that of a fresh secret:\n%s", r.Output)
	}
	id := s.Bootstrap(sandbox.UserEmail)
	swept(t, s)
	if k := s.CurrentKey(); !s.Valid(k) || id == "" {
		t.Error("the first key does not work")
	}
}

// TestAValueThatNeverHeldAKey has a value without a key and no valid key. This is an error of the
// configuration that wakes nobody.
func TestAValueThatNeverHeldAKey(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.BareSecret("quilt/adopted", `{"user":"x","password":"y"}`)
	_, err := s.Sweep()
	wantFault(t, err, "BadValue", settings.TagField)
}

// TestPartialFailure has one key that cannot be revoked. The sweep handles the other keys, the
// error names the rest, and the next sweep completes it.
func TestPartialFailure(t *testing.T) {
	r := sandboxtest.New(t)
	s, first, second := rotated(t, r)
	s.MustRotate()
	swept(t, s, "mark superseded done", "mark superseded done")
	r.Clock.Advance(48 * time.Hour)
	remove := r.Intercept(sandboxtest.On(sandboxtest.Nth(0, sandboxtest.Answer(403, `{"message":"no"}`)),
		"apiKeyRevoke"))
	_, err := s.Sweep()
	wantFault(t, err, "SweepIncomplete", "1 of 2", "revoke of the key")
	remove()
	left := 0
	for _, k := range []apikey.Key{first, second} {
		if s.Valid(k) {
			left++
			id, _ := r.Registry.KeyBySecret(k.Reveal())
			if !strings.Contains(err.Error(), id.ID) {
				t.Errorf("the error does not name the key that is left: %v", err)
			}
		}
	}
	if left != 1 {
		t.Fatalf("%d of two keys are left after the failure of one, want 1", left)
	}
	swept(t, s, "revoke grace-over done")
	revoked(t, s, first, second)
	noLabelsLeft(t, s)
}

// TestARevocationWhoseAnswerIsLost checks that the sweep does not report its own successful
// revocation as a failure.
func TestARevocationWhoseAnswerIsLost(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	r.Intercept(sandboxtest.On(sandboxtest.Nth(0, sandboxtest.LoseAnswer), "apiKeyRevoke"))
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
	noLabelsLeft(t, s)
}

// TestACrashAfterTheRevocation checks that the next sweep removes the labels of a key that no
// longer exists.
func TestACrashAfterTheRevocation(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	process := r.Process()
	remove := r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		process.Kill()
		c.Cut()
	}, "apiKeyRevoke"))
	_, _ = s.Sweep()
	remove()
	revoked(t, s, old)
	if len(ledger(s)) != 2 {
		t.Fatalf("the labels are gone before the refusal was seen: %v", ledger(s))
	}
	swept(t, s, "unlabel gone done")
	noLabelsLeft(t, s)
}

// TestARevokedKeyThatStillLogsIn checks that the labels stay until the registry refuses the key.
func TestARevokedKeyThatStillLogsIn(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.RevokedKeyLogins = 1000 })
	failed(t, s, "StillLogsIn", s.ARN)
	if len(ledger(s)) != 2 {
		t.Fatalf("the labels are gone, though the key logs in: %v", ledger(s))
	}
	for s.Valid(old) {
		c, err := quilt.NewClient(r.RegistryURL, quilt.Options{})
		must(t, err)
		_, _ = c.WithKey(old).Me(t.Context())
	}
	swept(t, s, "unlabel gone done")
	noLabelsLeft(t, s)
}

// TestAShortList has a list that lacks keys. A missing key in a list is no evidence.
func TestAShortList(t *testing.T) {
	t.Run("the old key", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, old, _ := due(t, r)
		omit(r, old)
		swept(t, s, "revoke grace-over done") // the registry knows it by its id
		revoked(t, s, old)
	})
	t.Run("the old key, by its id too", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, old, _ := due(t, r)
		omit(r, old)
		r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.GetOmits = w.ListOmits })
		swept(t, s, "report foreign") // it logs in
		valid(t, s, old)
		if len(ledger(s)) != 2 {
			t.Errorf("a valid key lost its label: %v", ledger(s))
		}
	})
	t.Run("the current key: no orphan is revoked", func(t *testing.T) {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		crash(t, s, 1)
		r.Clock.Advance(2 * time.Hour)
		omit(r, s.CurrentKey())
		swept(t, s, "report list-incomplete")
		if n := len(s.Ours()); n != 2 {
			t.Errorf("%d keys are left, want 2", n)
		}
	})
	t.Run("no answer for the id", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, old, _ := due(t, r)
		omit(r, old)
		remove := r.Intercept(sandboxtest.On(sandboxtest.Answer(503, ""), "accountKeys"))
		failed(t, s, "RegistryUnavailable")
		remove()
		r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.GetOmits = w.ListOmits })
		r.Intercept(sandboxtest.On(sandboxtest.Answer(503, ""), "me"))
		swept(t, s, "report not-asked")
		valid(t, s, old)
	})
}

func omit(r *sandboxtest.Rig, key apikey.Key) {
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) {
		w.ListOmits = func(k quiltregistry.APIKey) bool { return k.Secret == key.Reveal() }
	})
}

// TestForeignKeys has keys that now belong to another user. They are reported and not revoked.
func TestForeignKeys(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	k, _ := r.Registry.KeyBySecret(old.Reveal())
	r.Registry.TransferKey(k.ID, sandbox.AdminEmail)
	swept(t, s, "report foreign")
	valid(t, s, old)
	if len(r.Output.Lines(`"KeysNeedingAttention":1`, `"reasons":"foreign"`)) != 1 ||
		len(r.Output.Lines(`"level":"WARN"`, `"reason":"foreign"`, old.Fingerprint())) != 1 {
		t.Errorf("nothing reports the foreign key:\n%s", r.Output)
	}
}

// TestTwoSecretsWithOneKey has a secret with a copy of another secret's value. Only the first
// secret may revoke the key.
func TestTwoSecretsWithOneKey(t *testing.T) {
	r := sandboxtest.New(t)
	one := r.Secret("quilt/one")
	shared := one.CurrentKey()
	two := r.BareSecret("quilt/two", sandboxtest.ValueWith(shared.Reveal()))
	two.MustRotate()
	_ = two.MustSweep()
	r.Clock.Advance(72 * time.Hour)
	swept(t, two, "report other-secret")
	valid(t, two, shared)
}

// TestTheGateIsPassedBeforeEachAttempt has somebody who rolls back to a key while its revocation
// waits for a retry.
func TestTheGateIsPassedBeforeEachAttempt(t *testing.T) {
	t.Run("the registry is busy", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, old, fresh := due(t, r)
		oldID, newID := s.Holder(vault.Previous).ID, s.Holder(vault.Current).ID
		r.Intercept(sandboxtest.On(sandboxtest.Nth(0, func(c *wire.Call, _ func()) {
			must(t, s.MoveLabel(vault.Current, oldID, newID))
			c.Respond(429, `{"message":"slow down"}`)
		}), "apiKeyRevoke"))
		swept(t, s, "report world-changed")
		valid(t, s, old, fresh)
	})
	t.Run("the issuer takes over", func(t *testing.T) {
		r := sandboxtest.New(t)
		issuer := r.BareSecret("quilt/issuer", `{"username":"`+sandbox.UserName+`","password":"`+sandbox.UserPassword+
			`"}`)
		s, old, fresh := due(t, r)
		s.Tag(settings.TagIssuer, issuer.ARN)
		r.Registry.SetSwitches(func(w *quiltregistry.Switches) {
			w.KeysMayNotManage = quiltregistry.RefuseInvalidInput
		})
		oldID, newID := s.Holder(vault.Previous).ID, s.Holder(vault.Current).ID
		r.Intercept(sandboxtest.On(sandboxtest.Before(func() { must(t, s.MoveLabel(vault.Current, oldID, newID)) }),
			"POST /api/login"))
		swept(t, s, "report world-changed")
		valid(t, s, old, fresh)
	})
}

// TestBusyRegistryGetsFewRequests checks that a revocation is sent three times, and not again if
// the registry asks for a long wait. The next sweep revokes the key.
func TestBusyRegistryGetsFewRequests(t *testing.T) {
	for retryAfter, attempts := range map[string]int{"": 3, "30": 1} {
		r := sandboxtest.New(t)
		s, old, fresh := due(t, r)
		trace := r.Trace()
		remove := r.Intercept(sandboxtest.On(func(c *wire.Call, _ func()) {
			c.Respond(429, `{"message":"slow down"}`, "Retry-After", retryAfter)
		}, "apiKeyRevoke"))
		failed(t, s, "SweepIncomplete", "1 of 1")
		if n := sandboxtest.Count(trace.Take(), "apiKeyRevoke"); n != attempts {
			t.Errorf("a registry that asks to wait for %q seconds is asked %d times, want %d", retryAfter, n, attempts)
		}
		remove()
		swept(t, s, "revoke grace-over done")
		revoked(t, s, old)
		valid(t, s, fresh)
	}
}

// TestKeysMayNotManageKeys has registries whose keys can log in but cannot manage keys, with each
// possible answer.
func TestKeysMayNotManageKeys(t *testing.T) {
	for _, manner := range []string{quiltregistry.RefuseForbidden, quiltregistry.RefuseGraphQLError,
		quiltregistry.RefuseInvalidInput} {
		refuse := func(r *sandboxtest.Rig) {
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.KeysMayNotManage = manner })
		}
		t.Run(manner+"/no issuer", func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			refuse(r)
			want := "RegistryRefused"
			// which lets keys be listed, so that the sweep goes on until it revokes
			if manner == quiltregistry.RefuseInvalidInput {
				want = "SweepIncomplete"
			}
			failed(t, s, want)
			valid(t, s, old, fresh)
		})
		t.Run(manner+"/issuer", func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			s.Tag(settings.TagIssuer, issuerOf(t, r, sandbox.UserName, sandbox.UserPassword))
			refuse(r)
			swept(t, s, "revoke grace-over done")
			revoked(t, s, old)
			valid(t, s, fresh)
			noLabelsLeft(t, s)
		})
		t.Run(manner+"/issuer of another user", func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			s.Tag(settings.TagIssuer, issuerOf(t, r, sandbox.AdminName, sandbox.AdminPassword))
			refuse(r)
			_, err := s.Sweep()
			if err == nil || !strings.Contains(err.Error(), sandbox.AdminEmail) {
				t.Errorf("the error does not name the other user: %v", err)
			}
			valid(t, s, old, fresh)
		})
		t.Run(manner+"/issuer that cannot log in", func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			s.Tag(settings.TagIssuer, issuerOf(t, r, sandbox.UserName, "not-the-password"))
			refuse(r)
			_, err := s.Sweep()
			if err == nil || fault.TypeName(err) == "CurrentKeyRefused" || !strings.Contains(err.Error(),
				"the issuing credential of "+s.ARN) {
				t.Errorf("the error does not name the issuing credential: %T %v", err, err)
			}
			valid(t, s, old, fresh)
		})
	}
}

func issuerOf(t *testing.T, r *sandboxtest.Rig, user, password string) (arn string) {
	t.Helper()
	value, _ := json.Marshal(map[string]string{"username": user, "password": password})
	arn, err := r.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("quilt/issuer"),
		SecretString: aws.String(string(value))})
	must(t, err)
	return arn
}

// TestReplicaLag has consumers in a replica region that may still read the old key.
func TestReplicaLag(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := due(t, r)
	_, err := r.Hands.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: &s.ARN, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")},
			{Region: aws.String("us-west-2")}},
	})
	must(t, err)
	must(t, r.Secrets.SetReplicaStatus(s.ARN, "eu-west-1", "InProgress", ""))
	swept(t, s, "report replica-lag")
	valid(t, s, old)
	must(t, r.Secrets.SetReplicaStatus(s.ARN, "eu-west-1", "Failed", "no key there"))
	swept(t, s, "report replica-failed")
	must(t, r.Secrets.SetReplicaStatus(s.ARN, "eu-west-1", vault.InSync, ""))
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
}

// TestUseThatIsNotRecorded has a registry that records no use. Keys are not held forever, and the
// sweep says why a key was revoked.
func TestUseThatIsNotRecorded(t *testing.T) {
	r := sandboxtest.New(t)
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.UseNotRecorded = true })
	s, old, _ := rotated(t, r)
	swept(t, s, "mark superseded done")
	r.Clock.Advance(24*time.Hour - 5*time.Second)
	swept(t, s, "report in-grace")
	r.Clock.Advance(6 * time.Second)
	swept(t, s, "revoke grace-over-use-not-recorded done")
	revoked(t, s, old)
}

// TestANightlyJobAtARegistryThatRecordsDays has a job that runs once a day. The registry shows a
// use at 23:59 as the midnight before, and the key must still be valid in the next night.
func TestANightlyJobAtARegistryThatRecordsDays(t *testing.T) {
	r := sandboxtest.New(t)
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.UseGranularity = 24 * time.Hour })
	s, old, _ := due(t, r)
	now := r.Clock.Now().UTC()
	r.Clock.Advance(now.Truncate(24 * time.Hour).Add(24*time.Hour - time.Minute).Sub(now))
	for range 3 {
		use(t, r, old)
		for range 23 {
			r.Clock.Advance(time.Hour)
			swept(t, s, "hold still-used")
		}
		r.Clock.Advance(time.Hour)
	}
	r.Clock.Advance(26 * time.Hour)
	swept(t, s, "revoke grace-over done")
}

// TestRegistryWithAWrongClock checks that dates of one clock are not compared with dates of
// another.
func TestRegistryWithAWrongClock(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			r := sandboxtest.New(t)
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.Skew = skew })
			s, old, fresh := rotated(t, r)
			crash(t, s, 9)
			swept(t, s, "report rotation-under-way", "report orphan-too-young")
			must(t, s.MoveLabel(vault.Pending, "", s.Holder(vault.Pending).ID))
			swept(t, s, "mark superseded done", "report orphan-too-young")
			r.Clock.Advance(23 * time.Hour)
			use(t, r, old)
			r.Clock.Advance(2 * time.Hour)
			swept(t, s, "hold still-used", "revoke-orphan orphaned done")
			r.Clock.Advance(22 * time.Hour)
			swept(t, s, "hold still-used")
			r.Clock.Advance(time.Hour + time.Second)
			swept(t, s, "revoke grace-over done")
			valid(t, s, fresh)
		})
	}
}

// TestTagsOverride checks that tags override the settings of the function for their own secret
// only.
func TestTagsOverride(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := rotated(t, r, settings.TagGrace, "3s", settings.TagQuiet, "1s", settings.TagHoldLimit, "30s")
	swept(t, s, "mark superseded done")
	r.Clock.Advance(5 * time.Second)
	use(t, r, old)
	result := swept(t, s, "hold still-used")
	if until := result.Actions[0].Until; until == nil || until.Sub(r.Clock.Now()) > 30*time.Second {
		t.Errorf("the hold limit of the tag does not count: until %v", until)
	}
	s.Tag(settings.TagQuiet, "")
	r.Clock.Advance(5 * time.Second)
	swept(t, s, "hold still-used") // a tag that is missing for a moment shortens nothing
	valid(t, s, old)
	r.Clock.Advance(24 * time.Second)
	swept(t, s, "revoke hold-limit-over done")
	revoked(t, s, old)
}

// TestChangesBeforeTheRevocation changes something between reading and revoking: labels move, a
// pending value is stored, or a mark is new.
func TestChangesBeforeTheRevocation(t *testing.T) {
	changes := []struct {
		name   string
		change func(s *sandboxtest.Secret, oldID, newID string) error
	}{
		{"rolled back", func(s *sandboxtest.Secret, oldID, newID string) error {
			return s.MoveLabel(vault.Current, oldID, newID)
		}},
		{"edited", func(s *sandboxtest.Secret, _, _ string) error {
			s.Put(s.Holder(vault.Previous).Value)
			return nil
		}},
		{"a rotation begins", func(s *sandboxtest.Secret, _, _ string) error {
			s.Begin(sandboxtest.Token(5))
			return nil
		}},
		{"pending by hand", func(s *sandboxtest.Secret, oldID, _ string) error {
			return s.MoveLabel(vault.Pending,
				oldID, "")
		}},
		{"marked anew", func(s *sandboxtest.Secret, oldID, _ string) error {
			return s.MoveLabel(vault.NewMark(oldID, s.Clock.Now()).Label(), oldID, "")
		}},
		{"mark removed", func(s *sandboxtest.Secret, oldID, _ string) error {
			for _, label := range ledger(s) {
				if strings.Contains(label, "superseded") {
					return s.MoveLabel(label, "", oldID)
				}
			}
			return nil
		}},
		{"deleted", func(s *sandboxtest.Secret, _, _ string) error { deleteSecret(s); return nil }},
		{"paused", func(s *sandboxtest.Secret, _, _ string) error {
			pauseByLabel(time.Hour,
				vault.Current)(s)
			return nil
		}},
		{"paused by the tag of older releases", func(s *sandboxtest.Secret, _, _ string) error {
			pauseFor(time.Hour)(s)
			return nil
		}},
	}
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s, old, fresh := due(t, r)
			oldID, newID := s.Holder(vault.Previous).ID, s.Holder(vault.Current).ID
			r.Intercept(
				sandboxtest.On(sandboxtest.Nth(1, sandboxtest.Before(func() { must(t, c.change(s, oldID, newID)) })),
					"DescribeSecret"))
			swept(t, s, "report world-changed")
			valid(t, s, old, fresh)
		})
	}
	t.Run("pending moves to another version that holds the key", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, old, fresh := due(t, r)
		copied, err := r.Hands.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: &s.ARN, SecretString: aws.String(sandboxtest.ValueWith(old.Reveal())), VersionStages: []string{
				"copy"},
		})
		must(t, err)
		r.Intercept(
			sandboxtest.On(sandboxtest.Nth(1,
				sandboxtest.Before(func() { must(t, s.MoveLabel(vault.Pending, *copied.VersionId, "")) })),
				"DescribeSecret"))
		swept(t, s, "report world-changed")
		valid(t, s, old, fresh)
	})
	t.Run("a command stores the orphan", func(t *testing.T) {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		crash(t, s, 1)
		must(t, s.MoveLabel(vault.Pending, "", s.Holder(vault.Pending).ID))
		r.Clock.Advance(2 * time.Hour)
		orphan := r.Registry.Keys()[1]
		r.Intercept(sandboxtest.On(sandboxtest.Nth(1, sandboxtest.Before(func() {
			_, err := r.Hands.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: &s.ARN, SecretString: aws.String(sandboxtest.ValueWith(orphan.Secret)),
				VersionStages: []string{vault.KeyLabel(orphan.ID)},
			})
			must(t, err)
		})), "DescribeSecret"))
		swept(t, s, "report world-changed")
		valid(t, s, s.KeyIn(s.Holder(vault.KeyLabel(orphan.ID))))
	})
	t.Run("a pending value lands: the orphan is somebody's", func(t *testing.T) {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		var land func()
		event := s.Begin(sandboxtest.Token(1))
		process := r.Process()
		remove := r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
			land = next
			process.Kill()
			c.Cut()
		}, "PutSecretValue"))
		_ = s.Step(event, rotation.Create)
		remove()
		r.Clock.Advance(2 * time.Hour)
		r.Intercept(sandboxtest.On(sandboxtest.Nth(1, sandboxtest.Before(func() { land() })), "DescribeSecret"))
		swept(t, s, "report world-changed")
		if n := len(s.Ours()); n != 2 {
			t.Errorf("%d keys are left, want 2", n)
		}
		valid(t, s, s.KeyIn(s.Holder(vault.Pending)))
	})
	t.Run("a pending value lands after the labels were read", func(t *testing.T) {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		crash(t, s, 1)
		r.Clock.Advance(2 * time.Hour)
		// without a key label, as from a program that is not this one
		put := func() {
			_, err := r.Hands.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: &s.ARN, ClientRequestToken: aws.String(sandboxtest.Token(1)), SecretString: aws.String("{}"),
				VersionStages: []string{vault.Pending},
			})
			must(t, err)
		}
		reads := 0
		r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
			if strings.Contains(string(c.Body), sandboxtest.Token(1)) {
				if reads++; reads == 2 {
					put()
				}
			}
			next()
		}, "GetSecretValue"))
		swept(t, s, "report world-changed")
		if n := len(s.Ours()); n != 2 {
			t.Errorf("%d keys are left, want 2", n)
		}
	})
}

// TestRequestsOfASweep checks the number of requests. A sweep with nothing to do sends three, and
// the number does not grow with the user's keys.
func TestRequestsOfASweep(t *testing.T) {
	r := sandboxtest.New(t)
	s, _, _ := due(t, r)
	trace := r.Trace()
	idleHour := r.Clock.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(SearchHour(s.ARN)+1) * time.Hour)
	requests := func(want string, actions ...string) {
		t.Helper()
		result, err := s.Process().SweepAt(s.ARN, idleHour)
		must(t, err)
		if diff := cmp.Diff(append([]string{}, actions...), did(result)); diff != "" {
			t.Fatalf("the sweep is not as it must be (-want +got):\n%s", diff)
		}
		var names []string
		for _, q := range trace.Take() {
			names = append(names, q.Operation)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("the sweep made the requests\n%s\nwant\n%s", got, want)
		}
	}
	requests("DescribeSecret GetSecretValue GetSecretValue accountKeys "+
		"DescribeSecret apiKeyRevoke me login UpdateSecretVersionStage UpdateSecretVersionStage",
		"revoke grace-over done")
	requests("DescribeSecret GetSecretValue accountKeys")
	idleHour = idleHour.Add(-time.Hour)
	requests("DescribeSecret GetSecretValue account")
}

// TestTwoSweepsAtOnce runs two concurrent sweeps. Both may do the same, and neither reports a
// failure.
func TestTwoSweepsAtOnce(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, fresh := due(t, r)
	twin := r.NewProcess()
	var once bool
	r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		if !once { // the twin goes through as a whole while this one is about to revoke
			once = true
			if _, err := twin.Sweep(s.ARN); err != nil {
				t.Errorf("the twin failed: %v", err)
			}
		}
		next()
	}, "apiKeyRevoke"))
	swept(t, s, "revoke grace-over done")
	revoked(t, s, old)
	valid(t, s, fresh)
	noLabelsLeft(t, s)
}

// A registry may show more of a key than three characters of each end: the form of fingerprints is
// no contract, and keys must be revoked all the same.
func TestFingerprintsOfAnotherLength(t *testing.T) {
	r := sandboxtest.New(t)
	r.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.FingerprintEnds = 5 })
	s := r.Secret("quilt/pipeline")
	old := s.CurrentKey()
	s.MustRotate()
	s.MustSweep()
	r.Clock.Advance(26 * time.Hour)
	s.MustSweep()
	if s.Valid(old) || !s.Valid(s.CurrentKey()) {
		t.Fatalf("the superseded key must no longer exist, and the current one work\n%s\n%s", s.Labels(), r.Output)
	}
}

package revocation_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// lookedAt makes a dry run, and demands that it makes only reads, changes nothing, measures
// nothing, and writes one line.
func lookedAt(t *testing.T, s *sandboxtest.Secret) (Result, error) {
	t.Helper()
	keys := func() (ids []string) {
		for _, k := range s.Registry.Keys() {
			ids = append(ids, k.ID+" "+k.Owner)
		}
		return ids
	}
	labels, before := s.Labels(), keys()
	s.Output.Take()
	trace := s.Trace()
	result, err := s.Preview()
	for _, q := range trace.Take() {
		if q.Writes() {
			t.Errorf("a dry run sent a request that writes: %s %s", q.Operation, q.Subject)
		}
	}
	if now := s.Labels(); now != labels || !slices.Equal(keys(), before) {
		t.Errorf("a dry run changed something:\n%s\nwas\n%s", now, labels)
	}
	if lines := s.Output.Lines("CloudWatchMetrics"); len(lines) > 0 {
		t.Errorf("a dry run counts as a sweep: %s", lines)
	}
	if lines := s.Output.Lines(`"message"`); len(lines) != 1 ||
		len(s.Output.Lines(`"message":"dry run done"`, s.ARN)) != 1 {
		t.Errorf("a dry run writes %d lines, want one:\n%s", len(lines), s.Output)
	}
	failure := result.WouldFail
	if failure == nil && len(s.Output.Lines(`"level":"INFO"`)) != 1 || failure != nil &&
		len(s.Output.Lines(`"level":"WARN"`, `"errorType":"`+failure.ErrorType+`"`)) != 1 {
		t.Errorf("the line is not as loud as it must be: %v\n%s", failure, s.Output)
	}
	return result, err
}

// foreseen makes a dry run, and demands the outcome, or the failure, that the sweep will have. The
// look itself never fails: its error would ring the function's alarm.
func foreseen(t *testing.T, s *sandboxtest.Secret, outcome Outcome, faultName, says string) {
	t.Helper()
	result, err := lookedAt(t, s)
	switch {
	case faultName != "":
		if err != nil || result.WouldFail == nil || result.WouldFail.ErrorType != faultName ||
			!strings.Contains(result.WouldFail.Error, says) {
			t.Errorf("the dry run does not say that the sweep will fail with %s: %v %+v", faultName, err,
				result.WouldFail)
		}
	case err != nil || result.Outcome != outcome || result.WouldFail != nil:
		t.Errorf("the dry run ended with %q, %v and %v, want %q", result.Outcome, err, result.WouldFail, outcome)
	}
}

// sameExceptDone compares what was planned with what was taken. The rest of an action are dates,
// which move with the clock.
var sameExceptDone = cmpopts.IgnoreFields(Taken{}, "Done", "Until", "LastUsedAt")

// TestADryRunShowsTheNextSweep checks that the sweep right after a dry run carries out the same
// plan, and that the dry run changes nothing.
func TestADryRunShowsTheNextSweep(t *testing.T) {
	secret := func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret { return r.Secret("quilt/pipeline") }
	replaced := func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret { s, _, _ := rotated(t, r); return s }
	overdue := func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret { s, _, _ := due(t, r); return s }
	states := []struct {
		name      string
		prepare   func(*testing.T, *sandboxtest.Rig) *sandboxtest.Secret
		want      []string // of the dry run
		wouldFail string
	}{
		{name: "nothing to do", prepare: secret, want: []string{}},
		{name: "mark", prepare: replaced, want: []string{"mark superseded"}},
		{name: "in grace", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := replaced(t, r)
			s.MustSweep()
			return s
		}, want: []string{"report in-grace"}},
		{name: "hold", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s, old, _ := due(t, r)
			use(t, r, old)
			return s
		}, want: []string{"hold still-used"}},
		{name: "revoke", prepare: overdue, want: []string{"revoke grace-over"}},
		{name: "revoke, use not recorded", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.UseNotRecorded = true })
			return overdue(t, r)
		}, want: []string{"revoke grace-over-use-not-recorded"}},
		{name: "revoke, expired", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := secret(t, r)
			r.Clock.Advance(60 * 24 * time.Hour)
			s.MustRotate()
			s.MustSweep()
			r.Clock.Advance(31 * 24 * time.Hour)
			return s
		}, want: []string{"revoke expired"}},
		{name: "a rotation is under way", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := overdue(t, r)
			s.Begin(sandboxtest.Token(7))
			return s
		}, want: []string{"report rotation-under-way"}},
		{name: "orphan", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := secret(t, r)
			crash(t, s, 1)
			r.Clock.Advance(2 * time.Hour)
			return s
		}, want: []string{"revoke-orphan orphaned"}},
		{name: "orphan, too young", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := secret(t, r)
			crash(t, s, 1)
			return s
		}, want: []string{"report orphan-too-young"}},
		{name: "relabel", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := secret(t, r)
			s.Put(strings.Replace(s.Holder(vault.Current).Value, "1.0e+02", "7", 1))
			return s
		}, want: []string{"relabel key-moved"}},
		{name: "unmark", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := overdue(t, r)
			newID := s.Holder(vault.Current).ID
			must(t, s.MoveLabel(vault.Current, s.Holder(vault.Previous).ID, newID))
			must(t, s.MoveLabel(vault.KeyLabel(vault.NewVersion(newID, s.Holder(vault.Previous).Stages).Key()), "",
				newID))
			return s
		}, want: []string{"unmark current-again", "report unlabelled"}},
		{name: "unlabel", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s, old, _ := due(t, r)
			k, _ := r.Registry.KeyBySecret(old.Reveal())
			r.Registry.Delete(k.ID)
			return s
		}, want: []string{"unlabel gone"}},
		{name: "foreign", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s, old, _ := due(t, r)
			k, _ := r.Registry.KeyBySecret(old.Reveal())
			r.Registry.TransferKey(k.ID, sandbox.AdminEmail)
			return s
		}, want: []string{"report foreign"}},
		{name: "replica lags", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := overdue(t, r)
			_, err := r.Hands.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
				SecretId: &s.ARN, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}},
			})
			must(t, err)
			must(t, r.Secrets.SetReplicaStatus(s.ARN, "eu-west-1", "InProgress", ""))
			return s
		}, want: []string{"report replica-lag"}},
		{name: "current key not in the list", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := overdue(t, r)
			omit(r, s.CurrentKey())
			return s
		}, want: []string{"revoke grace-over", "report list-incomplete"}},
		{name: "pending unreadable", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := overdue(t, r)
			_, err := r.Hands.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
				SecretId: &s.ARN, ClientRequestToken: aws.String(sandboxtest.Token(3)),
				SecretString: aws.String("hello"), VersionStages: []string{vault.Pending},
			})
			must(t, err)
			return s
		}, want: []string{"report current-unreadable"}, wouldFail: "SweepIncomplete"},
		{name: "unknown label", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := overdue(t, r)
			unknownLabel(s)
			return s
		}, want: []string{"report unknown-label"}, wouldFail: "UnknownLabel"},
		{name: "by the issuer", prepare: func(t *testing.T, r *sandboxtest.Rig) *sandboxtest.Secret {
			s := overdue(t, r)
			s.Tag(settings.TagIssuer, issuerOf(t, r, sandbox.UserName, sandbox.UserPassword))
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) {
				w.KeysMayNotManage = quiltregistry.RefuseForbidden
			})
			return s
		}, want: []string{"revoke grace-over"}},
	}
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := state.prepare(t, r)
			planned, err := lookedAt(t, s)
			must(t, err)
			if diff := cmp.Diff(state.want, did(planned)); diff != "" {
				t.Fatalf("the plan is not as it must be (-want +got):\n%s\n%s", diff, s.Labels())
			}
			if again, err := lookedAt(t, s); err != nil || !cmp.Equal(planned.Actions, again.Actions, sameExceptDone) {
				t.Errorf("a second look shows something else: %v\n%s", err, sandboxtest.JSONOf(again))
			}
			swept, err := sweepHere(r).Sweep(t.Context(), Request{SecretID: s.ARN})
			if diff := cmp.Diff(planned.Actions, swept.Actions, sameExceptDone); diff != "" {
				t.Errorf("the sweep is not what the dry run showed (-dry run +sweep):\n%s", diff)
			}
			if state.wouldFail == "" {
				must(t, err)
			} else {
				wantFault(t, err, state.wouldFail)
				if want := (&Failure{ErrorType: state.wouldFail, Error: err.Error()}); !cmp.Equal(want,
					planned.WouldFail) {
					t.Errorf("the dry run says that the sweep will fail with %+v, and it failed with %+v",
						planned.WouldFail, want)
				}
			}
			if swept.Versions != nil || swept.Keys != nil || swept.Registry != nil || swept.WouldFail != nil {
				t.Errorf("a sweep shows what only a dry run does: %s", sandboxtest.JSONOf(swept))
			}
		})
	}
}

// sweepHere is a sweeper without the function, as a person's command makes one.
func sweepHere(r *sandboxtest.Rig) *Sweeper {
	r.Helper()
	env, err := settings.LoadRevoke(settings.Deployed(map[string]string{settings.EnvRegistryURL: r.RegistryURL,
		settings.EnvCABundle: "/var/task/ca.pem"}))
	if err != nil {
		r.Fatalf("%v", err)
	}
	registry, err := quilt.NewClient(env.RegistryURL, quilt.Options{Transport: http.DefaultTransport})
	if err != nil {
		r.Fatalf("%v", err)
	}
	return &Sweeper{Vault: vault.New(r.Hands), Registry: registry, Settings: env, Log: slog.New(slog.DiscardHandler)}
}

// TestDryRunOfASweepThatWillNotRun shows the state of a secret that is not swept. A pause hides
// neither keys nor plan. A secret without a first key shows so. A secret that is marked for
// deletion has nothing to show.
func TestDryRunOfASweepThatWillNotRun(t *testing.T) {
	t.Run("paused", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, old, _ := due(t, r)
		pauseFor(time.Hour)(s)
		result, err := lookedAt(t, s)
		must(t, err)
		if result.Outcome != Paused || result.PausedUntil == nil || result.PausedUntil.Sub(r.Clock.Now()) > time.Hour ||
			len(result.Versions) != 2 || len(result.Keys) != 2 {
			t.Errorf("the pause hides what there is: %s", sandboxtest.JSONOf(result))
		}
		if diff := cmp.Diff([]string{"revoke grace-over"}, did(result)); diff != "" {
			t.Errorf("the plan that waits is not shown (-want +got):\n%s", diff)
		}
		valid(t, s, old)
		swept, err := s.Sweep()
		must(t, err)
		if swept.Outcome != Paused || len(swept.Actions) > 0 {
			t.Errorf("the sweep itself does not pause: %s", sandboxtest.JSONOf(swept))
		}
		deleteCurrentKey(s)
		result, err = lookedAt(t, s)
		must(t, err) // or somebody's look would ring the alarm for the function's errors
		if result.WouldFail == nil || result.WouldFail.ErrorType != "CurrentKeyRefused" || len(result.Versions) != 2 {
			t.Errorf("the look does not say what the sweep would fail with, and what it saw: %s",
				sandboxtest.JSONOf(result))
		}
	})
	t.Run("deleted", func(t *testing.T) {
		r := sandboxtest.New(t)
		s, _, _ := due(t, r)
		deleteSecret(s)
		result, err := lookedAt(t, s)
		must(t, err)
		if want := (Result{Secret: s.ARN, Outcome: Deleted, Actions: []Taken{}}); !cmp.Equal(want, result) {
			t.Errorf("a secret that is marked for deletion shows more than that: %s", sandboxtest.JSONOf(result))
		}
	})
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprintf("not bootstrapped, paused=%t", paused), func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.BareSecret("quilt/fresh", "{}")
			want := NotBootstrapped
			if paused {
				pauseFor(time.Hour)(s)
				want = Paused
			}
			result, err := lookedAt(t, s)
			must(t, err)
			if result.Outcome != want || len(result.Versions) != 1 || result.Versions[0].Value != Blank ||
				result.Registry != nil {
				t.Errorf("the blank value is not shown: %s", sandboxtest.JSONOf(result))
			}
		})
	}
}

// TestADryRunWithoutTheFunction has a secret whose sweeps fail. The command gets the error and what
// was read before it.
func TestADryRunWithoutTheFunction(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, fresh := due(t, r)
	deleteCurrentKey(s)
	result, err := sweepHere(r).Sweep(t.Context(), Request{SecretID: s.Name, DryRun: true})
	wantFault(t, fault.Named(err), "CurrentKeyRefused", "quilt-rotate recover")
	if len(result.Versions) != 2 || result.Versions[0].Fingerprint != fresh.Fingerprint() ||
		result.Versions[1].Fingerprint != old.Fingerprint() ||
		result.Versions[1].KeyID == "" || result.Versions[1].SupersededSince == nil || result.Registry != nil {
		t.Errorf("the versions are not shown: %s", sandboxtest.JSONOf(result))
	}
}

// TestAnswerOfADryRun checks what status shows: each version with its key in the order of
// importance, the keys of this secret, and the facts about the registry.
func TestAnswerOfADryRun(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	first := s.CurrentKey()
	firstID := s.Holder(vault.Current).ID
	s.MustRotate()
	s.MustSweep()
	second, secondID := s.CurrentKey(), s.Holder(vault.Current).ID
	r.Clock.Advance(time.Minute)
	s.MustRotate()
	s.MustSweep()
	third, thirdID := s.CurrentKey(), s.Holder(vault.Current).ID
	crash(t, s, 5)
	s.Put(strings.Replace(s.Holder(vault.Current).Value, "1.0e+02", "7", 1)) // an edit: two versions with one key
	editID := s.Holder(vault.Current).ID
	must(t, s.MoveLabel("theirs", secondID, ""))
	r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	s.Begin(sandboxtest.Token(6))

	result, err := lookedAt(t, s)
	must(t, err)
	id := func(k apikey.Key) string {
		row, _ := r.Registry.KeyBySecret(k.Reveal())
		return row.ID
	}
	name := apikey.Name(s.Name, r.Clock.Now(), s.ARN)
	info := func(k apikey.Key) KeyInfo {
		return KeyInfo{KeyID: id(k), KeyName: name, Fingerprint: k.Fingerprint(), Owner: sandbox.UserEmail,
			Status: quilt.Active}
	}
	mark := func(versionID string) string {
		for _, v := range s.Snapshot().Versions {
			if marks := vault.NewVersion(v.ID, v.Stages).Marks; v.ID == versionID && len(marks) == 1 {
				return marks[0].Label()
			}
		}
		return "no mark"
	}
	want := []VersionInfo{
		{Version: editID, Stages: []string{vault.Current}, Value: Holds, KeyInfo: info(third)},
		{Version: sandboxtest.Token(6), Stages: []string{vault.Pending}, Value: NoValue},
		{Version: thirdID, Stages: []string{vault.Previous, vault.KeyLabel(id(third))}, Value: Holds, SameKeyAs: editID,
			KeyInfo: info(third)},
		{Version: secondID, Stages: []string{vault.KeyLabel(id(second)), mark(secondID), "theirs"}, Value: Holds,
			KeyInfo: info(second)},
		{Version: firstID, Stages: []string{vault.KeyLabel(id(first)), mark(firstID)}, Value: Holds,
			KeyInfo: info(first)},
	}
	dates := cmpopts.IgnoreFields(KeyInfo{}, "CreatedAt", "ExpiresAt", "LastUsedAt")
	if diff := cmp.Diff(want, result.Versions, dates, cmpopts.IgnoreFields(VersionInfo{},
		"SupersededSince")); diff != "" {
		t.Errorf("the versions are not shown as they are (-want +got):\n%s", diff)
	}
	for _, v := range result.Versions {
		marked := strings.Contains(strings.Join(v.Stages, " "), "quilt-superseded:")
		if v.KeyID != "" && (v.CreatedAt.IsZero() || v.ExpiresAt.Sub(v.CreatedAt) != 90*24*time.Hour ||
			v.LastUsedAt == nil && v.Fingerprint != first.Fingerprint()) || (v.SupersededSince != nil) != marked {
			t.Errorf("dates are missing: %s", sandboxtest.JSONOf(v))
		}
	}
	if ours := s.Ours(); len(result.Keys) != 4 || len(ours) != 4 || !slices.ContainsFunc(result.Keys,
		func(k KeyInfo) bool { return k.KeyID == id(first) }) {
		t.Errorf("the keys of this secret are not shown: %s\nwant %v", sandboxtest.JSONOf(result.Keys), ours)
	}
	if g := result.Registry; g == nil || g.Owner != sandbox.UserEmail || g.Time.IsZero() || g.ByIssuer ||
		g.UseRecorded == nil || !*g.UseRecorded {
		t.Errorf("the facts about the registry are not shown: %s", sandboxtest.JSONOf(g))
	}
	if h := result.Health; h == nil || h.CurrentKeyID != id(third) || h.CurrentKeyExpiresIn.Hours() < 89*24 ||
		!h.RotationUnderWay || h.RotationOff || h.RotationOverdue || h.FreeLabels == 0 {
		t.Errorf("the health is not shown: %s", sandboxtest.JSONOf(h))
	}
}

// TestWhetherUseIsRecorded checks what doctor says about a registry. It says nothing that it does
// not know.
func TestWhetherUseIsRecorded(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		change func(*sandboxtest.Rig, *sandboxtest.Secret)
		want   *bool
	}{
		"recorded": {func(*sandboxtest.Rig, *sandboxtest.Secret) {}, &yes},
		"not recorded": {func(r *sandboxtest.Rig, _ *sandboxtest.Secret) {
			r.Registry.SetSwitches(notRecorded)
		}, &no},
		"the list does not show the key": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) { omit(r, s.CurrentKey()) },
			&yes},
		"nothing shows the key": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			omit(r, s.CurrentKey())
			r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.GetOmits = w.ListOmits })
		}, nil},
		"another key's use shows that it is": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			_, other := r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
			use(t, r, parsed(other))
			r.Registry.SetSwitches(notRecorded)
		}, &yes},
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.BareSecret("quilt/pipeline", "{}")
			s.Bootstrap(sandbox.UserEmail)
			c.change(r, s)
			result, err := lookedAt(t, s)
			must(t, err)
			if diff := cmp.Diff(c.want, result.Registry.UseRecorded); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func notRecorded(w *quiltregistry.Switches) { w.UseNotRecorded = true }

// TestRequestsOfADryRun checks that a dry run sends the requests of the sweep in the same order
// first, and reads other values last.
func TestRequestsOfADryRun(t *testing.T) {
	r := sandboxtest.New(t)
	s, _, _ := due(t, r)
	trace := r.Trace()
	requests := func(want string) {
		t.Helper()
		_, err := s.Preview()
		must(t, err)
		var names []string
		for _, q := range trace.Take() {
			names = append(names, q.Operation)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("the dry run made the requests\n%s\nwant\n%s", got, want)
		}
	}
	requests("DescribeSecret GetSecretValue GetSecretValue account")
	s.MustSweep()
	trace.Take()
	requests("DescribeSecret GetSecretValue account GetSecretValue")
}

// TestAValueThatADryRunCannotRead has a value that Secrets Manager does not return. The dry run
// says so and shows the rest.
func TestAValueThatADryRunCannotRead(t *testing.T) {
	r := sandboxtest.New(t)
	s, _, _ := due(t, r)
	s.MustSweep()
	old := s.Holder(vault.Previous).ID
	r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		// each attempt: the SDK takes this code for a wrong clock, and tries again
		if strings.Contains(string(c.Body), old) {
			next = func() { sandboxtest.AWSError(400, "AccessDeniedException", "no")(c, nil) }
		}
		next()
	}, "GetSecretValue"))
	result, err := s.Preview()
	must(t, err)
	if len(result.Versions) != 2 || result.Versions[0].Value != Holds || result.Versions[1].Value != Locked {
		t.Errorf("the look does not go on without the value: %s", sandboxtest.JSONOf(result))
	}
}

// TestAResultGoesThroughJSON checks that the command can read the function's answer. Only fractions
// of a second are lost.
func TestAResultGoesThroughJSON(t *testing.T) {
	r := sandboxtest.New(t)
	s, _, _ := due(t, r)
	unknownLabel(s)
	pauseFor(time.Hour)(s)
	want, err := sweepHere(r).Sweep(t.Context(), Request{SecretID: s.ARN, DryRun: true})
	must(t, err)
	text, err := json.Marshal(want)
	must(t, err)
	var got Result
	must(t, json.Unmarshal(text, &got))
	whole := cmp.Transformer("wholeSeconds", func(s Span) time.Duration { return s.Truncate(time.Second) })
	if diff := cmp.Diff(want, got, whole); diff != "" || want.Health.OldestSuperseded == nil {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAgeZeroIsReported(t *testing.T) {
	// Programs read the answer of a sweep. A new key has the age 0. Only an unknown age is left
	// out.
	t.Parallel()
	for name, test := range map[string]struct {
		health Health
		want   string
	}{
		"just now": {Health{CurrentKeyExpiresIn: &Span{}, CurrentKeyAge: &Span{}, OldestSuperseded: &Span{}},
			`{"currentKeyExpiresInSeconds":0,"currentKeyAgeSeconds":0,"oldestSupersededSeconds":0,"freeLabels":0}`},
		"not known": {Health{}, `{"freeLabels":0}`},
	} {
		got, err := json.Marshal(test.health)
		must(t, err)
		if string(got) != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

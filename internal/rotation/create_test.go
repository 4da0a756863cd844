package rotation_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

func TestCreateSecretStoresANewKeyBesideTheOldOne(t *testing.T) {
	// The pending value must differ in the key only, its version must have the label of its key,
	// and AWSCURRENT must not change.
	t.Parallel()
	r := sandboxtest.New(t)
	trace := r.Trace()
	s := r.Secret("quilt/pipeline")
	before := stateOf(s)

	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)

	before.unchanged(t)
	pending := version(t, s, event.ClientRequestToken)
	key := s.KeyIn(pending)
	if !holds(pending, vault.Pending) || pending.Value != sandboxtest.ValueWith(key.Reveal()) ||
		key.Equal(s.CurrentKey()) || !s.Valid(key) {
		t.Errorf("the pending version must hold AWSPENDING, a new key that logs in, and else what the current one "+
			"holds\n%s", s.Labels())
	}
	requireKeyLabel(t, s, pending)
	for _, q := range trace.Take() {
		if q.Operation == "PutSecretValue" && !strings.Contains(q.Sent, event.RotationToken) {
			t.Error("the put does not carry the RotationToken")
		}
	}
}

func TestNameAndLifetimeOfNewKey(t *testing.T) {
	// The name of a key shows its purpose, day and secret in the registry's list. Its lifetime is
	// the configured one.
	t.Parallel()
	r := sandboxtest.New(t)
	for _, c := range []struct {
		secret, label string
		days          int
		tags          []string
	}{
		{"quilt/Pipeline_prod", "quilt-pipeline-prod", 90, nil},
		{"tagged", "nightly-etl", 90, []string{settings.TagKeyName, "Nightly ETL"}},
		{"short", "short", 7, []string{settings.TagExpiresInDays, "7"}},
	} {
		s := r.Secret(c.secret, c.tags...)
		event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
		made, _ := s.Registry.KeyBySecret(s.KeyIn(version(t, s, event.ClientRequestToken)).Reveal())
		if want := c.label + "-" + r.Clock.Now().Format("20060102") + "-" +
			apikey.SecretMark(s.ARN); made.Name != want {
			t.Errorf("%s: the key is named %q, want %q", c.secret, made.Name, want)
		}
		if got := made.ExpiresAt.Sub(made.CreatedAt); got != time.Duration(c.days)*24*time.Hour {
			t.Errorf("%s: the key lives for %s, want %d days", c.secret, got, c.days)
		}
		if made.Owner != sandbox.UserEmail {
			t.Errorf("%s: the key belongs to %s", c.secret, made.Owner)
		}
	}
}

// A pendingCase is a state in which createSecret finds a pending value.
type pendingCase struct {
	name  string
	spoil func(s *sandboxtest.Secret, pending quiltregistry.APIKey)
	fault string // "": done
}

func TestCreateSecretWithPendingValue(t *testing.T) {
	// If the pending key is valid, no second key is created. If it can never become current, it
	// must not block later rotations.
	t.Parallel()
	for _, c := range []pendingCase{
		{"valid", func(*sandboxtest.Secret, quiltregistry.APIKey) {}, ""},
		{"revoked", func(s *sandboxtest.Secret, k quiltregistry.APIKey) { s.Registry.Delete(k.ID) }, "PendingKeyDead"},
		{"expired", func(s *sandboxtest.Secret, k quiltregistry.APIKey) { s.Registry.Expire(k.ID) }, "PendingKeyDead"},
		{"just over half its life left", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Clock.Advance(44 * 24 * time.Hour)
		}, ""},
		{"less than half its life left", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Clock.Advance(46 * 24 * time.Hour)
		}, "PendingKeyOld"},
		{"expired with the current one", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Tag(settings.TagIssuer, "issuer")
			s.Clock.Advance(100 * 24 * time.Hour)
		}, "PendingKeyDead"},
		{"revoked, and not even the current one logs in", func(s *sandboxtest.Secret, k quiltregistry.APIKey) {
			s.Tag(settings.TagIssuer, "issuer")
			s.Registry.Delete(k.ID)
			s.Registry.Expire(keyID(t, s, s.CurrentKey()))
		}, "PendingKeyDead"},
		{"valid, the current one revoked", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			current, _ := s.Registry.KeyBySecret(s.CurrentKey().Reveal())
			s.Registry.Delete(current.ID)
		}, ""},
		{"left out of the list", func(s *sandboxtest.Secret, k quiltregistry.APIKey) {
			s.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
				sw.ListOmits = func(other quiltregistry.APIKey) bool { return other.ID == k.ID }
			})
		}, ""},
		{"keys may not look at keys", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
				sw.KeysMayNotManage = quiltregistry.RefuseForbidden
			})
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			keep(t, r, "issuer", `{"username":"`+sandbox.UserName+`","password":"`+sandbox.UserPassword+`"}`)
			s := r.Secret("quilt/pipeline")
			event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
			pending, _ := r.Registry.KeyBySecret(s.KeyIn(version(t, s, event.ClientRequestToken)).Reveal())
			c.spoil(s, pending)
			before := stateOf(s)

			err := s.Step(event, rotation.Create)

			before.unchanged(t)
			before.noKeyCreated(t)
			v := version(t, s, event.ClientRequestToken)
			if !holds(v, vault.KeyLabel(pending.ID)) {
				t.Errorf("the version lost its key's label, so that the sweep cannot find its key\n%s", s.Labels())
			}
			if c.fault == "" {
				must(t, err)
				if !holds(v, vault.Pending) {
					t.Errorf("AWSPENDING was removed from a key that is good")
				}
				return
			}
			wantFault(t, err, c.fault, s.ARN, "AWSPENDING was removed", "quilt-rotate rotate "+s.Name)
			if holds(v, vault.Pending) || !metric(r, rotation.MetricSelfHealed) {
				t.Errorf("AWSPENDING must be removed, and the metric must show it\n%s\n%s", s.Labels(), r.Output)
			}
			if !strings.HasPrefix(c.name, "expired with") && !strings.Contains(c.name, "not even") {
				must(t, s.Rotate()) // the next rotation starts afresh
			}
		})
	}
}

func TestEveryOccurrenceOfTheKeyIsRotated(t *testing.T) {
	// A value may hold the key more than once. After a rotation the former key is nowhere in the
	// value, and nothing else has changed.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	former := s.CurrentKey().Reveal()
	value := strings.ReplaceAll(
		`{"QUILT_API_KEY":"$", "quilt_api_key" : "$","url":"https://x:$@host","o":[{"$":"\"$\""}],"n":1.0}`, "$",
		former)
	_, err := r.Hands.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &s.ARN,
		SecretString: &value})
	must(t, err)
	must(t, s.Rotate())
	current := s.Holder(vault.Current)
	next := s.CurrentKey().Reveal()
	if next == former || current.Value != strings.ReplaceAll(value, former, next) {
		t.Errorf("the value is %s", strings.ReplaceAll(strings.ReplaceAll(current.Value, former, "FORMER"), next,
			"NEXT"))
	}
	keepsPromises(t, s)
}

func TestANewKeyThatIsNotAsAskedForIsReported(t *testing.T) {
	// A registry may shorten names or lifetimes. The key is used, and the difference is reported,
	// because the search for orphans and the schedule depend on both.
	t.Parallel()
	for name, c := range map[string]struct {
		limit func(*quiltregistry.Switches)
		says  string
	}{
		"as asked for": {func(*quiltregistry.Switches) {}, ""},
		"another name": {func(sw *quiltregistry.Switches) { sw.NameLimit = 20 },
			"changed the end of the key's name"},
		"a shorter lifetime": {func(sw *quiltregistry.Switches) { sw.DaysLimit = 30 },
			"valid for 30.0 days instead of the requested 90"},
		"a little shorter one": {func(sw *quiltregistry.Switches) { sw.DaysLimit = 89 }, ""},
	} {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		r.Registry.SetSwitches(c.limit)
		s.MustRotate()
		line := r.Output.Lines("createSecret")
		if reported := metric(r, rotation.MetricNewKeyDiffers); reported != (c.says != "") ||
			!strings.Contains(strings.Join(line, ""), c.says) {
			t.Errorf("%s: reported %v, want %q\n%s", name, reported, c.says, r.Output)
		}
		keepsPromises(t, s)
	}
}

func TestCreateSecretWithPendingValueWithoutKey(t *testing.T) {
	// The value of a version cannot change. If it has no key, the version must lose AWSPENDING, or
	// it blocks later rotations.
	t.Parallel()
	r := sandboxtest.New(t)
	for i, in := range []secretsmanager.PutSecretValueInput{
		{SecretString: ptr("not a key")}, {SecretString: ptr(`{"QUILT_API_KEY":""}`)},
		{SecretString: ptr(`{"QUILT_API_KEY":7}`)}, {SecretBinary: []byte{0, 1, 2}},
	} {
		s := r.Secret(fmt.Sprintf("quilt/%d", i))
		event := s.Begin(sandboxtest.Token(1))
		in.SecretId, in.ClientRequestToken, in.VersionStages = &s.ARN, &event.ClientRequestToken,
			[]string{vault.Pending}
		_, err := r.Hands.PutSecretValue(context.Background(), &in)
		must(t, err)
		before := stateOf(s)

		wantFault(t, s.Step(event, rotation.Create), "PendingKeyDead", s.ARN, "AWSPENDING was removed")

		before.unchanged(t)
		before.noKeyCreated(t)
		if _, stuck := s.Snapshot().Holder(vault.Pending); stuck {
			t.Errorf("AWSPENDING is still on\n%s", s.Labels())
		}
	}
}

func ptr(s string) *string { return &s }

func TestFailedSelfHealingIsNotReportedAsHealed(t *testing.T) {
	// If AWSPENDING could not be removed, no message may say that it was.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
	r.Registry.Delete(keyID(t, s, s.KeyIn(version(t, s, event.ClientRequestToken))))
	remove := r.Intercept(sandboxtest.On(sandboxtest.AWSError(400, "AccessDeniedException", "not allowed"),
		"UpdateSecretVersionStage"))

	err := s.Step(event, rotation.Create)

	if err == nil || strings.Contains(err.Error(), "was removed") || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("the error must say that AWSPENDING is still on, and why: %v", err)
	}
	if metric(r, rotation.MetricSelfHealed) {
		t.Error("the metric reports self-healing")
	}
	remove()
	wantFault(t, s.Step(event, rotation.Create), "PendingKeyDead", "was removed")
}

func TestPendingKeyStaysIfRegistryCannotBeAsked(t *testing.T) {
	// A valid pending key stays if the registry is down for a moment.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
	remove := r.Intercept(sandboxtest.OnService("registry", sandboxtest.Answer(503, "")))

	wantFault(t, s.Step(event, rotation.Create), "RegistryUnavailable")

	if !holds(version(t, s, event.ClientRequestToken), vault.Pending) {
		t.Error("AWSPENDING was removed")
	}
	remove()
	must(t, s.Step(event, rotation.Create))
}

func TestNewKeyThatIsRefusedForAMomentIsKept(t *testing.T) {
	// The registry may refuse a new key for a moment. Only its list of keys shows that a key does
	// not exist.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	r.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.NewKeyDelay = time.Hour })
	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
	before := stateOf(s)

	must(t, s.Step(event, rotation.Create))

	before.noKeyCreated(t)
	if !holds(version(t, s, event.ClientRequestToken), vault.Pending) {
		t.Error("AWSPENDING was removed")
	}
}

func TestTooFewFreeLabels(t *testing.T) {
	// With fewer than five free labels no key is created, because it could not be labelled.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := s.Begin(sandboxtest.Token(1))
	current := s.Holder(vault.Current).ID
	fill := func(free int) {
		n := 0
		for _, v := range s.Snapshot().Versions {
			n += len(v.Stages)
		}
		for ; n < vault.LabelQuota-free; n++ {
			must(t, s.MoveLabel(fmt.Sprintf("team-%d", n), current, ""))
		}
	}
	fill(4)
	before := stateOf(s)

	wantFault(t, s.Step(event, rotation.Create), "LabelQuota", s.ARN, "4 of its 20", "quilt-rotate revoke "+s.Name)

	before.unchanged(t)
	before.noKeyCreated(t)
	must(t, s.MoveLabel("team-15", "", current))
	must(t, s.Step(event, rotation.Create))
	must(t, s.Step(event, rotation.Finish))
}

func TestMarksOnTheCurrentVersionComeOff(t *testing.T) {
	// After a rollback the current version loses its mark. When it is superseded again, its grace
	// period starts again.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	current := s.Holder(vault.Current).ID
	mark := vault.NewMark(current, r.Clock.Now().Add(-time.Hour))
	must(t, s.MoveLabel(mark.Label(), current, ""))

	runTo(t, s, sandboxtest.Token(1), rotation.Create)

	if holds(version(t, s, current), mark.Label()) {
		t.Errorf("the mark is still on the current version\n%s", s.Labels())
	}
}

func TestKeyCreatedForAnotherUserIsRevoked(t *testing.T) {
	// A key of another user has other permissions, so it is revoked.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := s.Begin(sandboxtest.Token(1))
	r.Intercept(sandboxtest.On(sandboxtest.EditAnswer(sandbox.UserEmail, sandbox.AdminEmail), "apiKeyCreate"))
	before := stateOf(s)

	wantFault(t, s.Step(event, rotation.Create), "OwnerChanged", s.ARN, sandbox.AdminEmail, sandbox.UserEmail)

	before.unchanged(t)
	before.noKeyCreated(t)
	if !version(t, s, event.ClientRequestToken).Empty {
		t.Error("the key was stored")
	}
}

func TestAKeyWhoseIDFitsNoLabelIsNotStored(t *testing.T) {
	// Sweeps find a key by its label.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := s.Begin(sandboxtest.Token(1))
	before := stateOf(s)
	var id string
	r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		before, after, _ := strings.Cut(string(c.Answer), `"id":"`)
		id, after, _ = strings.Cut(after, `"`)
		c.Answer = []byte(before + `"id":"` + strings.Repeat("x", 300) + `"` + after)
	}, "apiKeyCreate"))

	wantFault(t, s.Step(event, rotation.Create), "BadNewKey", s.ARN, "staging label")

	if id == "" || !version(t, s, event.ClientRequestToken).Empty {
		t.Error("the key was stored")
	}
	before.noKeyCreated(t) // it is revoked by its text, because its id is not to be trusted
}

func TestARegistryThatAnswersWithTheCurrentKey(t *testing.T) {
	// A cache in front of the registry may return a former answer. A key that is not new is neither
	// stored nor revoked, even if the answer has another owner or an id that fits no label.
	t.Parallel()
	for name, edit := range map[string]func(*quiltregistry.APIKey){
		"its own owner":      func(*quiltregistry.APIKey) {},
		"another owner":      func(k *quiltregistry.APIKey) { k.Owner = sandbox.AdminEmail },
		"an id of another":   func(k *quiltregistry.APIKey) { k.ID = "another" },
		"an id for no label": func(k *quiltregistry.APIKey) { k.ID = strings.Repeat("x", 300) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			current := s.CurrentKey().Reveal()
			key, _ := r.Registry.KeyBySecret(current)
			edit(&key)
			event := s.Begin(sandboxtest.Token(1))
			before, labels := stateOf(s), s.Labels()
			r.Intercept(sandboxtest.On(sandboxtest.Answer(200,
				fmt.Sprintf(`{"data":{"apiKeyCreate":{"__typename":"APIKeyCreated",`+
					`"secret":%q,"apiKey":{"id":%q,"name":%q,"fingerprint":"qk_abc...xyz","createdAt":"2026-01-01T00:00:00Z",`+
					`"expiresAt":"2099-01-01T00:00:00Z","lastUsedAt":null,"status":"ACTIVE","userEmail":%q}}}}`,
					current, key.ID, key.Name, key.Owner)), "apiKeyCreate"))

			wantFault(t, s.Step(event, rotation.Create), "BadNewKey", s.ARN, "nothing was stored or revoked")

			before.unchanged(t)
			before.noKeyCreated(t)
			if !s.Valid(s.CurrentKey()) || s.Labels() != labels {
				t.Errorf("the current key was revoked, or labels changed\n%s", s.Labels())
			}
		})
	}
}

func TestTheRevocationOfAnOwnKeyDoesNotTrustTheID(t *testing.T) {
	// If the registry's answer has the id of another key of the user, that key is not revoked.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	other, text := r.Registry.MintKey(sandbox.UserEmail, "somebody's", 90)
	event := s.Begin(sandboxtest.Token(1))
	before := stateOf(s)
	r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		start, rest, _ := strings.Cut(string(c.Answer), `"id":"`)
		_, rest, _ = strings.Cut(rest, `"`)
		answer := start + `"id":"` + other + `"` + rest
		c.Answer = []byte(strings.ReplaceAll(answer, sandbox.UserEmail, sandbox.AdminEmail))
	}, "apiKeyCreate"))

	wantFault(t, s.Step(event, rotation.Create), "OwnerChanged", s.ARN)

	before.noKeyCreated(t)
	if !r.Registry.Valid(text) {
		t.Error("another key of the user was revoked")
	}
}

func TestASecretThatWaitsForItsFirstKey(t *testing.T) {
	// createSecret says which command to run. It leaves no AWSPENDING that would block the first
	// rotation.
	t.Parallel()
	r := sandboxtest.New(t)
	for i, value := range []string{"{}", " {} \n", `{"QUILT_API_KEY":" "}`, " "} {
		s := r.BareSecret(fmt.Sprintf("quilt/fresh-%d", i), value)
		before := stateOf(s)
		event := s.Begin(sandboxtest.Token(1))

		wantFault(t, s.Step(event, rotation.Create), "NotBootstrapped", s.ARN, "first key", "quilt-rotate bootstrap "+
			s.Name)

		before.unchanged(t)
		before.noKeyCreated(t)
		if _, stuck := s.Snapshot().Holder(vault.Pending); stuck || !metric(r, rotation.MetricBeforeFirstKey) {
			t.Errorf("AWSPENDING must be removed, and the metric must show that the first key is missing\n%s",
				s.Labels())
		}
		if metric(r, rotation.MetricStepFailed) || metric(r, rotation.MetricSelfHealed) {
			t.Errorf("a rotation before the first key counts as one that failed or was healed:\n%s", r.Output)
		}
		s.Bootstrap(sandbox.UserEmail)
		s.MustRotate()
	}
}

func TestThePlainKeyAsTheWholeValue(t *testing.T) {
	// The value may be the key alone, also with white space that an editor added.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/plain")
	_, key := r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	s.Put("\n " + key + "\t\n")
	s.MustRotate()
	fresh := s.CurrentKey()
	if got, want := s.Holder(vault.Current).Value, "\n "+fresh.Reveal()+"\t\n"; got != want || fresh.Reveal() == key {
		t.Errorf("the value around the key was not kept")
	}
}

func TestTheTaggedFieldIsRotatedAndNoOther(t *testing.T) {
	// If a value has several keys, only the field that the tag names changes.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/two", settings.TagField, "second")
	_, one := r.Registry.MintKey(sandbox.UserEmail, "one", 90)
	_, two := r.Registry.MintKey(sandbox.UserEmail, "two", 90)
	value := func(second string) string {
		return `{"first":"` + one + `","second":"` + second + `","QUILT_API_KEY":"` + one + `"}`
	}
	s.Put(value(two))
	s.MustRotate()
	fresh := s.Ours()[len(s.Ours())-1]
	keys := r.Registry.Keys()
	made := keys[slices.IndexFunc(keys, func(k quiltregistry.APIKey) bool { return k.ID == fresh })]
	if s.Holder(vault.Current).Value != value(made.Secret) {
		t.Errorf("another field than the tagged one changed")
	}
}

func TestFreeLabelsAreEnoughForWholeRotation(t *testing.T) {
	// With the minimum of free labels, a rotation can set its own labels, AWSPREVIOUS, the mark and
	// a pause.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.BareSecret("quilt/pipeline", "{}")
	_, secret := r.Registry.MintKey(sandbox.UserEmail, "by-hand", 90)
	s.Put(sandboxtest.ValueWith(secret))
	must(t, s.MoveLabel(vault.Previous, "", s.Holder(vault.Previous).ID))
	current := s.Holder(vault.Current).ID
	event := s.Begin(sandboxtest.Token(1))
	for n := 2; n < vault.LabelQuota-5; n++ { // AWSCURRENT and AWSPENDING are there
		must(t, s.MoveLabel(fmt.Sprintf("team-%d", n), current, ""))
	}
	must(t, s.Step(event, rotation.Create))
	must(t, s.MoveLabel(vault.PauseLabel(r.Clock.Now().Add(-time.Second)), current, ""))
	must(t, s.Step(event, rotation.Finish))
	must(t, r.Secrets.FinishPending(s.ARN))
	s.MustSweep()
	if labels := s.Labels(); !strings.Contains(labels, "quilt-superseded:") {
		t.Errorf("the former version has no mark:\n%s", labels)
	}
}

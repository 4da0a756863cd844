package rotation_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// onlyReads demands that none of the requests changes anything.
func onlyReads(t *testing.T, requests []sandboxtest.Request) {
	t.Helper()
	if len(requests) == 0 {
		t.Error("no request was seen: this proves nothing")
	}
	for _, q := range requests {
		if q.Writes() {
			t.Errorf("the step sent %s %s", q.Operation, q.Subject)
		}
	}
}

func TestSetSecretChecksThePlaceOfTheKey(t *testing.T) {
	// Consumers read one field. A pending key in another field is refused. setSecret writes
	// nothing.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
	trace := r.Trace()
	must(t, s.Step(event, rotation.Set))
	onlyReads(t, trace.Take())

	other := r.Secret("quilt/misplaced")
	event = other.Begin(sandboxtest.Token(1))
	_, key := r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	putVersion(t, other, event.ClientRequestToken, `{"elsewhere":"`+key+`"}`, vault.Pending)
	before := stateOf(other)
	trace = r.Trace()
	wantFault(t, other.Step(event, rotation.Set), "Edited", other.ARN, "quilt-rotate rotate")
	onlyReads(t, trace.Take())
	before.unchanged(t)
}

func TestAPendingValueThatHoldsTheCurrentKey(t *testing.T) {
	// A pending value that holds the current key, also as a second copy beside a new key, must not
	// become current. createSecret and finishSecret remove AWSPENDING, so that the next rotation
	// works. testSecret accepts the value, because it is the normal case in a test run of a
	// configuration.
	t.Parallel()
	for name, value := range map[string]func(current, other string) string{
		"a copy": func(current, _ string) string { return sandboxtest.ValueWith(current) },
		"a second copy": func(current, other string) string {
			return `{"QUILT_API_KEY":"` + other + `","copy":"` + current + `"}`
		},
		"an escaped second": func(current, other string) string {
			return `{"QUILT_API_KEY":"` + other + `","copy":"\u0071` + current[1:] + `"}`
		},
	} {
		for step, heals := range map[rotation.Step]bool{rotation.Create: true, rotation.Set: false,
			rotation.Finish: true} {
			t.Run(name+", "+string(step), func(t *testing.T) {
				t.Parallel()
				r := sandboxtest.New(t)
				s := r.Secret("quilt/pipeline")
				event := s.Begin(sandboxtest.Token(1))
				_, other := r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
				putVersion(t, s, event.ClientRequestToken, value(s.CurrentKey().Reveal(), other), vault.Pending)
				before := stateOf(s)
				must(t, s.Step(event, rotation.Test))

				wantFault(t, s.Step(event, step), "PendingHoldsCurrent", s.ARN, "quilt-rotate rotate "+s.Name)

				before.unchanged(t)
				before.noKeyCreated(t)
				if holds(version(t, s, event.ClientRequestToken), vault.Pending) == heals ||
					metric(r, rotation.MetricSelfHealed) != heals {
					t.Errorf("AWSPENDING removed, and reported: want %v\n%s", heals, s.Labels())
				}
				if heals {
					former := s.CurrentKey()
					must(t, s.Rotate())
					if s.CurrentKey().Equal(former) {
						t.Error("nothing was rotated")
					}
				}
			})
		}
	}
}

// A proofCase is a state of the pending key, and what testSecret says to it.
type proofCase struct {
	name  string
	spoil func(s *sandboxtest.Secret, pending quiltregistry.APIKey)
	fault string
	words []string
}

func TestTestSecret(t *testing.T) {
	// A key that is refused, that belongs to another user or that expires soon must not become
	// current. testSecret writes and revokes nothing.
	t.Parallel()
	for _, c := range []proofCase{
		{"good", func(*sandboxtest.Secret, quiltregistry.APIKey) {}, "", nil},
		{"known after a moment", func(s *sandboxtest.Secret, k quiltregistry.APIKey) {
			var logins atomic.Int32
			s.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
				if logins.Add(1) <= 2 {
					c.Respond(401, `{"message":"Token invalid."}`)
					return
				}
				next()
			}, "login"))
		}, "", nil},
		{"revoked", func(s *sandboxtest.Secret, k quiltregistry.APIKey) { s.Registry.Delete(k.ID) },
			"PendingKeyRefused", []string{"does not log in"}},
		{"expired", func(s *sandboxtest.Secret, k quiltregistry.APIKey) { s.Registry.Expire(k.ID) },
			"PendingKeyRefused", []string{"does not log in"}},
		{"another user's", func(s *sandboxtest.Secret, k quiltregistry.APIKey) {
			s.Registry.TransferKey(k.ID,
				sandbox.AdminEmail)
		}, "OwnerChanged",
			[]string{sandbox.AdminEmail, sandbox.UserEmail, "quilt-rotate unstick"}},
		{"another user's, the current one revoked, the tag knows", func(s *sandboxtest.Secret, k quiltregistry.APIKey) {
			s.Tag(settings.TagOwner, sandbox.UserEmail)
			s.Registry.TransferKey(k.ID, sandbox.AdminEmail)
			current, _ := s.Registry.KeyBySecret(s.CurrentKey().Reveal())
			s.Registry.Delete(current.ID)
		}, "OwnerChanged", []string{sandbox.AdminEmail}},
		{"good, the current one revoked", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			current, _ := s.Registry.KeyBySecret(s.CurrentKey().Reveal())
			s.Registry.Delete(current.ID)
		}, "", nil},
		{"good, keys may not look at keys", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
				sw.KeysMayNotManage = quiltregistry.RefuseForbidden
			})
		}, "", nil},
		{"the same, said with errors", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
				sw.KeysMayNotManage = quiltregistry.RefuseGraphQLError
			})
		}, "", nil},
		{"just over half its life left", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Clock.Advance(44 * 24 * time.Hour)
		}, "", nil},
		{"less than half its life left", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Clock.Advance(46 * 24 * time.Hour)
		}, "PendingKeyOld", []string{"until 20", "quilt-rotate unstick"}},
		{"less than half its life by a registry whose clock is ahead",
			func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
				s.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.Skew = 46 * 24 * time.Hour })
			}, "PendingKeyOld", nil},
		{"in a status that nobody knows", func(s *sandboxtest.Secret, _ quiltregistry.APIKey) {
			s.Intercept(sandboxtest.On(sandboxtest.EditAnswer(`"ACTIVE"`, `"SUSPENDED"`), "login"))
		}, "PendingKeyRefused", []string{"SUSPENDED"}},
		{"of an id that the registry does not know", func(s *sandboxtest.Secret, k quiltregistry.APIKey) {
			s.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
				sw.GetOmits = func(other quiltregistry.APIKey) bool { return other.ID == k.ID }
			})
		}, "PendingKeyRefused", []string{"has no key with the id", "quilt-rotate unstick"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
				r.NewKeyWait = 20 * time.Second
				s := r.Secret("quilt/pipeline")
				event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
				pending, _ := r.Registry.KeyBySecret(s.KeyIn(version(t, s, event.ClientRequestToken)).Reveal())
				c.spoil(s, pending)
				before := stateOf(s)
				labels := s.Labels()
				trace := r.Trace()

				err := s.Step(event, rotation.Test)

				onlyReads(t, trace.Take())
				before.unchanged(t)
				before.noKeyCreated(t)
				if s.Labels() != labels {
					t.Errorf("testSecret changed labels:\n%s\nto\n%s", labels, s.Labels())
				}
				if c.fault == "" {
					must(t, err)
					return
				}
				wantFault(t, err, c.fault, append(c.words, s.ARN)...)
			})
		})
	}
}

// tryConfiguration lets the service try a rotation's configuration: testSecret alone, on a
// temporary copy of the current value.
func tryConfiguration(t *testing.T, s *sandboxtest.Secret) error {
	t.Helper()
	_, err := s.Hands.RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{SecretId: &s.ARN,
		RotateImmediately: aws.Bool(false)})
	must(t, err)
	return s.Secrets.WaitRotation(context.Background(), s.ARN)
}

func TestTestRunOfAConfigurationChangesNothing(t *testing.T) {
	// In the test run of a configuration the pending value is the current one. The step only logs
	// in with it.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	r.Clock.Advance(80 * 24 * time.Hour) // an old key is the usual case here, and no fault
	before := stateOf(s)
	trace := r.Trace()

	must(t, tryConfiguration(t, s))

	onlyReads(t, trace.Take())
	before.unchanged(t)
	before.noKeyCreated(t)
	if !s.Valid(s.CurrentKey()) {
		t.Error("the valid key was revoked")
	}
}

func TestServiceTestRunReportsRefusedKey(t *testing.T) {
	// If the current key does not log in, the test run of a configuration fails.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	expireCurrent(t, s)
	wantFault(t, tryConfiguration(t, s), "PendingKeyRefused")
}

func TestTheServicesTestRunOnASecretThatWaitsForItsFirstKey(t *testing.T) {
	// After a deployment the test run succeeds, the log says that the first key is missing, and no
	// metric counts a failure.
	t.Parallel()
	r := sandboxtest.New(t)
	for i, value := range []string{"{}", `{"QUILT_API_KEY":""}`} {
		s := r.BareSecret(fmt.Sprintf("quilt/fresh-%d", i), value)
		r.Output.Take()
		trace := r.Trace()
		must(t, tryConfiguration(t, s))
		onlyReads(t, trace.Take())
		if metric(r, rotation.MetricBeforeFirstKey) || metric(r, rotation.MetricStepFailed) ||
			len(r.Output.Lines(`"level":"WARN"`, "waits for its first key")) != 1 {
			t.Errorf("the missing key is not reported, or counted as a failure\n%s", r.Output)
		}
	}
}

func TestTheServicesTestRunWaitsForANewRole(t *testing.T) {
	// The test run comes seconds after the function's role was created, and IAM may refuse the role
	// for a moment. Steps that write are not repeated for this reason.
	t.Parallel()
	sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
		r.NewKeyWait = 5 * time.Second
		s := r.BareSecret("quilt/fresh", "{}")
		for _, operation := range []string{"DescribeSecret", "GetSecretValue"} {
			refused := sandboxtest.AWSError(400, "AccessDeniedException", "not yet")
			remove := r.Intercept(sandboxtest.On(sandboxtest.Nth(0, refused), operation))
			must(t, tryConfiguration(t, s))
			remove()
		}
		s.Bootstrap(sandbox.UserEmail)
		event := s.Begin(sandboxtest.Token(1))
		remove := r.Intercept(sandboxtest.On(sandboxtest.Nth(0, sandboxtest.AWSError(400, "AccessDeniedException",
			"no")), "DescribeSecret"))
		wantFault(t, s.Step(event, rotation.Create), "SecretsManagerFailed", "AccessDenied")
		remove()
	})
}

func TestRotationSwitchedOff(t *testing.T) {
	// If somebody cancelled the rotation, each step refuses. A test run still passes, because it is
	// not known whether Secrets Manager then reports rotation as enabled.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
	_, err := r.Hands.CancelRotateSecret(context.Background(), &secretsmanager.CancelRotateSecretInput{
		SecretId: &s.ARN})
	must(t, err)
	before := stateOf(s)
	for _, step := range []rotation.Step{rotation.Create, rotation.Set, rotation.Finish} {
		wantFault(t, s.Step(event, step), "RotationOff", s.ARN, "RotateSecret")
	}
	must(t, s.Step(event, rotation.Test))
	if len(r.Output.Lines(`"level":"WARN"`, "not switched on", s.ARN)) != 1 {
		t.Errorf("testSecret does not warn\n%s", r.Output)
	}
	before.unchanged(t)
	before.noKeyCreated(t)
}

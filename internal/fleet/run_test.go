package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fleet"
	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/sweeps"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// needs makes a secret whose current key can be replaced: it has a previous version and an owner.
func needs(r *sandboxtest.Rig, name string, tags ...string) *sandboxtest.Secret {
	s := r.Secret(name, append(tags, settings.TagOwner, sandbox.UserEmail)...)
	s.MustRotate()
	r.Clock.Advance(25 * time.Hour)
	return s
}

// other is a secret that is not managed, and its ARN.
func other(r *sandboxtest.Rig, name, value string) string {
	r.Helper()
	out, err := r.Hands.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: &value, Tags: []types.Tag{{Key: aws.String(settings.TagRegistry),
			Value: aws.String("https://other.example.com")}},
	})
	if err != nil {
		r.Fatalf("%v", err)
	}
	return *out.ARN
}

// revoke revokes the current key by hand, as somebody who does not know this service.
func revoke(s *sandboxtest.Secret) {
	key, _ := s.Registry.KeyBySecret(s.CurrentKey().Reveal())
	s.Registry.Delete(key.ID)
}

func works(t *testing.T, s *sandboxtest.Secret) {
	t.Helper()
	if !s.Valid(s.CurrentKey()) {
		t.Errorf("the current key of %s does not work\n%s", s.Name, s.Labels())
	}
}

// reported lists the findings of the events about the secret, and says which of them are messages
// to a person.
func reported(report sweeps.Report, s *sandboxtest.Secret) (all []string) {
	for _, e := range report.Events {
		if e.Detail.Secret == nil || e.Detail.Secret.ARN == s.ARN {
			text := fmt.Sprint(e.Detail.Findings)
			if e.Detail.NeedsPerson {
				text += " to a person"
			}
			all = append(all, text)
		}
	}
	return all
}

func expect(t *testing.T, report sweeps.Report, s *sandboxtest.Secret, do fleet.Do, want ...string) {
	t.Helper()
	if got := reported(report, s); report.Do != do || !slices.Equal(got, want) {
		t.Errorf("the run ends with %q and reports %q, want %q and %q\n%s\n%s", report.Do, got, do, want, s.Labels(),
			s.Output)
	}
}

// notSearchHour moves the clock to an hour in which there is no message about what can wait until
// the morning.
func notSearchHour(r *sandboxtest.Rig, s *sandboxtest.Secret) {
	if r.Clock.Now().UTC().Hour() == revocation.SearchHour(s.ARN) {
		r.Clock.Advance(time.Hour)
	}
}

func TestRunSweepsAllManagedSecretsPageByPage(t *testing.T) {
	// Every managed secret is swept, and no other secret is read.
	r := sandboxtest.New(t)
	for i := range 5 {
		r.Secret(fmt.Sprint("quilt/", i))
		arn := other(r, fmt.Sprint("others/", i), "{}")
		r.Intercept(func(c *wire.Call, next func()) {
			if strings.Contains(string(c.Body), arn) {
				t.Errorf("%s of %s", c.Operation, arn)
			}
			next()
		})
	}
	machine := r.Machine()
	machine.Limit = 3
	report, err := machine.Run(t.Context(), "run", r.Clock.Now())
	if err != nil || report.Do != fleet.Done || report.Pages != 4 || report.Outcomes[revocation.Swept] != 5 ||
		len(report.Outcomes) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if len(report.Events) > 0 {
		t.Errorf("secrets with nothing to do have events: %v", report.Events)
	}
}

func TestASecretWithAnotherRegistrysTagIsReported(t *testing.T) {
	// If a tag has a mistake, or if the registry was renamed, the secret is reported and not
	// silently left out. Its value is not read.
	for tag, errorType := range map[string]string{"https://other.example.com": "WrongRegistry", "registry": "BadTags"} {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/x", settings.TagRegistry, tag)
		for r.Clock.Now().UTC().Hour() != revocation.SearchHour(s.ARN) {
			r.Clock.Advance(time.Hour)
		}
		r.Intercept(func(c *wire.Call, next func()) {
			if c.Operation == "GetSecretValue" {
				t.Error("the value is read")
			}
			next()
		})
		report := r.Run()
		expect(t, report, s, fleet.Done, "[attention] to a person")
		if len(report.Events) != 1 || report.Events[0].Detail.Failure.ErrorType != errorType {
			t.Errorf("%s: %+v", tag, report.Events)
		}
	}
}

func TestInvalidStepsAreRefused(t *testing.T) {
	// The state machine may be of another release. Nothing is swept if the input is not understood.
	r := sandboxtest.New(t)
	function := sandboxtest.FunctionARN(sandbox.RotateFunction)
	for _, event := range []string{
		`{"next": null}`, `{"next": {}}`, `{"next": 1}`,
		`{"next": {"rotateFunction": "rotate", "time": "2026-11-27T18:00:00Z"}}`,
		`{"next": {"rotateFunction": "` + function + `"}}`, `{"next": {"rotateFunction": "` + function +
			`", "time": "2026-11-27T18:00:00Z", "limit": 1001}}`,
		`{"secretId": "quilt/x", "run": "r", "dryRun": true}`,
	} {
		if answer, err := r.Process().Revoke([]byte(event)); err == nil {
			t.Errorf("%s: %s", event, answer)
		}
	}
}

func TestARevokedCurrentKeyIsReplaced(t *testing.T) {
	// The next run replaces a revoked key, with the previous key or the issuing credential. It does
	// not report the revoked key as one that needs attention. It sends one message, and one event
	// to the secret's own team before the rotation.
	for _, with := range []string{"the previous key", "the issuing credential"} {
		t.Run(with, func(t *testing.T) {
			r := sandboxtest.New(t)
			other(r, "quilt/issuer", fmt.Sprintf(`{"username": %q, "password": %q, "serves": ["quilt/x"]}`,
				sandbox.UserName, sandbox.UserPassword))
			s := needs(r, "quilt/x", settings.TagIssuer, "quilt/issuer", "team",
				"data qk_0123456789012345678901234567890123456789")
			notSearchHour(r, s)
			r.Run() // marks the superseded key
			if with == "the issuing credential" {
				previous, _ := r.Registry.KeyBySecret(s.KeyIn(s.Holder(vault.Previous)).Reveal())
				r.Registry.Delete(previous.ID)
				r.Run()
			}
			revoke(s)
			report := r.Run()
			expect(t, report, s, fleet.Rotate, "[attention]", "[on-need] to a person")
			works(t, s)
			if tags := report.Events[0].Detail.Secret.Tags; tags["team"] != "data [redacted]" ||
				tags[settings.TagOwner] == "" {
				t.Errorf("the event has the tags %v", tags)
			}
			report = r.Run()
			// Whoever restarts consumers after a rotation has a rule for "rotated".
			if got := reported(report, s); len(got) != 1 || !strings.HasPrefix(got[0], "[healed") ||
				!strings.Contains(got[0], "rotated") {
				t.Errorf("the next run reports %q\n%s", got, s.Labels())
			}
			revoke(s) // within a day of a success
			expect(t, r.Run(), s, fleet.Done, "[attention] to a person")
		})
	}
}

func TestNoRotationOnNeed(t *testing.T) {
	// In these cases a rotation is not wanted or would not help. A person gets a message.
	stuck := func(filled bool) func(*sandboxtest.Rig, *sandboxtest.Secret) {
		return func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			event := s.Begin(sandboxtest.Token(7))
			if filled {
				if err := s.Step(event, "createSecret"); err != nil {
					t.Fatal(err)
				}
				r.Clock.Advance(2 * time.Hour)
			}
			revoke(s)
		}
	}
	for name, c := range map[string]struct {
		prepare func(*sandboxtest.Rig, *sandboxtest.Secret)
		want    []string
	}{
		"the tag forbids it": {func(_ *sandboxtest.Rig, s *sandboxtest.Secret) {
			s.Tag(settings.TagOnNeed,
				"off")
			revoke(s)
		}, []string{"[attention] to a person"}},
		"sweeps are paused": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			if err := s.MoveLabel(vault.PauseLabel(r.Clock.Now().Add(time.Hour)), s.Holder(vault.Current).ID,
				""); err != nil {
				t.Fatal(err)
			}
			revoke(s)
		}, nil},
		"a label of a newer release": {func(_ *sandboxtest.Rig, s *sandboxtest.Secret) {
			if err := s.MoveLabel("quilt-newer:1", s.Holder(vault.Current).ID, ""); err != nil {
				t.Fatal(err)
			}
			revoke(s)
		}, []string{"[attention] to a person"}},
		"rotation is off": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			if _, err := r.Hands.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{
				SecretId: &s.ARN}); err != nil {
				t.Fatal(err)
			}
			revoke(s)
		}, []string{"[attention] to a person"}},
		"an alias of the function rotates": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			arn := sandboxtest.FunctionARN(sandbox.RotateFunction)
			r.Intercept(sandboxtest.On(sandboxtest.EditAnswer(arn, arn+":live"), "DescribeSecret"))
			revoke(s)
		}, []string{"[attention] to a person"}},
		"another user's key was put by hand": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			r.Registry.AddUser(quiltregistry.User{Name: "other", Email: "other@example.com"})
			_, secret := r.Registry.MintKey("other@example.com", "by-hand", 90)
			s.Put(sandboxtest.ValueWith(secret))
			revoke(s)
		}, []string{"[attention] to a person"}},
		"a rotation has just begun": {stuck(false), []string{"[attention] to a person"}},
		"a pending key is stored":   {stuck(true), []string{"[attention] to a person"}},
		"the age of the pending version is not known": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			stuck(false)(r, s)
			r.Clock.Advance(2 * time.Hour)
			r.Intercept(sandboxtest.On(func(call *wire.Call, _ func()) {
				call.Respond(http.StatusOK, `{"Versions": []}`)
			}, "ListSecretVersionIds"))
		}, []string{"[attention] to a person"}},
		"the registry refuses all": {func(r *sandboxtest.Rig, _ *sandboxtest.Secret) {
			r.Registry.SetActive(sandbox.UserEmail, false)
		}, []string{"[attention] to a person"}},
		"the owner is not known": {func(_ *sandboxtest.Rig, s *sandboxtest.Secret) {
			s.Tag(settings.TagOwner,
				"")
			revoke(s)
		}, []string{"[attention] to a person"}},
		"the refusal passes": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			r.Intercept(sandboxtest.OnService("registry",
				sandboxtest.Nth(0, func(call *wire.Call, _ func()) { call.Respond(http.StatusUnauthorized, "") })))
		}, []string{"[attention] to a person"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := needs(r, "quilt/x")
			r.Run()
			notSearchHour(r, s)
			keys := len(r.Registry.Keys())
			c.prepare(r, s)
			expect(t, r.Run(), s, fleet.Done, c.want...)
			if now := len(r.Registry.Keys()); now > keys+1 {
				t.Errorf("there were %d keys, and are %d", keys, now)
			}
		})
	}
}

func TestAnEmptyPendingVersionIsRemovedAfterAnHour(t *testing.T) {
	// A rotation that was interrupted before it stored a key must not block the replacement of a
	// refused key.
	r := sandboxtest.New(t)
	s := needs(r, "quilt/x")
	r.Run()
	revoke(s)
	s.Begin(sandboxtest.Token(7))
	r.Clock.Advance(time.Hour + time.Minute)
	report := r.Run()
	if len(report.Rotated) != 1 || report.Rotated[0].RemovePending != sandboxtest.Token(7) {
		t.Errorf("%+v\n%s", report, s.Labels())
	}
	works(t, s)
}

func TestAKeyThatExpiresIsReplaced(t *testing.T) {
	// A key is replaced on need only if its scheduled rotation does not come in time.
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		life     int // of the key, in days
		schedule int64
		after    time.Duration
		want     fleet.Do
	}{
		"8 days left, rotation overdue":                 {90, 30, 82 * day, fleet.Done},
		"6 days left, rotation overdue":                 {90, 30, 84 * day, fleet.Rotate},
		"6 days left, rotation 3 days before":           {90, 86, 84 * day, fleet.Done},
		"6 days left, rotation in the last hours":       {90, 89, 84 * day, fleet.Rotate},
		"6 days left, rotation after the key is gone":   {90, 200, 84 * day, fleet.Rotate},
		"3 of 8 days left, rotation too late":           {8, 30, 5 * day, fleet.Done},
		"less than 2 of 8 days left, rotation too late": {8, 30, 6*day + time.Hour, fleet.Rotate},
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.BareSecret("quilt/x", "{}")
			id, secret := r.Registry.MintKey(sandbox.UserEmail, apikey.Name(s.Name, r.Clock.Now(), s.ARN), c.life)
			if err := s.MoveLabel(vault.KeyLabel(id), s.Put(sandboxtest.ValueWith(secret)), ""); err != nil {
				t.Fatal(err)
			}
			_, err := r.Hands.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
				SecretId: &s.ARN, RotateImmediately: aws.Bool(false), RotationRules: &types.RotationRulesType{
					AutomaticallyAfterDays: &c.schedule},
			})
			if err != nil || r.Secrets.WaitRotation(t.Context(), s.ARN) != nil {
				t.Fatal(err)
			}
			r.Clock.Advance(c.after)
			report := r.Run()
			if report.Do != c.want || (s.CurrentKey().Reveal() == secret) != (c.want == fleet.Done) {
				t.Errorf("the run ends with %q\n%s", report.Do, r.Output)
			}
			if c.want == fleet.Rotate && report.Rotated[0].Reason != revocation.NeedExpires {
				t.Errorf("the reason is %q", report.Rotated[0].Reason)
			}
			works(t, s)
		})
	}
}

func TestReplacementOfARefusedKeyIsReportedOnce(t *testing.T) {
	// If somebody revokes the replaced key by hand, consumers must not be restarted a second time.
	r := sandboxtest.New(t)
	s := r.Secret("quilt/x")
	r.Clock.Advance(85 * 24 * time.Hour)
	notSearchHour(r, s)
	r.Run()
	expect(t, r.Run(), s, fleet.Done, "[healed rotated]")
	previous, _ := r.Registry.KeyBySecret(s.KeyIn(s.Holder(vault.Previous)).Reveal())
	r.Registry.Delete(previous.ID)
	expect(t, r.Run(), s, fleet.Done)
}

func TestAKeyThatExpiresAndMayNotBeReplacedIsReported(t *testing.T) {
	// If nothing rotates a key, a person gets a message in every sweep.
	r := sandboxtest.New(t)
	s := r.Secret("quilt/x", settings.TagOnNeed, "off")
	s.MustRotate()
	r.Run()
	r.Clock.Advance(85 * 24 * time.Hour)
	notSearchHour(r, s)
	r.Run() // revokes the superseded key
	expect(t, r.Run(), s, fleet.Done, "[attention] to a person")
}

func TestConcurrentRunsRotateOnce(t *testing.T) {
	// Events may be delivered twice. Both runs use the same token, so one key is created.
	r := sandboxtest.New(t)
	s := needs(r, "quilt/x")
	r.Run()
	revoke(s)
	at := r.Clock.Now()
	function := sandboxtest.FunctionARN(sandbox.RotateFunction)
	var answers []fleet.Answer
	for range 2 {
		event, _ := json.Marshal(map[string]any{"next": fleet.Step{RotateFunction: function, Time: at,
			State: fleet.State{
				Listed: true, Swept: 1, Rotate: []revocation.Need{{SecretID: s.ARN, Reason: revocation.NeedRefused}},
			}}})
		text, err := r.Process().Revoke(event)
		var answer fleet.Answer
		if err != nil || json.Unmarshal(text, &answer) != nil || len(answer.Rotations) != 1 {
			t.Fatalf("%s, %v", text, err)
		}
		answers = append(answers, answer)
	}
	if answers[0].Rotations[0].Token != answers[1].Rotations[0].Token {
		t.Errorf("the tokens differ: %+v", answers)
	}
	keys := len(r.Registry.Keys())
	first, err := r.Machine().Run(t.Context(), "first", at)
	second, _ := r.Machine().Run(t.Context(), "second", at)
	_ = r.Secrets.WaitRotation(t.Context(), s.ARN)
	if err != nil || len(first.Rotated) != 1 || len(r.Registry.Keys()) != keys+1 {
		t.Errorf("%d keys were created; %+v, %+v, %v", len(r.Registry.Keys())-keys, first, second, err)
	}
	works(t, s)
}

func TestLastStepReadsTheSecretAgain(t *testing.T) {
	// A secret may have changed in the hour since its sweep. It is not rotated if this is no longer
	// allowed.
	for name, change := range map[string]func(*sandboxtest.Secret, sandboxtest.Event){
		"the pending version has a value": func(s *sandboxtest.Secret, e sandboxtest.Event) {
			if err := s.Step(e, "createSecret"); err != nil {
				t.Fatal(err)
			}
		},
		"another rotation is under way": func(s *sandboxtest.Secret, e sandboxtest.Event) {
			if err := s.MoveLabel(vault.Pending, "", e.ClientRequestToken); err != nil {
				t.Fatal(err)
			}
			s.Begin(sandboxtest.Token(8))
		},
		"the tag forbids it": func(s *sandboxtest.Secret, _ sandboxtest.Event) { s.Tag(settings.TagOnNeed, "off") },
		"another function rotates it": func(s *sandboxtest.Secret, _ sandboxtest.Event) {
			if _, err := s.Lambda.Add(awslambda.Config{Name: "other", Handler: nobody{}}); err != nil {
				t.Fatal(err)
			}
			if err := s.MoveLabel(vault.Pending, "", sandboxtest.Token(7)); err != nil {
				t.Fatal(err)
			}
			_, err := s.Hands.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
				SecretId: &s.ARN, RotationLambdaARN: aws.String(sandboxtest.FunctionARN("other")),
				RotateImmediately: aws.Bool(false),
			})
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Secrets.WaitRotation(t.Context(), s.ARN)
		},
		"sweeps are paused": func(s *sandboxtest.Secret, _ sandboxtest.Event) {
			pause := vault.PauseLabel(s.Clock.Now().Add(time.Hour))
			if err := s.MoveLabel(pause, s.Holder(vault.Current).ID, ""); err != nil {
				t.Fatal(err)
			}
		},
		"the secret is deleted": func(s *sandboxtest.Secret, _ sandboxtest.Event) {
			if _, err := s.Hands.DeleteSecret(t.Context(),
				&secretsmanager.DeleteSecretInput{SecretId: &s.ARN}); err != nil {
				t.Fatal(err)
			}
		},
		"nothing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := needs(r, "quilt/x")
			event := s.Begin(sandboxtest.Token(7))
			r.Clock.Advance(2 * time.Hour)
			if change != nil {
				change(s, event)
			}
			step, _ := json.Marshal(map[string]any{"next": fleet.Step{
				RotateFunction: sandboxtest.FunctionARN(sandbox.RotateFunction), Time: r.Clock.Now(),
				State: fleet.State{Listed: true, Swept: 1,
					Rotate: []revocation.Need{{SecretID: s.ARN, Reason: revocation.NeedRefused,
						Pending: event.ClientRequestToken}}},
			}})
			text, err := r.Process().Revoke(step)
			var answer fleet.Answer
			if err != nil || json.Unmarshal(text, &answer) != nil || len(answer.Rotations) > 0 != (change == nil) {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}

type nobody struct{}

func (nobody) Invoke(context.Context, []byte) ([]byte, error) { return nil, nil }

func TestManyRefusedKeysAreNotReplaced(t *testing.T) {
	// A registry may have lost its keys, for example after a restore. No key is replaced, and one
	// message reports it.
	r := sandboxtest.New(t)
	var all []*sandboxtest.Secret
	for i := range 7 {
		all = append(all, r.Secret(fmt.Sprint("quilt/", i), settings.TagOwner, sandbox.UserEmail))
		all[i].MustRotate()
	}
	r.Clock.Advance(25 * time.Hour)
	r.Run()
	for _, s := range all[:6] {
		revoke(s)
	}
	keys := len(r.Registry.Keys())
	report := r.Run()
	if report.Do != fleet.Stop || len(report.Rotated) > 0 || len(r.Registry.Keys()) != keys {
		t.Errorf("%+v", report)
	}
	last := report.Events[len(report.Events)-1]
	if last.DetailType != "Quilt Sweep Run Stopped" || !last.Detail.NeedsPerson ||
		!strings.Contains(last.Detail.Message, "6 need a rotation") {
		t.Errorf("the run reports %+v", last)
	}
}

func TestTheBrakeStopsARunInWhichManyFail(t *testing.T) {
	// A release that fails everywhere must not touch the secrets of later pages.
	r := sandboxtest.New(t)
	for i := range 12 {
		r.Secret(fmt.Sprint("quilt/", i), settings.TagGrace, "soon")
	}
	machine := r.Machine()
	machine.Limit = 10
	report, err := machine.Run(t.Context(), "run", r.Clock.Now())
	if err != nil || report.Do != fleet.Stop || report.Pages != 1 || report.Outcomes[revocation.Failed] != 10 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestEventsOfALife(t *testing.T) {
	// A rotation, a held key, a revocation and an orphan each have an event. Messages that can wait
	// are sent once a day.
	r := sandboxtest.New(t)
	s := r.Secret("quilt/x")
	s.MustRotate()
	notSearchHour(r, s)
	expect(t, r.Run(), s, fleet.Done, "[rotated]")
	expect(t, r.Run(), s, fleet.Done)
	r.Clock.Advance(26 * time.Hour)
	previous := s.KeyIn(s.Holder(vault.Previous))
	use(t, r, previous.Reveal())
	expect(t, r.Run(), s, fleet.Done, "[held]")
	r.Clock.Advance(26 * time.Hour)
	expect(t, r.Run(), s, fleet.Done, "[revoked]")
	s.Tag(settings.TagGrace, "soon")
	days := map[string]int{}
	for range 24 {
		for _, text := range reported(r.Run(), s) {
			days[text]++
		}
		r.Clock.Advance(time.Hour)
	}
	if days["[attention] to a person"] != 1 || days["[attention]"] != 23 {
		t.Errorf("in a day, bad tags are reported %v", days)
	}
}

func TestWhatCanWaitIsReportedOnceADay(t *testing.T) {
	// A secret whose keys are no longer managed is reported, but not 24 times a day.
	for name, c := range map[string]struct {
		prepare func(*sandboxtest.Rig, *sandboxtest.Secret)
		page    string
	}{
		"rotation is off": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			if _, err := r.Hands.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{
				SecretId: &s.ARN}); err != nil {
				t.Fatal(err)
			}
		}, "rotation-off"},
		"rotation is overdue": {func(r *sandboxtest.Rig, _ *sandboxtest.Secret) {
			r.Clock.Advance(40 * 24 * time.Hour)
		}, "rotation-overdue"},
		"no first key": {func(_ *sandboxtest.Rig, s *sandboxtest.Secret) { s.Put("{}") }, "not-bootstrapped"},
		"few labels": {func(_ *sandboxtest.Rig, s *sandboxtest.Secret) {
			for i := range 13 {
				if err := s.MoveLabel(fmt.Sprint("custom-", i), s.Holder(vault.Current).ID, ""); err != nil {
					t.Fatal(err)
				}
			}
		}, "few-labels"},
		"a key is held": {func(r *sandboxtest.Rig, s *sandboxtest.Secret) {
			s.MustRotate()
			r.Run()
			r.Clock.Advance(8 * 24 * time.Hour)
			use(t, r, s.KeyIn(s.Holder(vault.Previous)).Reveal())
		}, "held-too-long"},
	} {
		t.Run(name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.BareSecret("quilt/x", "{}")
			if name != "no first key" {
				s.Bootstrap(sandbox.UserEmail)
			}
			c.prepare(r, s)
			messages := 0
			for range 24 {
				for _, e := range r.Run().Events {
					if e.Detail.NeedsPerson {
						messages++
						if !strings.HasSuffix(e.Detail.Message, "docs/runbook/"+c.page+".md") {
							t.Errorf("the message is %q", e.Detail.Message)
						}
					}
				}
				r.Clock.Advance(time.Hour)
			}
			if messages != 1 {
				t.Errorf("%d messages in a day", messages)
			}
		})
	}
}

// use logs in with a key, as a consumer.
func use(t *testing.T, r *sandboxtest.Rig, key string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.RegistryURL+"/graphql",
		strings.NewReader(`{"query":"{me{email}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := r.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

func TestCheckEventFindsWhatTheSchemaForbids(t *testing.T) {
	// The check of the schema must find errors.
	good := notice.New(notice.Detail{Registry: "https://r", Findings: []notice.Finding{notice.Held}, Message: "m",
		Secret: &notice.Secret{ARN: "a", Name: "n"}})
	if err := sandboxtest.CheckEvent(*good); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*notice.Event){
		"type":    func(e *notice.Event) { e.DetailType = "Quilt" },
		"version": func(e *notice.Event) { e.Detail.Version = 2 },
		"finding": func(e *notice.Event) { e.Detail.Findings = []notice.Finding{"x"} },
		"none":    func(e *notice.Event) { e.Detail.Findings = nil },
		"keys":    func(e *notice.Event) { e.Detail.Keys = make([]notice.Key, 101) },
	} {
		bad := *good
		spoil(&bad)
		if sandboxtest.CheckEvent(bad) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

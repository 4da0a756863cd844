package rotation_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// A signal is a way in which a service fails, and the type of the error that each step ends with.
type signal struct {
	name  string
	hook  func(t *testing.T) wire.Hook
	wants map[string]string // by step, or by operation
}

func always(hook wire.Hook) func(*testing.T) wire.Hook {
	return func(*testing.T) wire.Hook { return hook }
}

func hang(t *testing.T) wire.Hook { return sandboxtest.NewGate(t).Hang }

const jsonType = "application/json"

// Where a registry fails, it fails at every request of the step, or at apiKeyCreate alone.
func registrySignals() []signal {
	wants := func(create, others, making string) map[string]string {
		return map[string]string{"createSecret": create, "testSecret": others, "finishSecret": others,
			"apiKeyCreate": making}
	}
	refused := wants("NoCreator", "PendingKeyRefused", "NoCreator")
	forbidden := wants("NoCreator", "RegistryRefused", "NoCreator")
	down := wants("RegistryUnavailable", "RegistryUnavailable", "CreateAnswerLost")
	answer := func(status int, body string, headers ...string) func(*testing.T) wire.Hook {
		return always(sandboxtest.Answer(status, body, append(headers, "Content-Type", jsonType)...))
	}
	return []signal{
		{"401", answer(401, `{"message":"Token invalid."}`), refused},
		{"403", answer(403, `{"message":"Forbidden"}`), forbidden},
		{"200 with errors", answer(200, `{"errors":[{"message":"no","path":["me"]}],"data":null}`), forbidden},
		{"200 with errors and me: null", answer(200, `{"errors":[{"message":"no"}],"data":{"me":null}}`), forbidden},
		{"InvalidInput",
			answer(200, `{"data":{"apiKeyCreate":{"__typename":"InvalidInput","errors":[{"path":"input","message":"no","name":"ValidationError"}]}}}`),
			wants("RegistryUnavailable", "RegistryUnavailable", "NoCreator")},
		{"an unknown type", answer(200, `{"data":{"apiKeyCreate":{"__typename":"SomethingNew"}}}`), down},
		{"me: null", answer(200, `{"data":{"me":null}}`, "Date", "Sun, 22 Nov 2026 18:15:00 GMT"),
			wants("NoCreator", "PendingKeyRefused", "CreateAnswerLost")},
		{"429 for long", answer(429, `{"message":"Too many requests."}`, "Retry-After", "3600"),
			wants("RegistryUnavailable", "RegistryUnavailable", "RegistryUnavailable")},
		{"500", answer(500, `{"message":"oops"}`), down},
		{"503", answer(503, "<html>down</html>"), down},
		{"dropped", always(sandboxtest.LoseRequest), down},
		{"hangs", hang, down},
		{"garbage", answer(200, "<html>hello</html>"), down},
		{"half an answer", answer(200, `{"data":{"me":{"name":"x"`), down},
		{"nothing", answer(200, ""), down},
		{"a redirect", answer(307, "", "Location", "https://elsewhere.example.com/graphql"), down},
		{"a stranger's 404", answer(404, "<html>not here</html>"), wants("RegistryUnavailable", "RegistryUnavailable",
			"RegistryUnavailable")},
	}
}

// inTime runs a step, and fails the test unless the step ends by itself before its time is over.
// The time is a bubble's (see [sandboxtest.Timeless]).
func inTime(t *testing.T, s *sandboxtest.Secret, event sandboxtest.Event, step rotation.Step) error {
	t.Helper()
	start := time.Now()
	err := s.Step(event, step)
	if took := time.Since(start); took >= s.Timeout {
		t.Errorf("%s took %s, and has %s", step, took, s.Timeout)
	}
	return err
}

func TestFailuresOfTheRegistry(t *testing.T) {
	// If the registry fails, each step ends in time with the right error type, and AWSCURRENT still
	// works.
	t.Parallel()
	for _, c := range registrySignals() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
				for _, step := range []rotation.Step{rotation.Create, rotation.Test, rotation.Finish} {
					s := r.Secret("quilt/" + string(step))
					event := s.Begin(sandboxtest.Token(1))
					if step != rotation.Create {
						must(t, s.Step(event, rotation.Create))
					}
					before := stateOf(s)
					remove := r.Intercept(sandboxtest.OnService("registry", c.hook(t)))

					err := inTime(t, s, event, step)

					remove()
					wantFault(t, err, c.wants[string(step)])
					before.unchanged(t)
					before.noKeyCreated(t)
					if !holds(version(t, s, event.ClientRequestToken), vault.Pending) {
						t.Errorf("%s took AWSPENDING off", step)
					}
					for _, next := range steps { // the registry works again, and so does the rotation
						must(t, s.Step(event, next))
					}
					keepsPromises(t, s)
				}
			})
		})
	}
}

func TestFailuresOfApiKeyCreate(t *testing.T) {
	// The error shows whether a key was certainly not created. If one may exist, no second key is
	// created.
	t.Parallel()
	for _, c := range registrySignals() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
				s := r.Secret("quilt/pipeline")
				event := s.Begin(sandboxtest.Token(1))
				before := stateOf(s)
				trace := r.Trace()
				remove := r.Intercept(sandboxtest.On(c.hook(t), "apiKeyCreate"))

				err := inTime(t, s, event, rotation.Create)

				remove()
				wantFault(t, err, c.wants["apiKeyCreate"])
				if errorType(err) == "CreateAnswerLost" {
					wantFault(t, err, "CreateAnswerLost", "a sweep revokes it")
					if n := sandboxtest.Count(trace.Take(), "apiKeyCreate"); n != 1 {
						t.Errorf("apiKeyCreate was sent %d times", n)
					}
				}
				before.unchanged(t)
				before.noKeyCreated(t)
				must(t, s.Step(event, rotation.Create))
			})
		})
	}
}

func TestALostAnswerOfApiKeyCreateLeavesOneKeyForTheSweep(t *testing.T) {
	// If the answer is lost, the key stays at the registry with the secret's mark in its name, and
	// the sweep revokes it.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := s.Begin(sandboxtest.Token(1))
	remove := r.Intercept(sandboxtest.On(sandboxtest.LoseAnswer, "apiKeyCreate"))
	wantFault(t, s.Step(event, rotation.Create), "CreateAnswerLost")
	remove()
	if orphans(s) != 1 {
		t.Errorf("%d keys that nobody holds, want one", orphans(s))
	}
	for _, step := range steps {
		must(t, s.Step(event, step))
	}
	must(t, r.Secrets.FinishPending(s.ARN))
	r.Clock.Advance(2 * time.Hour)
	s.MustSweep()
	if orphans(s) != 0 {
		t.Error("the sweep left the key")
	}
	keepsPromises(t, s)
}

func TestRateLimitedRequestIsRepeated(t *testing.T) {
	// A step waits if the registry is busy for a moment, also while it creates the key: the status
	// 429 means that no key was created.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	for _, operation := range []string{"account", "apiKeyCreate", "login", "me"} {
		defer r.Intercept(sandboxtest.On(sandboxtest.Nth(0, sandboxtest.Answer(429, `{"message":"busy"}`, "Retry-After",
			"0")), operation))()
	}
	s.MustRotate()
	if len(s.Ours()) != 2 {
		t.Errorf("%d keys, want two", len(s.Ours()))
	}
}

func TestTheCurrentKeysRefusalDoesNotStopTestSecret(t *testing.T) {
	// A rotation must be able to replace a revoked key, so the owner is compared only if the
	// current key works. A registry that is down is an error.
	t.Parallel()
	for name, c := range map[string]struct {
		hook  wire.Hook
		fault string
	}{
		"refused": {sandboxtest.Answer(401, `{"message":"Token invalid."}`), ""},
		"down":    {sandboxtest.Answer(503, ""), "RegistryUnavailable"},
	} {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
		r.Intercept(sandboxtest.On(c.hook, "me")) // testSecret asks the pending key by "login"
		if err := s.Step(event, rotation.Test); errorType(err) != c.fault {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// secretsManagerSignals are ways in which Secrets Manager fails. Which error a step ends with
// depends on the operation alone.
func secretsManagerSignals() []signal {
	refused := func(status int, code string) func(*testing.T) wire.Hook {
		return always(sandboxtest.AWSError(status, code, "refused by the test"))
	}
	return []signal{
		{"AccessDeniedException", refused(400, "AccessDeniedException"), nil},
		{"ThrottlingException", refused(400, "ThrottlingException"), nil},
		{"DecryptionFailure", refused(400, "DecryptionFailure"), nil},
		{"InternalServiceError", refused(500, "InternalServiceError"), nil},
		{"dropped", always(sandboxtest.LoseRequest), nil},
		{"hangs", hang, nil},
		{"garbage", always(sandboxtest.Answer(200, "<html>")), nil},
	}
}

func TestFailuresOfSecretsManager(t *testing.T) {
	// If an operation of Secrets Manager fails, each step ends with the right error type, and
	// AWSCURRENT still works.
	t.Parallel()
	operations := map[rotation.Step]map[string]string{
		rotation.Create: {"DescribeSecret": "SecretsManagerFailed", "GetSecretValue": "SecretsManagerFailed",
			"PutSecretValue": "StoreFailed"},
		rotation.Set:  {"DescribeSecret": "SecretsManagerFailed", "GetSecretValue": "SecretsManagerFailed"},
		rotation.Test: {"DescribeSecret": "SecretsManagerFailed", "GetSecretValue": "SecretsManagerFailed"},
		rotation.Finish: {"DescribeSecret": "SecretsManagerFailed", "GetSecretValue": "SecretsManagerFailed",
			"UpdateSecretVersionStage": "CutOverFailed"},
	}
	for _, c := range secretsManagerSignals() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
				for step, wants := range operations {
					s := r.Secret("quilt/" + string(step))
					event := s.Begin(sandboxtest.Token(1))
					if step != rotation.Create {
						must(t, s.Step(event, rotation.Create))
					}
					for operation, want := range wants {
						before := stateOf(s)
						remove := r.Intercept(sandboxtest.On(c.hook(t), operation))
						err := inTime(t, s, event, step)
						remove()
						wantFault(t, err, want, s.ARN, operation)
						if slices.Contains([]string{"AccessDeniedException", "ThrottlingException",
							"DecryptionFailure"}, c.name) {
							wantFault(t, err, want, c.name+": ", "; ") // the service's code, and what to do
						}
						before.unchanged(t)
						if operation != "PutSecretValue" {
							before.noKeyCreated(t)
						}
					}
					for _, next := range steps {
						must(t, s.Step(event, next))
					}
					keepsPromises(t, s)
				}
			})
		})
	}
}

func TestEachGetSecretValueMayFail(t *testing.T) {
	// A value that cannot be read is not a missing value. No key is created, whichever read fails.
	t.Parallel()
	r := sandboxtest.New(t)
	for n := range 2 {
		s := r.Secret(fmt.Sprintf("quilt/%d", n))
		event := s.Begin(sandboxtest.Token(1))
		before := stateOf(s)
		remove := r.Intercept(sandboxtest.On(sandboxtest.Nth(n, sandboxtest.AWSError(400, "DecryptionFailure", "no")),
			"GetSecretValue"))
		wantFault(t, s.Step(event, rotation.Create), "SecretsManagerFailed", "DecryptionFailure", "KMS")
		remove()
		before.unchanged(t)
		before.noKeyCreated(t)
	}
}

func TestASlowRegistryIsNotGivenUp(t *testing.T) {
	// A registry that needs 11 seconds to create a key, or to log in the issuing credential, gets
	// the step's share of the time. Otherwise each attempt would leave an orphan.
	t.Parallel()
	for _, operation := range []string{"apiKeyCreate", "POST /api/login", "POST /api/token"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			sandboxtest.Timeless(t, func(t *testing.T, r *sandboxtest.Rig) {
				r.Timeout = time.Minute // as deployed
				s := r.Secret("quilt/pipeline")
				if operation != "apiKeyCreate" {
					s.Tag(settings.TagIssuer, keep(t, r, "quilt/issuer", passwordIssuer))
					expireCurrent(t, s)
				}
				event := s.Begin(sandboxtest.Token(1))
				r.Intercept(sandboxtest.On(func(_ *wire.Call, next func()) {
					time.Sleep(11 * time.Second) // of the bubble
					next()
				}, operation))
				must(t, s.Step(event, rotation.Create))
				if orphans(s) != 0 {
					t.Errorf("%d orphans", orphans(s))
				}
			})
		})
	}
}

package rotation_test

import (
	"slices"
	"strings"
	"testing"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

// golden are the requests of an undisturbed rotation, each with the version that it reads or
// writes, or the label that it moves.
var golden = map[rotation.Step][]string{
	rotation.Create: {"DescribeSecret", "GetSecretValue current", "GetSecretValue pending", "account", "apiKeyCreate",
		"PutSecretValue pending"},
	rotation.Set:  {"DescribeSecret", "GetSecretValue current", "GetSecretValue pending"},
	rotation.Test: {"DescribeSecret", "GetSecretValue current", "GetSecretValue pending", "login", "me"},
	rotation.Finish: {"DescribeSecret", "GetSecretValue current", "GetSecretValue pending", "me",
		"UpdateSecretVersionStage AWSCURRENT"},
}

func TestTheRequestsOfARotation(t *testing.T) {
	// Each step sends exactly these requests, none of them twice: at most 5 to the registry and 14
	// to Secrets Manager for a rotation.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	s.MustRotate() // so that there is a previous version, which is not asked
	current, event := s.Holder(vault.Current).ID, s.Begin(sandboxtest.Token(1))
	registry, secretsManager := 0, 0
	trace := r.Trace()
	for _, step := range steps {
		must(t, s.Step(event, step))
		names := sandboxtest.Operations(trace.Take())
		for i, name := range names {
			if name[0] >= 'a' { // the registry's operations have small letters
				registry++
			} else {
				secretsManager++
			}
			names[i] = strings.NewReplacer(current, "current", event.ClientRequestToken, "pending").Replace(name)
		}
		if !slices.Equal(names, golden[step]) {
			t.Errorf("%s sends\n%q, want\n%q", step, names, golden[step])
		}
		slices.Sort(names)
		if len(slices.Compact(names)) != len(golden[step]) {
			t.Errorf("%s sends a request twice", step)
		}
	}
	if registry > 5 || secretsManager > 14 || registry+secretsManager != requestsOfARotation {
		t.Errorf("the rotation sends %d requests to the registry and %d to Secrets Manager", registry, secretsManager)
	}
}

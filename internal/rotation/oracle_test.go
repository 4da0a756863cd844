package rotation_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

// These helpers check what the four steps guarantee, also after a failure.

// errorType is the name that Lambda reports for a step's error, "" for none.
func errorType(err error) string {
	var step *awssecrets.StepError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &step):
		return fault.TypeName(err)
	}
	var answer struct {
		ErrorType string `json:"errorType"`
	}
	_ = json.Unmarshal(step.Answer, &answer)
	return answer.ErrorType
}

// wantFault requires an error of that type, whose message has the words in it.
func wantFault(t *testing.T, err error, name string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error, want %s", name)
	}
	if got := errorType(err); got != name {
		t.Fatalf("the error is a %s, want %s: %v", got, name, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the message of %s does not contain %q: %v", name, word, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") || strings.Contains(err.Error(), "%!") || len(err.Error()) > 1000 {
		t.Errorf("the error is not one short line: %q", err.Error())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A before is the state before an operation that must not change AWSCURRENT or create keys.
type before struct {
	*sandboxtest.Secret
	current awssecrets.Version
	keys    int
}

func stateOf(s *sandboxtest.Secret) before {
	return before{s, s.Holder(vault.Current), len(s.Registry.Keys())}
}

// unchanged requires that AWSCURRENT did not move.
func (p before) unchanged(t *testing.T) {
	t.Helper()
	if now := p.Holder(vault.Current); now.ID != p.current.ID || now.Value != p.current.Value {
		t.Errorf("AWSCURRENT moved from %s to %s\n%s", p.current.ID, now.ID, p.Labels())
	}
}

// noKeyCreated requires that there are as many keys as before.
func (p before) noKeyCreated(t *testing.T) {
	t.Helper()
	if now := len(p.Registry.Keys()); now != p.keys {
		t.Errorf("the registry had %d keys and has %d", p.keys, now)
	}
}

// runTo begins a rotation and carries out its steps up to and including the given one.
func runTo(t *testing.T, s *sandboxtest.Secret, token string, last rotation.Step) sandboxtest.Event {
	t.Helper()
	event := s.Begin(token)
	for _, step := range []rotation.Step{rotation.Create, rotation.Set, rotation.Test, rotation.Finish} {
		must(t, s.Step(event, step))
		if step == last {
			break
		}
	}
	return event
}

// holds reports whether a version has a label.
func holds(v awssecrets.Version, label string) bool {
	return vault.Version{Stages: v.Stages}.Has(label)
}

// version is the version with that id.
func version(t *testing.T, s *sandboxtest.Secret, id string) awssecrets.Version {
	t.Helper()
	for _, v := range s.Snapshot().Versions {
		if v.ID == id {
			return v
		}
	}
	t.Fatalf("there is no version %s\n%s", id, s.Labels())
	return awssecrets.Version{}
}

// keyID is the id of a key at the registry.
func keyID(t *testing.T, s *sandboxtest.Secret, key apikey.Key) string {
	t.Helper()
	k, ok := s.Registry.KeyBySecret(key.Reveal())
	if !ok {
		t.Fatalf("the registry does not know the key %s", key)
	}
	return k.ID
}

// requireKeyLabel requires that a version has the label of the key that it holds, and no other key
// label.
func requireKeyLabel(t *testing.T, s *sandboxtest.Secret, v awssecrets.Version) {
	t.Helper()
	want := keyID(t, s, s.KeyIn(v))
	if got := vault.NewVersion(v.ID, v.Stages).Keys; len(got) != 1 || got[0] != want {
		t.Errorf("the version %s has the key labels %v, want %s\n%s", v.ID, got, want, s.Labels())
	}
}

// metric reports whether the functions wrote that metric with the value 1.
func metric(r *sandboxtest.Rig, name string) bool {
	return len(r.Output.Lines("CloudWatchMetrics", `"`+name+`":1`)) > 0
}

// unidentified reports whether a step reported that it could not find the id of the current key.
func unidentified(r *sandboxtest.Rig) bool { return len(r.Output.Lines(`"unidentified":`)) > 0 }

// keep stores the secret of an issuing credential, which is not rotated.
func keep(t *testing.T, r *sandboxtest.Rig, name, value string) (arn string) {
	t.Helper()
	out, err := r.Hands.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: &value})
	must(t, err)
	return *out.ARN
}

// putVersion stores a version with the given labels by hand.
func putVersion(t *testing.T, s *sandboxtest.Secret, id, value string, labels ...string) {
	t.Helper()
	_, err := s.Hands.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{
		SecretId: &s.ARN, ClientRequestToken: &id, SecretString: &value, VersionStages: labels,
	})
	must(t, err)
}

// unstick removes AWSPENDING, as an operator would.
func unstick(t *testing.T, s *sandboxtest.Secret) {
	t.Helper()
	if v, ok := s.Snapshot().Holder(vault.Pending); ok {
		must(t, s.MoveLabel(vault.Pending, "", v.ID))
	}
}

// atOnce runs n calls at the same time, and returns their errors.
func atOnce(n int, run func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

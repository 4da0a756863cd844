package bench_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

// deployedMemory is the memory of the functions in the deployment, in MB (infra/keyrotation).
const deployedMemory = 256

var functionMemory = flag.Int("function-memory", deployedMemory, "memory of the functions, in MB")

// The functions with which the deployed functions are compared.
const (
	smallest = "smallest"
	floor    = "floor"   // the smallest function that calls Secrets Manager with the SDK
	calling  = "calling" // the smallest function that calls both services without the SDK
)

var steps = []rotation.Step{rotation.Create, rotation.Set, rotation.Test, rotation.Finish}

// A workbench is a sandbox with the built functions.
type workbench struct {
	*sandbox.Sandbox
	*testing.B
	last map[string]*awslambda.Report // the report of the last invocation of each function

	created     int
	overNetwork bool // the services are behind a network
	counter
}

func newWorkbench(b *testing.B) *workbench {
	b.Helper()
	s, err := sandbox.Start(sandbox.Options{RotationTries: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	w := &workbench{Sandbox: s, B: b, last: map[string]*awslambda.Report{}}
	w.reset()
	for _, name := range []string{sandbox.RotateFunction, sandbox.RevokeFunction, smallest, floor} {
		w.deploy(name, nil)
	}
	return w
}

// deploy adds a function, or replaces the function with this name.
func (w *workbench) deploy(name string, environment map[string]string) {
	w.Helper()
	w.last[name] = &awslambda.Report{}
	_, err := w.AddFunction(name, program(w.B, name), time.Minute, environment, func(c *awslambda.Config) {
		c.MemoryMB = *functionMemory
		c.OnReport = func(r awslambda.Report) { *w.last[name] = r }
	})
	if err != nil {
		w.Fatal(err)
	}
}

// setLatency sets the time of each request, and counts the requests.
func (w *workbench) setLatency(latency time.Duration) { w.Hooks.Set(w.count(latency)) }

// invoke invokes a function and returns its answer. It fails if the function fails.
func (w *workbench) invoke(function string, event any) (answer []byte) {
	w.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		w.Fatal(err)
	}
	answer, functionError, err := w.Lambda.Invoke(context.Background(), sandboxtest.FunctionARN(function), payload)
	if err != nil || functionError != "" {
		w.Fatalf("%s: %v %s", function, err, answer)
	}
	return answer
}

// secret creates a secret with a new key of the sandbox's ordinary user, in its state after a
// rotation. It first deletes all keys of the registry.
func (w *workbench) secret() (arn string) {
	w.Helper()
	for _, k := range w.Registry.Keys() {
		w.Registry.Delete(k.ID)
	}
	w.created++
	return newSecret(w.B, w.Sandbox, fmt.Sprintf("bench/%d", w.created), sandbox.UserEmail)
}

// newSecret creates a secret with a new key of this user and the key's label.
func newSecret(b *testing.B, s *sandbox.Sandbox, name, owner string) (arn string) {
	b.Helper()
	ctx, client := context.Background(), s.SecretsManager()
	out, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("{}")})
	if err != nil {
		b.Fatal(err)
	}
	id, key := s.Registry.MintKey(owner, apikey.Name(name, s.Clock.Now(), *out.ARN), 90)
	put, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: out.ARN,
		SecretString: aws.String(sandboxtest.ValueWith(key))})
	if err != nil {
		b.Fatal(err)
	}
	_, err = client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{SecretId: out.ARN,
		VersionStage: aws.String(vault.KeyLabel(id)), MoveToVersionId: put.VersionId})
	if err != nil {
		b.Fatal(err)
	}
	return *out.ARN
}

// rotate runs the four steps of a rotation of a new secret in a new environment. It returns the
// time of the steps.
func (w *workbench) rotate() (took time.Duration) {
	w.Helper()
	arn := w.secret()
	event := sandboxtest.Event{SecretId: arn, ClientRequestToken: sandboxtest.Token(w.created)}
	var err error
	if event.RotationToken, err = w.Secrets.StartPending(arn, event.ClientRequestToken); err != nil {
		w.Fatal(err)
	}
	w.Lambda.Recycle(sandbox.RotateFunction)
	w.reset()
	began := time.Now()
	for _, step := range steps {
		w.invoke(sandbox.RotateFunction, event.As(step))
	}
	took = time.Since(began)
	if err := w.Secrets.FinishPending(arn); err != nil {
		w.Fatal(err)
	}
	return took
}

// sweep sweeps a secret once and returns the time.
func (w *workbench) sweep(arn string) (took time.Duration) {
	w.Helper()
	w.reset()
	began := time.Now()
	w.invoke(sandbox.RevokeFunction, map[string]string{"secretId": arn})
	return time.Since(began)
}

// sendEvents sends a function as many events as a rotation has, in a new environment.
func (w *workbench) sendEvents(function string) {
	w.Helper()
	w.Lambda.Recycle(function)
	for range steps {
		w.invoke(function, struct{}{})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func kilobytes(n int) float64 { return float64(n) / 1024 }

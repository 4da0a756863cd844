package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awsecs"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// incidentCommands prepare and check the sandbox for scripts about incidents. Each is described at
// its method.
var incidentCommands = map[string]func(w *world, ts *testscript.TestScript, neg bool, args []string){
	"service":            (*world).service,
	"create-key":         (*world).createKey,
	"has-label":          (*world).hasLabel,
	"wait-list-versions": (*world).waitListVersions,
	"oldest-version":     (*world).oldestVersion,
	"wait-success":       (*world).waitSuccess,
	"wait-off":           (*world).waitOff,
	"key-issuer":         (*world).keyIssuer,
	"transfer":           (*world).transfer,
	"add-pending":        (*world).addPending,
	"revoke-key":         (*world).revokeKey,
	"use-key":            (*world).useKey,
	"orphan":             (*world).orphan,
	"hide-value":         (*world).hideValue,

	"other-labels":    (*world).otherLabels,
	"cancel-rotation": (*world).cancelRotation,
	"delete-secret":   (*world).deleteSecret,
	"put-file":        (*world).putFile,
	"set-function":    (*world).setFunction,
	"other-registry":  (*world).otherRegistry,
	"deactivate":      (*world).deactivate,
	"add-key":         (*world).addKey,
	"break-value":     (*world).breakValue,
}

// service CLUSTER NAME SECRET [stuck|failing]: adds an ECS service whose tasks read the secret, and
// names it in the secret's tag.
func (w *world) service(ts *testscript.TestScript, _ bool, args []string) {
	w.Services.AddService(args[0], args[1], nil)
	if len(args) > 3 {
		rollout := map[string]awsecs.Rollout{"stuck": {Stuck: true},
			"failing": {Failure: "tasks failed to start"}}[args[3]]
		ts.Check(w.Services.SetRollout(args[0], args[1], rollout))
	}
	tag := types.Tag{Key: aws.String(settings.TagRestart), Value: aws.String(args[0] + "/" + args[1])}
	_, err := w.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{SecretId: &args[2],
		Tags: []types.Tag{tag}})
	ts.Check(err)
}

// create-key VARIABLE NAME: creates a key that no secret holds, and sets the variable to its id.
func (w *world) createKey(ts *testscript.TestScript, _ bool, args []string) {
	made, err := w.MakeKey(context.Background(), args[1])
	ts.Check(err)
	w.keep(made.ID, made.Secret.Reveal())
	ts.Setenv(args[0], made.ID)
}

// has-label SECRET PREFIX: a version of the secret has a label with the prefix. ! has-label SECRET
// PREFIX: no version has one.
func (w *world) hasLabel(ts *testscript.TestScript, neg bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[0])
	ts.Check(err)
	for _, v := range shot.Versions {
		for _, stage := range v.Stages {
			if !strings.HasPrefix(stage, args[1]) {
				continue
			}
			if neg {
				ts.Fatalf("the version %s has the label %s", v.ID, stage)
			}
			return
		}
	}
	if !neg {
		ts.Fatalf("no version of %s has a label %s", args[0], args[1])
	}
}

// add-pending SECRET: puts AWSPENDING on the current version, as at the end of a rotation.
func (w *world) addPending(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := w.Current(args[0])
	ts.Check(err)
	_, err = w.SecretsManager().UpdateSecretVersionStage(context.Background(),
		&secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &args[0], VersionStage: aws.String("AWSPENDING"), MoveToVersionId: &id,
		})
	ts.Check(err)
}

// wait-list-versions SECRET: waits until a command has listed the versions of the secret, as
// unstick does before it waits.
func (w *world) waitListVersions(ts *testscript.TestScript, _ bool, args []string) {
	poll, tooLong := time.NewTicker(10*time.Millisecond), time.After(5*time.Minute)
	defer poll.Stop()
	for w.asked("ListSecretVersionIds", args[0]) == 0 {
		select {
		case <-poll.C:
		case <-tooLong:
			ts.Fatalf("no command lists the versions of %s", args[0])
		}
	}
}

// oldest-version VARIABLE SECRET: sets the variable to the id of the secret's oldest version with a
// value and a label.
func (w *world) oldestVersion(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[1])
	ts.Check(err)
	for _, v := range shot.Versions {
		if !v.Empty && len(v.Stages) > 0 {
			ts.Setenv(args[0], v.ID)
			return
		}
	}
	ts.Fatalf("no version of %s has a value and a label", args[1])
}

// wait-success SECRET: waits until the secret's rotation has succeeded.
func (w *world) waitSuccess(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(w.Secrets.WaitRotation(context.Background(), args[0]))
}

// wait-off SECRET: waits until rotation of the secret is turned off and its sweeps are paused.
func (w *world) waitOff(ts *testscript.TestScript, _ bool, args []string) {
	poll, tooLong := time.NewTicker(10*time.Millisecond), time.After(5*time.Minute)
	defer poll.Stop()
	for {
		out, err := w.SecretsManager().DescribeSecret(context.Background(),
			&secretsmanager.DescribeSecretInput{SecretId: &args[0]})
		ts.Check(err)
		paused := false
		for id, stages := range out.VersionIdsToStages {
			paused = paused || len(vault.NewVersion(id, stages).Pauses) > 0
		}
		if paused && !aws.ToBool(out.RotationEnabled) {
			return
		}
		select {
		case <-poll.C:
		case <-tooLong:
			ts.Fatalf("rotation of %s is still on, or its sweeps are not paused", args[0])
		}
	}
}

// key-issuer SECRET: creates an issuing credential with another key of the same user, and names it
// in the secret's tag.
func (w *world) keyIssuer(ts *testscript.TestScript, _ bool, args []string) {
	made, err := w.MakeKey(context.Background(), "issuer-prod-2026q4")
	ts.Check(err)
	w.keep(made.ID, made.Secret.Reveal())
	value, err := json.Marshal(map[string]string{"api_key": made.Secret.Reveal()})
	ts.Check(err)
	_, err = w.CreateSecret(context.Background(),
		&secretsmanager.CreateSecretInput{Name: aws.String(args[0] + "-issuer"),
			SecretString: aws.String(string(value))})
	ts.Check(err)
	_, err = w.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{
		SecretId: &args[0], Tags: []types.Tag{{Key: aws.String(settings.TagIssuer),
			Value: aws.String(args[0] + "-issuer")}},
	})
	ts.Check(err)
}

// transfer ID: makes the administrator the owner of the key.
func (w *world) transfer(ts *testscript.TestScript, _ bool, args []string) {
	if !w.Registry.TransferKey(args[0], sandbox.AdminEmail) {
		ts.Fatalf("the registry has no key %s", args[0])
	}
}

// revoke-key ID: revokes the key at the registry.
func (w *world) revokeKey(_ *testscript.TestScript, _ bool, args []string) {
	w.Registry.Delete(args[0])
}

// asked returns the number of requests for an operation that contain the secret's name. An empty
// name stands for any secret.
func (w *world) asked(operation, secret string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, q := range w.requests {
		if q.Operation == operation && strings.Contains(q.Sent, secret) {
			n++
		}
	}
	return n
}

// use-key ID: a consumer gets AWS credentials with a key that the script has read.
func (w *world) useKey(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	key := w.keys[args[0]]
	w.mu.Unlock()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.RegistryURL+
		"/api/auth/get_credentials", nil)
	ts.Check(err)
	request.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	ts.Check(answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("the registry answered %s", answer.Status)
	}
}

// orphan VARIABLE SECRET: creates a key with the mark of the secret that no version holds, and sets
// the variable to its id.
func (w *world) orphan(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[1])
	ts.Check(err)
	id, secret := w.Registry.MintKey(sandbox.UserEmail, apikey.Name(args[1], w.Clock.Now(), shot.ARN), 90)
	w.keep(id, secret)
	ts.Setenv(args[0], id)
}

// other-registry VARIABLE: starts another registry with the same users, and sets the variable to
// its URL.
func (w *world) otherRegistry(ts *testscript.TestScript, _ bool, args []string) {
	other := quiltregistry.New(quiltregistry.Options{Clock: w.Clock})
	other.AddUser(quiltregistry.User{Name: sandbox.UserName, Email: sandbox.UserEmail, Password: sandbox.UserPassword})
	server := httptest.NewServer(other)
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// deactivate EMAIL: deactivates the registry user. ! deactivate EMAIL: activates the user again.
func (w *world) deactivate(ts *testscript.TestScript, neg bool, args []string) {
	w.Registry.SetActive(args[0], neg)
}

// add-key SECRET ID: adds a field with a key that the script has read to the secret's value.
func (w *world) addKey(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	key := w.keys[args[1]]
	w.mu.Unlock()
	w.edit(ts, false, []string{args[0], fmt.Sprintf(`{"QUILT_API_KEY":"KEY","url":"https://x.example.com/?token=%s"}`,
		key)})
}

// break-value SECRET ID: stores a value that is not valid JSON and contains the key.
func (w *world) breakValue(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	key := w.keys[args[1]]
	w.mu.Unlock()
	value := `{"QUILT_API_KEY":"` + key + `",`
	_, err := w.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

// hide-value SECRET: AWS refuses to return the secret's values, until ! refuse.
func (w *world) hideValue(_ *testscript.TestScript, _ bool, args []string) {
	deny := sandboxtest.AWSError(http.StatusBadRequest, "AccessDeniedException", "no")
	w.addFault(sandboxtest.On(func(c *wire.Call, next func()) {
		if strings.Contains(string(c.Body), args[0]) {
			deny(c, next)
			return
		}
		next()
	}, "GetSecretValue"))
}

// cancel-rotation SECRET: turns rotation off without the command.
func (w *world) cancelRotation(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().CancelRotateSecret(context.Background(), &secretsmanager.CancelRotateSecretInput{
		SecretId: &args[0]})
	ts.Check(err)
}

// delete-secret SECRET: deletes the secret with a recovery window.
func (w *world) deleteSecret(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().DeleteSecret(context.Background(),
		&secretsmanager.DeleteSecretInput{SecretId: &args[0]})
	ts.Check(err)
}

// put-file SECRET FILE: stores the content of the file as the current value. It creates the secret
// if it does not exist.
func (w *world) putFile(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[1])
	_, err := w.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &text})
	if err != nil {
		_, err = w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
			SecretString: &text})
	}
	ts.Check(err)
}

// set-function SECRET FUNCTION: makes the function the rotation function of the secret. It sets no
// tag.
func (w *world) setFunction(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
		SecretId: &args[0], RotationLambdaARN: aws.String(sandboxtest.FunctionARN(args[1])),
		RotateImmediately: aws.Bool(false),
		RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	ts.Check(err)
}

// other-labels SECRET N: puts N labels of another tool on the current version.
func (w *world) otherLabels(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := w.Current(args[0])
	ts.Check(err)
	for i := range atoi(ts, args[1]) {
		_, err := w.SecretsManager().UpdateSecretVersionStage(context.Background(),
			&secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &args[0], VersionStage: aws.String(fmt.Sprintf("other-%d", i)), MoveToVersionId: &id,
			})
		ts.Check(err)
	}
}

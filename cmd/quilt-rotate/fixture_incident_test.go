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
var incidentCommands = map[string]func(f *fixture, ts *testscript.TestScript, neg bool, args []string){
	"service":            (*fixture).service,
	"create-key":         (*fixture).createKey,
	"has-label":          (*fixture).hasLabel,
	"wait-list-versions": (*fixture).waitListVersions,
	"oldest-version":     (*fixture).oldestVersion,
	"wait-success":       (*fixture).waitSuccess,
	"wait-off":           (*fixture).waitOff,
	"key-issuer":         (*fixture).keyIssuer,
	"transfer":           (*fixture).transfer,
	"add-pending":        (*fixture).addPending,
	"revoke-key":         (*fixture).revokeKey,
	"use-key":            (*fixture).useKey,
	"orphan":             (*fixture).orphan,
	"hide-value":         (*fixture).hideValue,

	"other-labels":    (*fixture).otherLabels,
	"cancel-rotation": (*fixture).cancelRotation,
	"delete-secret":   (*fixture).deleteSecret,
	"put-file":        (*fixture).putFile,
	"set-function":    (*fixture).setFunction,
	"other-registry":  (*fixture).otherRegistry,
	"deactivate":      (*fixture).deactivate,
	"add-key":         (*fixture).addKey,
	"break-value":     (*fixture).breakValue,
}

// service CLUSTER NAME SECRET [stuck|failing]: adds an ECS service whose tasks read the secret, and
// names it in the secret's tag.
func (f *fixture) service(ts *testscript.TestScript, _ bool, args []string) {
	f.Services.AddService(args[0], args[1], nil)
	if len(args) > 3 {
		rollout := map[string]awsecs.Rollout{"stuck": {Stuck: true},
			"failing": {Failure: "tasks failed to start"}}[args[3]]
		ts.Check(f.Services.SetRollout(args[0], args[1], rollout))
	}
	tag := types.Tag{Key: aws.String(settings.TagRestart), Value: aws.String(args[0] + "/" + args[1])}
	_, err := f.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{SecretId: &args[2],
		Tags: []types.Tag{tag}})
	ts.Check(err)
}

// create-key VARIABLE NAME: creates a key that no secret holds, and sets the variable to its id.
func (f *fixture) createKey(ts *testscript.TestScript, _ bool, args []string) {
	made, err := f.MakeKey(context.Background(), args[1])
	ts.Check(err)
	f.keep(made.ID, made.Secret.Reveal())
	ts.Setenv(args[0], made.ID)
}

// has-label SECRET PREFIX: a version of the secret has a label with the prefix. ! has-label SECRET
// PREFIX: no version has one.
func (f *fixture) hasLabel(ts *testscript.TestScript, neg bool, args []string) {
	shot, err := f.Secrets.Snapshot(args[0])
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
func (f *fixture) addPending(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := f.Current(args[0])
	ts.Check(err)
	_, err = f.SecretsManager().UpdateSecretVersionStage(context.Background(),
		&secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &args[0], VersionStage: aws.String("AWSPENDING"), MoveToVersionId: &id,
		})
	ts.Check(err)
}

// wait-list-versions SECRET: waits until a command has listed the versions of the secret, as
// unstick does before it waits.
func (f *fixture) waitListVersions(ts *testscript.TestScript, _ bool, args []string) {
	poll, tooLong := time.NewTicker(10*time.Millisecond), time.After(5*time.Minute)
	defer poll.Stop()
	for f.asked("ListSecretVersionIds", args[0]) == 0 {
		select {
		case <-poll.C:
		case <-tooLong:
			ts.Fatalf("no command lists the versions of %s", args[0])
		}
	}
}

// oldest-version VARIABLE SECRET: sets the variable to the id of the secret's oldest version with a
// value and a label.
func (f *fixture) oldestVersion(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := f.Secrets.Snapshot(args[1])
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
func (f *fixture) waitSuccess(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(f.Secrets.WaitRotation(context.Background(), args[0]))
}

// wait-off SECRET: waits until rotation of the secret is turned off and its sweeps are paused.
func (f *fixture) waitOff(ts *testscript.TestScript, _ bool, args []string) {
	poll, tooLong := time.NewTicker(10*time.Millisecond), time.After(5*time.Minute)
	defer poll.Stop()
	for {
		out, err := f.SecretsManager().DescribeSecret(context.Background(),
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
func (f *fixture) keyIssuer(ts *testscript.TestScript, _ bool, args []string) {
	made, err := f.MakeKey(context.Background(), "issuer-prod-2026q4")
	ts.Check(err)
	f.keep(made.ID, made.Secret.Reveal())
	value, err := json.Marshal(map[string]string{"api_key": made.Secret.Reveal()})
	ts.Check(err)
	_, err = f.CreateSecret(context.Background(),
		&secretsmanager.CreateSecretInput{Name: aws.String(args[0] + "-issuer"),
			SecretString: aws.String(string(value))})
	ts.Check(err)
	_, err = f.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{
		SecretId: &args[0], Tags: []types.Tag{{Key: aws.String(settings.TagIssuer),
			Value: aws.String(args[0] + "-issuer")}},
	})
	ts.Check(err)
}

// transfer ID: makes the administrator the owner of the key.
func (f *fixture) transfer(ts *testscript.TestScript, _ bool, args []string) {
	if !f.Registry.TransferKey(args[0], sandbox.AdminEmail) {
		ts.Fatalf("the registry has no key %s", args[0])
	}
}

// revoke-key ID: revokes the key at the registry.
func (f *fixture) revokeKey(_ *testscript.TestScript, _ bool, args []string) {
	f.Registry.Delete(args[0])
}

// asked returns the number of requests for an operation that contain the secret's name. An empty
// name stands for any secret.
func (f *fixture) asked(operation, secret string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, q := range f.requests {
		if q.Operation == operation && strings.Contains(q.Sent, secret) {
			n++
		}
	}
	return n
}

// use-key ID: a consumer gets AWS credentials with a key that the script has read.
func (f *fixture) useKey(ts *testscript.TestScript, _ bool, args []string) {
	f.mu.Lock()
	key := f.keys[args[0]]
	f.mu.Unlock()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, f.RegistryURL+
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
func (f *fixture) orphan(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := f.Secrets.Snapshot(args[1])
	ts.Check(err)
	id, secret := f.Registry.MintKey(sandbox.UserEmail, apikey.Name(args[1], f.Clock.Now(), shot.ARN), 90)
	f.keep(id, secret)
	ts.Setenv(args[0], id)
}

// other-registry VARIABLE: starts another registry with the same users, and sets the variable to
// its URL.
func (f *fixture) otherRegistry(ts *testscript.TestScript, _ bool, args []string) {
	other := quiltregistry.New(quiltregistry.Options{Clock: f.Clock})
	other.AddUser(quiltregistry.User{Name: sandbox.UserName, Email: sandbox.UserEmail, Password: sandbox.UserPassword})
	server := httptest.NewServer(other)
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// deactivate EMAIL: deactivates the registry user. ! deactivate EMAIL: activates the user again.
func (f *fixture) deactivate(ts *testscript.TestScript, neg bool, args []string) {
	f.Registry.SetActive(args[0], neg)
}

// add-key SECRET ID: adds a field with a key that the script has read to the secret's value.
func (f *fixture) addKey(ts *testscript.TestScript, _ bool, args []string) {
	f.mu.Lock()
	key := f.keys[args[1]]
	f.mu.Unlock()
	f.edit(ts, false, []string{args[0], fmt.Sprintf(`{"QUILT_API_KEY":"KEY","url":"https://x.example.com/?token=%s"}`,
		key)})
}

// break-value SECRET ID: stores a value that is not valid JSON and contains the key.
func (f *fixture) breakValue(ts *testscript.TestScript, _ bool, args []string) {
	f.mu.Lock()
	key := f.keys[args[1]]
	f.mu.Unlock()
	value := `{"QUILT_API_KEY":"` + key + `",`
	_, err := f.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

// hide-value SECRET: AWS refuses to return the secret's values, until ! refuse.
func (f *fixture) hideValue(_ *testscript.TestScript, _ bool, args []string) {
	deny := sandboxtest.AWSError(http.StatusBadRequest, "AccessDeniedException", "no")
	f.addFault(sandboxtest.On(func(c *wire.Call, next func()) {
		if strings.Contains(string(c.Body), args[0]) {
			deny(c, next)
			return
		}
		next()
	}, "GetSecretValue"))
}

// cancel-rotation SECRET: turns rotation off without the command.
func (f *fixture) cancelRotation(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.SecretsManager().CancelRotateSecret(context.Background(), &secretsmanager.CancelRotateSecretInput{
		SecretId: &args[0]})
	ts.Check(err)
}

// delete-secret SECRET: deletes the secret with a recovery window.
func (f *fixture) deleteSecret(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.SecretsManager().DeleteSecret(context.Background(),
		&secretsmanager.DeleteSecretInput{SecretId: &args[0]})
	ts.Check(err)
}

// put-file SECRET FILE: stores the content of the file as the current value. It creates the secret
// if it does not exist.
func (f *fixture) putFile(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[1])
	_, err := f.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &text})
	if err != nil {
		_, err = f.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
			SecretString: &text})
	}
	ts.Check(err)
}

// set-function SECRET FUNCTION: makes the function the rotation function of the secret. It sets no
// tag.
func (f *fixture) setFunction(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.SecretsManager().RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
		SecretId: &args[0], RotationLambdaARN: aws.String(sandboxtest.FunctionARN(args[1])),
		RotateImmediately: aws.Bool(false),
		RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	ts.Check(err)
}

// other-labels SECRET N: puts N labels of another tool on the current version.
func (f *fixture) otherLabels(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := f.Current(args[0])
	ts.Check(err)
	for i := range atoi(ts, args[1]) {
		_, err := f.SecretsManager().UpdateSecretVersionStage(context.Background(),
			&secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &args[0], VersionStage: aws.String(fmt.Sprintf("other-%d", i)), MoveToVersionId: &id,
			})
		ts.Check(err)
	}
}

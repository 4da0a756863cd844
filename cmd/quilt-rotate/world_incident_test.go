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

// incidentCommands shape the world of a script about incidents. Each is described at its method.
var incidentCommands = map[string]func(w *world, ts *testscript.TestScript, neg bool, args []string){
	"service":     (*world).service,
	"untracked":   (*world).untracked,
	"held":        (*world).held,
	"looking":     (*world).looking,
	"versions":    (*world).versions,
	"settled":     (*world).settled,
	"off":         (*world).off,
	"key-issuer":  (*world).keyIssuer,
	"transfer":    (*world).transfer,
	"pending-too": (*world).pendingToo,
	"used-key":    (*world).usedKey,
	"orphan":      (*world).orphan,
	"hide":        (*world).hide,

	"untag":        (*world).untag,
	"labels":       (*world).labels,
	"switched-off": (*world).switchedOff,
	"deleted":      (*world).deleted,
	"value":        (*world).value,
	"rotated-by":   (*world).rotatedBy,
	"staging":      (*world).staging,
	"deactivate":   (*world).deactivate,
	"beside":       (*world).beside,
	"broken":       (*world).broken,
}

// service CLUSTER NAME SECRET [stuck|failing]: an ECS service whose tasks read the secret, and
// which the secret's tag names.
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

// untracked VARIABLE NAME: somebody creates a key by hand that no secret holds; its id goes into
// the variable.
func (w *world) untracked(ts *testscript.TestScript, _ bool, args []string) {
	made, err := w.MakeKey(context.Background(), args[1])
	ts.Check(err)
	w.keep(made.ID, made.Secret.Reveal())
	ts.Setenv(args[0], made.ID)
}

// held SECRET PREFIX: a version of the secret has a label that begins so. ! held: none has.
func (w *world) held(ts *testscript.TestScript, neg bool, args []string) {
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

// pending-too SECRET: the current version has AWSPENDING too, as for a moment at the end of a
// rotation.
func (w *world) pendingToo(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := w.Current(args[0])
	ts.Check(err)
	_, err = w.SecretsManager().UpdateSecretVersionStage(context.Background(),
		&secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &args[0], VersionStage: aws.String("AWSPENDING"), MoveToVersionId: &id,
		})
	ts.Check(err)
}

// looking SECRET: waits until somebody has asked when the secret's versions were made, as unstick
// does before it waits.
func (w *world) looking(ts *testscript.TestScript, _ bool, args []string) {
	poll, tooLong := time.NewTicker(10*time.Millisecond), time.After(5*time.Minute)
	defer poll.Stop()
	for w.asked("ListSecretVersionIds", args[0]) == 0 {
		select {
		case <-poll.C:
		case <-tooLong:
			ts.Fatalf("nobody looks")
		}
	}
}

// versions SECRET VARIABLE: puts the id of the secret's oldest version that has a key into the
// variable.
func (w *world) versions(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[0])
	ts.Check(err)
	for _, v := range shot.Versions {
		if !v.Empty && len(v.Stages) > 0 {
			ts.Setenv(args[1], v.ID)
			return
		}
	}
	ts.Fatalf("no version of %s holds a key", args[0])
}

// settled SECRET: waits until no rotation of the secret runs.
func (w *world) settled(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(w.Secrets.WaitRotation(context.Background(), args[0]))
}

// off SECRET: waits until rotation of the secret is switched off, and its sweeps are paused.
func (w *world) off(ts *testscript.TestScript, _ bool, args []string) {
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

// key-issuer SECRET: another key of the same user, in a secret of its own, is the secret's issuer.
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

// transfer ID [gone]: the key belongs to another user now. gone: that one has deleted it.
func (w *world) transfer(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) > 1 {
		w.Registry.Delete(args[0])
		return
	}
	if !w.Registry.TransferKey(args[0], sandbox.AdminEmail) {
		ts.Fatalf("there is no key %s", args[0])
	}
}

// asked is how often an operation was asked for, about a secret; "" stands for any.
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

// used-key ID: a consumer gets AWS credentials with the key, which the script has looked at.
func (w *world) usedKey(ts *testscript.TestScript, _ bool, args []string) {
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
		ts.Fatalf("the registry says %s", answer.Status)
	}
}

// orphan VARIABLE SECRET: the registry has a key that was made for the secret, and that no version
// holds; its id goes into the variable.
func (w *world) orphan(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[1])
	ts.Check(err)
	id, secret := w.Registry.MintKey(sandbox.UserEmail, apikey.Name(args[1], w.Clock.Now(), shot.ARN), 90)
	w.keep(id, secret)
	ts.Setenv(args[0], id)
}

// staging VARIABLE: another registry, with the same users; the variable gets its URL.
func (w *world) staging(ts *testscript.TestScript, _ bool, args []string) {
	other := quiltregistry.New(quiltregistry.Options{Clock: w.Clock})
	other.AddUser(quiltregistry.User{Name: sandbox.UserName, Email: sandbox.UserEmail, Password: sandbox.UserPassword})
	server := httptest.NewServer(other)
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// deactivate EMAIL: the registry refuses everything that the user does. ! deactivate EMAIL: no
// more.
func (w *world) deactivate(ts *testscript.TestScript, neg bool, args []string) {
	w.Registry.SetActive(args[0], neg)
}

// beside SECRET ID: the secret's value has a field with that key, which the script has looked at,
// beside its own key.
func (w *world) beside(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	key := w.keys[args[1]]
	w.mu.Unlock()
	w.edit(ts, false, []string{args[0], fmt.Sprintf(`{"QUILT_API_KEY":"KEY","url":"https://x.example.com/?token=%s"}`,
		key)})
}

// broken SECRET ID: the secret's value is no JSON object, and has that key in it.
func (w *world) broken(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	key := w.keys[args[1]]
	w.mu.Unlock()
	value := `{"QUILT_API_KEY":"` + key + `",`
	_, err := w.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

// hide SECRET: AWS refuses to show the secret's values from now on, until `! refuse`.
func (w *world) hide(_ *testscript.TestScript, _ bool, args []string) {
	deny := sandboxtest.AWSError(http.StatusBadRequest, "AccessDeniedException", "no")
	w.addFault(sandboxtest.On(func(c *wire.Call, next func()) {
		if strings.Contains(string(c.Body), args[0]) {
			deny(c, next)
			return
		}
		next()
	}, "GetSecretValue"))
}

// untag SECRET NAME...: the secret loses these tags.
func (w *world) untag(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().UntagResource(context.Background(),
		&secretsmanager.UntagResourceInput{SecretId: &args[0], TagKeys: args[1:]})
	ts.Check(err)
}

// switched-off SECRET: rotation is switched off, past the command.
func (w *world) switchedOff(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().CancelRotateSecret(context.Background(), &secretsmanager.CancelRotateSecretInput{
		SecretId: &args[0]})
	ts.Check(err)
}

// deleted SECRET: the secret is marked for deletion.
func (w *world) deleted(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().DeleteSecret(context.Background(),
		&secretsmanager.DeleteSecretInput{SecretId: &args[0]})
	ts.Check(err)
}

// value SECRET FILE: the secret, which is created if need be, gets the content of the file as its
// current value.
func (w *world) value(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[1])
	_, err := w.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &text})
	if err != nil {
		_, err = w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
			SecretString: &text})
	}
	ts.Check(err)
}

// rotated-by SECRET FUNCTION: that function rotates the secret from now on; the secret gets no tag.
func (w *world) rotatedBy(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
		SecretId: &args[0], RotationLambdaARN: aws.String(sandboxtest.FunctionARN(args[1])),
		RotateImmediately: aws.Bool(false),
		RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	ts.Check(err)
}

// labels SECRET N: somebody gives the current version N labels that are not ours.
func (w *world) labels(ts *testscript.TestScript, _ bool, args []string) {
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

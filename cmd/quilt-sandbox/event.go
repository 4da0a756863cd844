package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// testRunToken is the token in events/test-only.json. The test of a rotation configuration has the
// same step as a rotation, testSecret, and only the value of its version differs. So the token
// tells the two events apart.
const testRunToken = "d1b0c7e2-3f52-4a0e-9c43-6a5b8f0e7d21"

var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// An event is the input of a function. Its fields decide which state the sandbox must have.
type event struct {
	function      string
	step          string
	token         string
	rotationToken bool   // the event has a RotationToken, which is replaced by that of the sandbox
	secretName    string // empty if the sandbox cannot have a secret with the event's ARN
	fields        map[string]json.RawMessage
}

func readEvent(payload []byte) (event, error) {
	var e event
	if err := json.Unmarshal(payload, &e.fields); err != nil || e.fields == nil {
		return e, errors.New("it is not a JSON object")
	}
	var err error
	if e.function, err = functionOf(e.fields); err != nil {
		return e, err
	}
	// A field of the wrong type is left empty here, and the function refuses it.
	_ = json.Unmarshal(e.fields["Step"], &e.step)
	_ = json.Unmarshal(e.fields["ClientRequestToken"], &e.token)
	_, e.rotationToken = e.fields["RotationToken"]
	var secretID string
	for _, field := range []string{"SecretId", "secretId"} {
		if raw, ok := e.fields[field]; ok {
			_ = json.Unmarshal(raw, &secretID)
		}
	}
	e.secretName = nameOf(secretID)
	return e, nil
}

// nameOf returns the name of the secret with the ARN in the sandbox, or "" if no secret can have
// the ARN.
func nameOf(secretID string) string {
	if !strings.HasPrefix(secretID, "arn:") {
		return secretID
	}
	last := secretID[strings.LastIndex(secretID, ":")+1:]
	name := last[:max(0, strings.LastIndex(last, "-"))]
	if awssecrets.ARN(sandbox.Region, sandbox.Account, name) != secretID {
		return ""
	}
	return name
}

// prepare brings the sandbox into the state that the event needs. It returns the event as Secrets
// Manager would send it in that state.
func (e *event) prepare(ctx context.Context, s *scene.Scene, payload []byte) ([]byte, error) {
	if e.secretName == "" {
		return payload, nil // the function reports that there is no such secret
	}
	first, err := s.MakeKey(ctx, "pipeline-prod-first")
	if err != nil {
		return nil, err
	}
	arn, err := s.StoreSecret(ctx, e.secretName, first.Secret)
	if err != nil {
		return nil, err
	}
	if err := s.ConfigureRotation(ctx, arn); err != nil {
		return nil, err
	}
	switch {
	case e.function == sandbox.RevokeFunction:
		return payload, e.prepareSweep(ctx, s, arn)
	case e.token == testRunToken:
		return payload, prepareTestRun(ctx, s, arn)
	case e.token == "" || !slices.Contains(steps, e.step):
		return payload, nil // the function refuses it
	}
	return e.prepareStep(ctx, s, arn, payload)
}

// prepareStep registers the pending version and runs the steps before the event's.
func (e *event) prepareStep(ctx context.Context, s *scene.Scene, arn string, payload []byte) ([]byte, error) {
	rotationToken, err := s.Secrets.StartPending(arn, e.token)
	if err != nil {
		return nil, err
	}
	for _, step := range steps[:slices.Index(steps, e.step)] {
		earlier, err := json.Marshal(map[string]string{"Step": step, "SecretId": arn, "ClientRequestToken": e.token,
			"RotationToken": rotationToken})
		if err != nil {
			return nil, err
		}
		answer, functionError, err := s.Lambda.Invoke(ctx, e.function, earlier)
		if err != nil {
			return nil, err
		}
		if functionError != "" {
			return nil, fmt.Errorf("%s failed: %s", step, failure(answer))
		}
	}
	if !e.rotationToken {
		return payload, nil
	}
	quoted, err := json.Marshal(rotationToken)
	if err != nil {
		return nil, err
	}
	e.fields["RotationToken"] = quoted
	return json.Marshal(e.fields)
}

// prepareTestRun stores a copy of the current value as AWSPENDING, as Secrets Manager does when
// rotation is configured with RotateImmediately=false.
func prepareTestRun(ctx context.Context, s *scene.Scene, arn string) error {
	current, err := s.SecretsManager().GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return err
	}
	_, err = s.SecretsManager().PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &arn, ClientRequestToken: aws.String(testRunToken), SecretString: current.SecretString,
		VersionStages: []string{vault.Pending},
	})
	return err
}

// prepareSweep rotates once, marks the old key as superseded, and advances the clock past the grace
// and quiet periods.
func (e *event) prepareSweep(ctx context.Context, s *scene.Scene, arn string) error {
	if _, err := s.Rotate(ctx, arn); err != nil {
		return err
	}
	if _, err := s.Sweep(ctx, arn); err != nil {
		return err
	}
	s.Clock.Advance(settings.DefaultGrace + settings.DefaultQuiet + time.Hour)
	return nil
}

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

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/vault"
)

// A statement denies an action on the service's secret.
type statement struct {
	Effect    string
	Principal map[string]string
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

func denial(role, action string, condition map[string]map[string]string) statement {
	return statement{"Deny", map[string]string{"AWS": role}, action, "*", condition}
}

// refuse sets a policy on the service's secret that denies these actions. It reports whether AWS
// enforces the policy. To find out, the policy also denies the revoke role DescribeSecret, and
// refuse starts a dry run of a sweep.
func (l *life) refuse(ctx context.Context, statements ...statement) (inForce bool, err error) {
	statements = append(statements, denial(l.revoke.role, "secretsmanager:DescribeSecret", nil))
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		return false, err
	}
	if _, err := l.cloud.secrets.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{
		SecretId: aws.String(l.service()), ResourcePolicy: aws.String(string(policy))}); err != nil {
		return false, err
	}
	return l.until(ctx, true)
}

// allow removes the policy, also after Ctrl-C.
func (l *life) allow(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	_, err := l.cloud.secrets.DeleteResourcePolicy(ctx,
		&secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String(l.service())})
	if err != nil {
		return err
	}
	_, err = l.until(ctx, false)
	return err
}

// until waits until AWS refuses the revoke role DescribeSecret, or until AWS allows it.
func (l *life) until(ctx context.Context, refused bool) (bool, error) {
	err := await(ctx, l.patience, func() (bool, error) {
		answer, _, err := l.cloud.invoke(ctx, l.revoke, map[string]any{"secretId": l.arn, "dryRun": true})
		return strings.Contains(answer, "AccessDenied") == refused, err
	})
	if errors.Is(err, errPatience) {
		return false, nil
	}
	return err == nil, err
}

// deny finds out whether AWS refuses an action that a policy denies. A local AWS does not.
func (l *life) deny(ctx context.Context) error {
	inForce, err := l.refuse(ctx)
	if err = errors.Join(err, l.allow(ctx)); err != nil {
		return err
	}
	l.seen.Enforced = &inForce
	if !inForce {
		return errSkipped{notEnforced}
	}
	return nil
}

// denyEachStep denies a permission of one step and starts a rotation. The rotation must stop in
// that step, and the current key must still work. setSecret and testSecret need only permissions
// that createSecret also needs. Therefore the function is called with their events, for a pending
// version that has a value.
func (l *life) denyEachStep(ctx context.Context) error {
	if !enforced(&l.seen) {
		return errSkipped{notEnforced}
	}
	err := errors.Join(l.denyCreate(ctx), l.denyFinish(ctx))
	// A retry by Secrets Manager may complete the rotation as soon as the policy is removed.
	if err = errors.Join(err, l.allow(ctx), l.unstick(ctx)); err != nil {
		return err
	}
	now, err := l.cloud.currentKey(ctx, l.service())
	if err == nil && !l.logsIn(ctx, now) {
		err = errors.New("the current key does not log in")
	}
	if err != nil {
		return err
	}
	_, _, err = l.rotateKey(ctx, l.service())
	return err
}

func (l *life) denyCreate(ctx context.Context) error {
	if _, err := l.refuse(ctx, denial(l.rotate.role, "secretsmanager:PutSecretValue", nil)); err != nil {
		return err
	}
	if err := l.failsIn(ctx, rotation.Create); err != nil {
		return err
	}
	return errors.Join(l.allow(ctx), l.unstick(ctx))
}

// denyFinish denies moving AWSCURRENT and allows moving other labels. To test that, it removes the
// label of the current key, so that createSecret attaches the label again.
func (l *life) denyFinish(ctx context.Context) error {
	s, err := l.describe(ctx, l.service())
	if err != nil {
		return err
	}
	current, _ := s.Holder(vault.Current)
	if _, err := l.cloud.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String(l.service()), VersionStage: aws.String(vault.KeyLabel(current.Key())),
		RemoveFromVersionId: &current.ID}); err != nil {
		return err
	}
	condition := map[string]map[string]string{
		"ForAnyValue:StringEquals": {"secretsmanager:VersionStage": vault.Current}}
	if _, err := l.refuse(ctx, denial(l.rotate.role, "secretsmanager:UpdateSecretVersionStage",
		condition)); err != nil {
		return err
	}
	failing := l.failsIn(ctx, rotation.Finish)
	if s, err = l.describe(ctx, l.service()); err != nil {
		return err
	}
	now, _ := s.Holder(vault.Current)
	_, attached := s.Holder(vault.KeyLabel(current.Key()))
	l.seen.Stages = &stages{CurrentRefused: now.ID == current.ID, LabelMoved: attached}
	pending, stuck := s.Holder(vault.Pending)
	if failing == nil && now.ID != current.ID {
		failing = errors.New("finishSecret moved AWSCURRENT, although that was denied")
	}
	if failing != nil || !stuck {
		return failing
	}
	if _, err := l.refuse(ctx, denial(l.rotate.role, "secretsmanager:GetSecretValue", nil)); err != nil {
		return err
	}
	for _, step := range []rotation.Step{rotation.Set, rotation.Test} {
		answer, failed, err := l.cloud.invoke(ctx, l.rotate, map[string]string{"Step": string(step), "SecretId": l.arn,
			"ClientRequestToken": pending.ID})
		if err != nil {
			return err
		}
		if !failed || !strings.Contains(answer, "AccessDenied") {
			return fmt.Errorf("%s must be refused: %s", step, answer)
		}
	}
	return nil
}

// failsIn starts a rotation and waits until the step is refused.
func (l *life) failsIn(ctx context.Context, step rotation.Step) error {
	since := time.Now().Add(-time.Second)
	if _, err := l.cloud.secrets.RotateSecret(ctx,
		&secretsmanager.RotateSecretInput{SecretId: aws.String(l.service())}); err != nil {
		return err
	}
	err := await(ctx, l.patience, func() (bool, error) {
		lines, err := l.cloud.log(ctx, l.rotate, since)
		return slices.ContainsFunc(lines, func(line logLine) bool {
			return line.Step == string(step) && denied(line)
		}), err
	})
	if err != nil {
		return fmt.Errorf("%s must be refused: %w", step, err)
	}
	return nil
}

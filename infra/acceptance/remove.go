package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/settings"
)

// remove removes everything that has the name of the run, and reports what is left. It can be
// repeated, and it works after a run that died at any point.
//
// The keys are revoked first, because a secret may be the only place that has the text of its key.
// A secret whose keys could not be revoked therefore stays. Then remove deletes the stacks, and
// then the secrets and log groups, which the stacks retain.
func (t *throwaway) remove(ctx context.Context) (left []string) {
	note := func(what string, err error) {
		if err != nil {
			left = append(left, what+": "+err.Error())
		}
	}
	secrets, err := t.secrets(ctx)
	note("the secrets "+t.name+"/… cannot be listed", err)
	keep := map[string]bool{}
	for _, name := range secrets {
		if err := t.release(ctx, name); err != nil {
			keep[name] = true
			note("the secret "+name+", whose keys may still be valid", err)
		}
	}
	groups, err := t.groups(ctx)
	note("the log groups cannot be listed", err)
	for _, stack := range []string{t.teamStack(), t.watchStack(), t.name} {
		note("the stack "+stack, t.cloud.deleteStack(ctx, stack))
	}
	for _, name := range secrets {
		if !keep[name] {
			note("the secret "+name, t.deleteSecret(ctx, name))
		}
	}
	for _, group := range groups {
		note("the log group "+group, t.deleteGroup(ctx, group))
	}
	if len(left) == 0 {
		for _, path := range []string{filepath.Join(t.folder(), "cdk.out"), filepath.Join(t.folder(), "config.yaml"),
			filepath.Join(t.folder(), "ca.pem"), filepath.Join(t.run.root, "build", "infra", t.name)} {
			note("the folder "+path, os.RemoveAll(path))
		}
	}
	return left
}

// secrets returns the secrets of the run, by name.
func (t *throwaway) secrets(ctx context.Context) (names []string, err error) {
	pages := secretsmanager.NewListSecretsPaginator(t.cloud.secrets, &secretsmanager.ListSecretsInput{
		Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{t.name + "/"}}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return names, err
		}
		for _, s := range page.SecretList {
			if name := aws.ToString(s.Name); strings.HasPrefix(name, t.name+"/") {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// release revokes the keys of a secret. A secret that never had a key has none.
func (t *throwaway) release(ctx context.Context, name string) error {
	// It may still have a policy that denies something.
	if _, err := t.cloud.secrets.DeleteResourcePolicy(ctx,
		&secretsmanager.DeleteResourcePolicyInput{SecretId: &name}); err != nil && !notFound(err) {
		return err
	}
	_, err := t.cloud.currentKey(ctx, name)
	if _, blank := errors.AsType[*apikey.BlankValueError](err); blank {
		return nil
	}
	if _, bad := errors.AsType[*apikey.BadValueError](err); bad {
		return nil
	}
	// Its tag may still name another registry, and retire refuses such a secret.
	_, err = t.cloud.secrets.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &name,
		Tags: []types.Tag{{Key: aws.String(settings.TagRegistry), Value: &t.config.Registry}}})
	if err != nil {
		return err
	}
	return t.retire(ctx, name)
}

// retiredTag marks a secret whose keys are all revoked, because a second retire cannot find that
// out.
const retiredTag = "quilt-rotate-acceptance"

// retire revokes the keys of a secret once. It first ends a rotation that the run has left, because
// quilt-rotate retire refuses a secret with a rotation in progress.
func (t *throwaway) retire(ctx context.Context, name string) error {
	s, err := t.cloud.vault.Describe(ctx, name)
	if err != nil || s.Tags[retiredTag] != "" {
		return err
	}
	if err := t.run.rotate(ctx, nil, "", "unstick", name, "--registry", t.config.Registry); err != nil {
		return err
	}
	var retired struct{ Complete bool }
	err = t.run.rotate(ctx, &retired, "", "retire", name, "--registry", t.config.Registry, "--yes", "--json")
	if err == nil && !retired.Complete {
		err = errors.New("quilt-rotate retire did not revoke all keys")
	}
	if err != nil {
		return err
	}
	_, err = t.cloud.secrets.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &name,
		Tags: []types.Tag{{Key: aws.String(retiredTag), Value: aws.String("retired")}}})
	return err
}

func (t *throwaway) deleteSecret(ctx context.Context, name string) error {
	_, err := t.cloud.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &name,
		ForceDeleteWithoutRecovery: aws.Bool(true)})
	if notFound(err) {
		return nil
	}
	return err
}

// groups returns the log groups of the run. Their names begin with the name of the stack.
func (t *throwaway) groups(ctx context.Context) (names []string, err error) {
	for _, start := range []string{t.name, "/aws/lambda/" + t.name, "/aws/events/" + t.name} {
		pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(t.cloud.logs,
			&cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &start})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return names, err
			}
			for _, g := range page.LogGroups {
				names = append(names, aws.ToString(g.LogGroupName))
			}
		}
	}
	return names, nil
}

func (t *throwaway) deleteGroup(ctx context.Context, name string) error {
	_, err := t.cloud.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &name})
	if notFound(err) {
		return nil
	}
	return err
}

func notFound(err error) bool {
	refusal, ok := errors.AsType[smithy.APIError](err)
	return ok && refusal.ErrorCode() == "ResourceNotFoundException"
}

// kept describes what a removal leaves on purpose.
func (t *throwaway) kept() string {
	return fmt.Sprintf("AWS keeps the KMS key of the alarms for 30 days after %s, and the CDK's bucket keeps the two "+
		"packages; neither costs more than a cent", time.Now().UTC().Format(time.DateOnly))
}

package vault

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// MaxListed is the largest number of secrets that one call of [Vault.List] returns (API reference,
// ListSecrets).
const MaxListed = 100

// List returns one page of the secrets of the account and region, with at most atMost secrets. It
// leaves out secrets that are scheduled for deletion. next is the token of the following page, or
// "" if there is none. A page can be short or empty although more pages follow.
func (v *Vault) List(ctx context.Context, token string, atMost int) (secrets []Secret, next string, err error) {
	in := &secretsmanager.ListSecretsInput{
		MaxResults: aws.Int32(int32(min(max(atMost, 1), MaxListed))), //nolint:gosec // at most 100
	}
	if token != "" {
		in.NextToken = &token
	}
	out, err := v.api.ListSecrets(ctx, in)
	if err != nil {
		return nil, "", newError("ListSecrets", "the region", err)
	}
	for _, entry := range out.SecretList {
		secrets = append(secrets, newListed(entry))
	}
	return secrets, aws.ToString(out.NextToken), nil
}

// newListed returns a secret from a list. A list has no replicas and no KMS key, and its Date
// header is not used: Now is the caller's time.
func newListed(entry types.SecretListEntry) Secret {
	return newSecret(&secretsmanager.DescribeSecretOutput{
		ARN: entry.ARN, Name: entry.Name, DeletedDate: entry.DeletedDate, PrimaryRegion: entry.PrimaryRegion,
		Tags: entry.Tags, CreatedDate: entry.CreatedDate,
		RotationEnabled: entry.RotationEnabled, RotationLambdaARN: entry.RotationLambdaARN,
		RotationRules:   entry.RotationRules,
		LastRotatedDate: entry.LastRotatedDate, NextRotationDate: entry.NextRotationDate,
		VersionIdsToStages: entry.SecretVersionsToStages,
	})
}

// VersionCreated returns when a version was created, with or without a value. It returns the zero
// time if no version with a label has that id.
func (v *Vault) VersionCreated(ctx context.Context, secretARN, versionID string) (time.Time, error) {
	pages := secretsmanager.NewListSecretVersionIdsPaginator(v.api, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: &secretARN})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return time.Time{}, newError("ListSecretVersionIds", secretARN, err)
		}
		for _, version := range page.Versions {
			if aws.ToString(version.VersionId) == versionID {
				return aws.ToTime(version.CreatedDate).UTC(), nil
			}
		}
	}
	return time.Time{}, nil
}

// UnqualifiedFunction returns the ARN of a function without its version or alias.
func UnqualifiedFunction(arn string) string {
	const parts = 7 // arn:aws:lambda:<region>:<account>:function:<name>
	fields := strings.Split(arn, ":")
	return strings.Join(fields[:min(parts, len(fields))], ":")
}

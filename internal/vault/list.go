package vault

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// MaxListed is how many secrets [Vault.List] gives at a time, at most (API reference, ListSecrets).
const MaxListed = 100

// List reads some secrets of the account and region, at most that many, without those that are
// marked for deletion. next continues behind them; it is "" at the end. Few or no secrets do not
// mean that the end is reached.
func (v *Vault) List(ctx context.Context, token string, atMost int) (secrets []Secret, next string, err error) {
	in := &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(int32(min(max(atMost, 1), MaxListed)))} //nolint:gosec // at most 100
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

// newListed is what a list says of a secret: everything but replicas, and the service's time.
func newListed(entry types.SecretListEntry) Secret {
	return newSecret(&secretsmanager.DescribeSecretOutput{
		ARN: entry.ARN, Name: entry.Name, DeletedDate: entry.DeletedDate, PrimaryRegion: entry.PrimaryRegion,
		Tags:            entry.Tags,
		RotationEnabled: entry.RotationEnabled, RotationLambdaARN: entry.RotationLambdaARN,
		RotationRules:   entry.RotationRules,
		LastRotatedDate: entry.LastRotatedDate, NextRotationDate: entry.NextRotationDate,
		VersionIdsToStages: entry.SecretVersionsToStages,
	})
}

// VersionCreated is when a version was registered, with a value or without. It is zero if no
// version with a label has that id.
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

// UnqualifiedFunction is the ARN of a function without the version or alias at its end.
func UnqualifiedFunction(arn string) string {
	const parts = 7 // arn:aws:lambda:<region>:<account>:function:<name>
	fields := strings.Split(arn, ":")
	return strings.Join(fields[:min(parts, len(fields))], ":")
}

package awsclient

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// VersionCreated is when a version of a secret was created; zero if no version with a label has that id. DescribeSecret does not say it.
func (c *Cloud) VersionCreated(ctx context.Context, secretARN, versionID string) (time.Time, error) {
	pages := secretsmanager.NewListSecretVersionIdsPaginator(c.secrets, &secretsmanager.ListSecretVersionIdsInput{SecretId: &secretARN})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return time.Time{}, newError("list the versions of "+secretARN, err)
		}
		for _, v := range page.Versions {
			if aws.ToString(v.VersionId) == versionID {
				return aws.ToTime(v.CreatedDate).UTC(), nil
			}
		}
	}
	return time.Time{}, nil
}

package awsclient

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// Listed is a secret as ListSecrets shows it, which can be some minutes old (API reference, ListSecrets).
type Listed struct {
	ARN      string
	Name     string
	Function string // ARN of the rotation function, without a qualifier; "": the secret has none
	Tags     map[string]string
	Versions []vault.Version // those with staging labels
	Deleted  bool            // marked for deletion
}

// Secrets lists all secrets of the account and region by name, with those that are marked for deletion.
func (c *Cloud) Secrets(ctx context.Context) ([]Listed, error) {
	var list []Listed
	pages := secretsmanager.NewListSecretsPaginator(c.secrets, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true), MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, newError("list the secrets", err)
		}
		for _, s := range page.SecretList {
			l := Listed{
				ARN: aws.ToString(s.ARN), Name: aws.ToString(s.Name), Function: UnqualifiedFunction(aws.ToString(s.RotationLambdaARN)),
				Tags: map[string]string{}, Deleted: s.DeletedDate != nil,
			}
			for id, stages := range s.SecretVersionsToStages {
				if len(stages) > 0 {
					slices.Sort(stages)
					l.Versions = append(l.Versions, vault.NewVersion(id, stages))
				}
			}
			slices.SortFunc(l.Versions, func(a, b vault.Version) int { return strings.Compare(a.ID, b.ID) })
			for _, tag := range s.Tags {
				l.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
			}
			list = append(list, l)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

// UnqualifiedFunction is the ARN of a function without the version or alias at its end.
func UnqualifiedFunction(arn string) string {
	const parts = 7 // arn:aws:lambda:<region>:<account>:function:<name>
	if fields := strings.Split(arn, ":"); len(fields) > parts {
		return strings.Join(fields[:parts], ":")
	}
	return arn
}

// NewSecret is a secret to create.
type NewSecret struct {
	Name        string
	Description string
	Value       redact.Text
	Tags        map[string]string
	KMSKey      string // id or ARN; "": the AWS-managed key
}

// CreateSecret creates a secret, whose first version has the id token. It gives the ARN. If the answer is lost, the same call again creates no second secret, because
// the token and the value are the same (API reference, CreateSecret).
func (c *Cloud) CreateSecret(ctx context.Context, n NewSecret, token string) (arn string, err error) {
	in := &secretsmanager.CreateSecretInput{
		Name: &n.Name, Description: &n.Description, ClientRequestToken: &token, SecretString: aws.String(n.Value.Reveal()), Tags: tagList(n.Tags),
	}
	if n.KMSKey != "" {
		in.KmsKeyId = &n.KMSKey
	}
	out, err := c.secrets.CreateSecret(ctx, in)
	if err != nil {
		return "", newError("create the secret "+redact.Clip(n.Name, 512), err, n.Value)
	}
	return aws.ToString(out.ARN), nil
}

// firstStage is the label of a value that is to be the first one, for as long as the call takes.
const firstStage = "first-value"

// PutFirst gives a secret that has no version yet its first value, which Secrets Manager makes current by itself. With a label of its own in the call, it
// does not move AWSCURRENT if somebody else was faster (API reference, PutSecretValue).
func (c *Cloud) PutFirst(ctx context.Context, secretARN string, value redact.Text, token string) error {
	_, err := c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &secretARN, ClientRequestToken: &token, SecretString: aws.String(value.Reveal()), VersionStages: []string{firstStage},
	})
	if err != nil {
		return newError("give "+secretARN+" its first value", err, value)
	}
	_ = c.Vault.Detach(ctx, secretARN, firstStage, token) // it does no harm if it stays
	return nil
}

// Tag writes tags; those that are there get the new value.
func (c *Cloud) Tag(ctx context.Context, secretARN string, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	_, err := c.secrets.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &secretARN, Tags: tagList(tags)})
	return wrap("write the tags of "+secretARN, err)
}

// Untag takes tags off; those that are not there are no error.
func (c *Cloud) Untag(ctx context.Context, secretARN string, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	_, err := c.secrets.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &secretARN, TagKeys: names})
	return wrap("take the tags off "+secretARN, err)
}

func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(name), Value: aws.String(tags[name])})
	}
	return list
}

// ErrRotationUnderWay says that Secrets Manager is at, or stuck in, another rotation of the secret.
var ErrRotationUnderWay = errors.New("another rotation of the secret is not complete")

// Rotate starts a rotation with the configured function, and gives the id of the new version. It fails with [ErrRotationUnderWay] where another one has
// not ended; such a call may make the service take that one up again (rotation's own error text). With the same token, a lost answer and the same call
// again are one rotation.
func (c *Cloud) Rotate(ctx context.Context, secretARN, token string) (versionID string, err error) {
	out, err := c.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &secretARN, ClientRequestToken: &token})
	if isCode(err, "InvalidRequestException") && strings.Contains(strings.ToLower(err.Error()), "previous rotation") {
		return "", ErrRotationUnderWay
	}
	if err != nil {
		return "", newError("start a rotation of "+secretARN, err)
	}
	return aws.ToString(out.VersionId), nil
}

// CancelRotation switches rotation off. An AWSPENDING that sits on a version stays there.
func (c *Cloud) CancelRotation(ctx context.Context, secretARN string) error {
	_, err := c.secrets.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &secretARN})
	return wrap("switch rotation of "+secretARN+" off", err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return newError(doing, err)
}

package awsclient

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// Listed is a secret in the answer of ListSecrets, which can be some minutes old (API reference,
// ListSecrets).
type Listed struct {
	ARN      string
	Name     string
	Function string // ARN of the rotation function, without a qualifier; "" if the secret has none
	Tags     map[string]string
	Versions []vault.Version // those with staging labels
	Deleted  bool            // marked for deletion
}

// Secrets lists all secrets of the account and region by name, including those that are marked for
// deletion.
func (c *Cloud) Secrets(ctx context.Context) ([]Listed, error) {
	var list []Listed
	pages := secretsmanager.NewListSecretsPaginator(c.secrets,
		&secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true), MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, newError("list the secrets", err)
		}
		for _, s := range page.SecretList {
			l := Listed{
				ARN: aws.ToString(s.ARN), Name: aws.ToString(s.Name), Function: vault.UnqualifiedFunction(
					aws.ToString(s.RotationLambdaARN)),
				Tags: map[string]string{}, Deleted: s.DeletedDate != nil,
			}
			for _, id := range slices.Sorted(maps.Keys(s.SecretVersionsToStages)) {
				if stages := s.SecretVersionsToStages[id]; len(stages) > 0 {
					l.Versions = append(l.Versions, vault.NewVersion(id, slices.Sorted(slices.Values(stages))))
				}
			}
			for _, tag := range s.Tags {
				l.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
			}
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b Listed) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// DatedVersion is a version of a secret, with the date at which it was registered.
type DatedVersion struct {
	vault.Version // without labels, if Secrets Manager may remove it
	Created       time.Time
}

// Versions lists all versions of a secret that Secrets Manager still has, also those without
// labels.
func (c *Cloud) Versions(ctx context.Context, secretARN string) ([]DatedVersion, error) {
	var list []DatedVersion
	pages := secretsmanager.NewListSecretVersionIdsPaginator(c.secrets,
		&secretsmanager.ListSecretVersionIdsInput{SecretId: &secretARN, IncludeDeprecated: aws.Bool(true),
			MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, newError("list the versions of "+secretARN, err)
		}
		for _, v := range page.Versions {
			list = append(list, DatedVersion{vault.NewVersion(aws.ToString(v.VersionId), v.VersionStages),
				aws.ToTime(v.CreatedDate).UTC()})
		}
	}
	return list, nil
}

// NewSecret is a secret to create.
type NewSecret struct {
	Name        string
	Description string
	Value       redact.Text
	Tags        map[string]string
	KMSKey      string // id or ARN; "" for the AWS-managed key
}

// CreateSecret creates a secret and returns its ARN. token becomes the id of its first version. If
// the answer is lost, the same call creates no second secret, because the token and the value are
// the same (API reference, CreateSecret).
func (c *Cloud) CreateSecret(ctx context.Context, n NewSecret, token string) (arn string, err error) {
	in := &secretsmanager.CreateSecretInput{
		Name: &n.Name, Description: &n.Description, ClientRequestToken: &token,
		SecretString: aws.String(n.Value.Reveal()), Tags: tagList(n.Tags),
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

// firstStage is a temporary label of [Cloud.PutFirst].
const firstStage = "first-value"

// PutFirst stores the first value of a secret that has no version. Secrets Manager makes the first
// version current. The call names another label, so that it does not move AWSCURRENT if somebody
// else stored a value first. If the token is the id of a version with the same value, Secrets
// Manager checks the permission and changes nothing (API reference, PutSecretValue).
func (c *Cloud) PutFirst(ctx context.Context, secretARN string, value redact.Text, token string) error {
	out, err := c.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &secretARN, ClientRequestToken: &token, SecretString: aws.String(value.Reveal()),
		VersionStages: []string{firstStage},
	})
	if err != nil {
		return newError("store a value in "+secretARN, err, value)
	}
	if slices.Contains(out.VersionStages, firstStage) {
		_ = c.Vault.Detach(ctx, secretARN, firstStage, token) // the label does no harm if it stays
	}
	return nil
}

// Tag writes tags. A tag that exists gets the new value.
func (c *Cloud) Tag(ctx context.Context, secretARN string, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	_, err := c.secrets.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &secretARN, Tags: tagList(tags)})
	return newError("write the tags of "+secretARN, err)
}

// Untag removes tags. It does not fail if a tag does not exist.
func (c *Cloud) Untag(ctx context.Context, secretARN string, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	_, err := c.secrets.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &secretARN, TagKeys: names})
	return newError("remove the tags of "+secretARN, err)
}

func tagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(name), Value: aws.String(tags[name])})
	}
	return list
}

// ErrRotationUnderWay means that another rotation of the secret is running or stuck.
var ErrRotationUnderWay = errors.New("another rotation of the secret is not complete")

// Rotate starts a rotation with the configured function and returns the id of the new version. It
// fails with [ErrRotationUnderWay] if another rotation has not ended. Then Secrets Manager may
// continue that rotation. If the answer is lost, the same call with the same token starts no second
// rotation.
func (c *Cloud) Rotate(ctx context.Context, secretARN, token string) (versionID string, err error) {
	out, err := c.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &secretARN,
		ClientRequestToken: &token})
	if isUnderWay(err) {
		return "", ErrRotationUnderWay
	}
	if err != nil {
		return "", newError("start a rotation of "+secretARN, err)
	}
	return aws.ToString(out.VersionId), nil
}

func isUnderWay(err error) bool {
	return isCode(err, "InvalidRequestException") && strings.Contains(strings.ToLower(err.Error()), "previous rotation")
}

// SwitchRotationOn turns rotation on with a function and rules, and does not rotate the secret now.
// Secrets Manager tests the function with a copy of the current value. SwitchRotationOn fails with
// [ErrRotationUnderWay] if a rotation has not ended.
func (c *Cloud) SwitchRotationOn(ctx context.Context, secretARN, functionARN string, rules vault.RotationRules) error {
	in := &secretsmanager.RotateSecretInput{
		SecretId: &secretARN, RotationLambdaARN: &functionARN, RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{ScheduleExpression: &rules.Schedule},
	}
	if rules.Window != "" {
		in.RotationRules.Duration = &rules.Window
	}
	_, err := c.secrets.RotateSecret(ctx, in)
	if isUnderWay(err) {
		return ErrRotationUnderWay
	}
	return newError("switch the rotation of "+secretARN+" on", err)
}

// CancelRotation turns rotation off. AWSPENDING stays where it is.
func (c *Cloud) CancelRotation(ctx context.Context, secretARN string) error {
	_, err := c.secrets.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &secretARN})
	return newError("turn off the rotation of "+secretARN, err)
}

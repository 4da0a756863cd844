package keyrotation

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// A bucket names some of the secrets in policies and event patterns, which may be only so long: a managed policy 6,144 characters, ten of them on a role, a
// pattern 2,048 (quotas of IAM and of EventBridge). Which bucket a secret is in follows from its name alone, so that no key takes leave for a moment because
// others come or go.
type bucket struct {
	rotate, revoke awsiam.CfnManagedPolicy
	failures       awsevents.CfnRule
	region         string

	secrets, issuers list
	encrypted        map[string]list // by KMS key: the secrets that rotate writes
	issuerKeys       map[string]list
}

func (k *keyRotation) bucketOf(secretName string) *bucket {
	index := config.BucketOf(secretName)
	if b, made := k.buckets[index]; made {
		return b
	}
	b := &bucket{region: k.region, encrypted: map[string]list{}, issuerKeys: map[string]list{}}
	newPolicy := func(name string, role awsiam.CfnRole, description string) awsiam.CfnManagedPolicy {
		return awsiam.NewCfnManagedPolicy(k, jsii.String(fmt.Sprintf("%sKeys%d", name, index)), &awsiam.CfnManagedPolicyProps{
			Description: jsii.String(description), PolicyDocument: document(), Roles: &[]any{role.Ref()},
		})
	}
	b.rotate = newPolicy("Rotate", k.rotate.role, "Quilt key rotation: makes keys and puts them in")
	b.revoke = newPolicy("Revoke", k.revoke.role, "Quilt key rotation: reads keys, and labels them")
	b.failures = k.newFailureRule(index)
	k.buckets[index] = b
	return b
}

func (b *bucket) add(key config.Key, secretArn, kmsKeyArn string) {
	b.secrets = append(b.secrets, secretArn)
	if kmsKeyArn != "" {
		b.encrypted[kmsKeyArn] = append(b.encrypted[kmsKeyArn], secretArn)
	}
	if key.Issuer != "" && !slices.Contains(b.issuers, any(key.Issuer)) {
		b.issuers = append(b.issuers, key.Issuer)
		if key.IssuerKMSKey != "" {
			b.issuerKeys[key.IssuerKMSKey] = append(b.issuerKeys[key.IssuerKMSKey], key.Issuer)
		}
	}
	b.rotate.SetPolicyDocument(b.policy(
		list{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"},
		list{"AWSCURRENT", "AWSPENDING", ownLabels},
		// PutSecretValue also decrypts, where the version is there already, to compare (Secrets Manager user guide, "Secret encryption and decryption").
		list{"kms:Decrypt", "kms:GenerateDataKey"}))
	b.revoke.SetPolicyDocument(b.policy(
		list{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"},
		list{ownLabels}, // so that no fault of the sweep can move AWSCURRENT
		list{"kms:Decrypt"}))
	b.failures.SetEventPattern(failurePattern(b.secrets))
}

// ownLabels are the staging labels that the functions write.
const ownLabels = "quilt-*"

// policy grants the actions on the bucket's secrets and issuers, and on no others. The condition key secretsmanager:VersionStage applies to
// UpdateSecretVersionStage (Service authorization reference, "AWS Secrets Manager"); it is compared as a list, as that service's user guide does.
func (b *bucket) policy(actions, stages, encryption list) object {
	statements := list{
		allow("Secrets", actions, b.secrets),
		allow("Stages", list{"secretsmanager:UpdateSecretVersionStage"}, b.secrets,
			object{"ForAnyValue:StringLike": object{"secretsmanager:VersionStage": stages}}),
	}
	if len(b.issuers) > 0 {
		statements = append(statements, allow("Issuers", list{"secretsmanager:GetSecretValue"}, b.issuers))
	}
	for i, key := range sortedNames(b.encrypted) {
		statements = append(statements, allow(fmt.Sprintf("Encryption%d", i), encryption, key, b.onlyFor(b.encrypted[key])))
	}
	for i, key := range sortedNames(b.issuerKeys) {
		statements = append(statements, allow(fmt.Sprintf("IssuerEncryption%d", i), list{"kms:Decrypt"}, key, b.onlyFor(b.issuerKeys[key])))
	}
	return document(statements...)
}

// onlyFor lets a KMS key be used through Secrets Manager alone, and for these secrets alone.
func (b *bucket) onlyFor(secrets list) object {
	return object{"StringEquals": object{
		"kms:ViaService":                  "secretsmanager." + b.region + ".amazonaws.com",
		"kms:EncryptionContext:SecretARN": secrets,
	}}
}

func sortedNames(m map[string]list) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

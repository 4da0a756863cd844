package keyrotation

import (
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// A bucket names some of the secrets in policies and event patterns, which may be only so long: a managed policy 6,144 characters, ten of them on a role, a
// pattern 2,048 (quotas of IAM and of EventBridge). Which bucket a secret is in follows from its name alone, so that no key takes leave for a moment because
// others come or go. What nothing is in is not made: a policy must grant something.
type bucket struct {
	k       *keyRotation
	index   int
	rotated needs // of the keys in use
	swept   needs // of those, and of the retired ones

	rotate, revoke awsiam.CfnManagedPolicy
}

func (k *keyRotation) bucketOf(secretName string) *bucket {
	index := config.BucketOf(secretName)
	if _, made := k.buckets[index]; !made {
		k.buckets[index] = &bucket{k: k, index: index}
	}
	return k.buckets[index]
}

// add takes a secret in. A retired one is not rotated any more; its last keys may still have to be revoked.
func (b *bucket) add(key config.Key, secretArn string, retired bool) {
	b.swept.add(key, secretArn, b.k.kmsKeyOf(key))
	b.grantRevoke()
	if retired {
		return
	}
	b.rotated.add(key, secretArn, b.k.kmsKeyOf(key))
	b.grantRotate()
}

// ownLabels are the staging labels that the functions write.
const ownLabels = "quilt-*"

func (b *bucket) grantRotate() {
	if b.rotate == nil {
		b.rotate = b.newPolicy("Rotate", b.k.rotate.role, "Quilt key rotation: makes keys and puts them in")
	}
	statements := b.k.grants(b.rotated,
		list{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"},
		list{"AWSCURRENT", "AWSPENDING", ownLabels},
		// PutSecretValue also decrypts, where the version is there already, to compare (Secrets Manager user guide, "Secret encryption and decryption").
		list{"kms:Decrypt", "kms:GenerateDataKey"})
	b.rotate.SetPolicyDocument(document(append(statements, b.k.replicaGrants(b.rotated)...)...))
}

func (b *bucket) grantRevoke() {
	if b.revoke == nil {
		b.revoke = b.newPolicy("Revoke", b.k.revoke.role, "Quilt key rotation: reads keys, and labels them")
	}
	b.revoke.SetPolicyDocument(document(b.k.grants(b.swept,
		list{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"},
		list{ownLabels}, // so that no fault of the sweep can move AWSCURRENT
		list{"kms:Decrypt"})...))
}

func (b *bucket) newPolicy(name string, role awsiam.CfnRole, description string) awsiam.CfnManagedPolicy {
	return awsiam.NewCfnManagedPolicy(b.k, jsii.String(fmt.Sprintf("%sKeys%d", name, b.index)), &awsiam.CfnManagedPolicyProps{
		Description: jsii.String(description), PolicyDocument: document(), Roles: &[]any{role.Ref()},
	})
}

// needs is what some secrets need of a role.
type needs struct {
	secrets, issuers list
	encrypted        byKey // secrets
	issuerKeys       byKey // issuers
	replicaKeys      byKey // names of secrets
}

// byKey is what a customer-managed KMS key encrypts, by its ARN; or what a principal may read, by his.
type byKey map[string]list

func (m *byKey) add(kmsKeyArn string, what any) {
	if kmsKeyArn == "" {
		return
	}
	if *m == nil {
		*m = byKey{}
	}
	(*m)[kmsKeyArn] = append((*m)[kmsKeyArn], what)
}

func (m byKey) arns() []string {
	var arns []string
	for arn := range m {
		arns = append(arns, arn)
	}
	slices.Sort(arns)
	return arns
}

func (n *needs) add(key config.Key, secretArn, kmsKeyArn string) {
	n.secrets = append(n.secrets, secretArn)
	n.encrypted.add(kmsKeyArn, secretArn)
	if key.Issuer != "" && !slices.Contains(n.issuers, any(key.Issuer)) {
		n.issuers = append(n.issuers, key.Issuer)
		n.issuerKeys.add(key.IssuerKMSKey, key.Issuer)
	}
	for _, replica := range key.Replicas {
		n.replicaKeys.add(replica.KMSKey, key.SecretName())
	}
}

// grants allows the actions on the secrets and issuers, and on no others. The condition key secretsmanager:VersionStage applies to
// UpdateSecretVersionStage (Service authorization reference, "AWS Secrets Manager"); it is compared as a list, as that service's user guide does.
func (k *keyRotation) grants(n needs, actions, stages, encryption list) list {
	statements := list{
		allow("Secrets", actions, n.secrets),
		allow("Stages", list{"secretsmanager:UpdateSecretVersionStage"}, n.secrets,
			object{"ForAnyValue:StringLike": object{"secretsmanager:VersionStage": stages}}),
	}
	if len(n.issuers) > 0 {
		statements = append(statements, allow("Issuers", list{"secretsmanager:GetSecretValue"}, n.issuers))
	}
	for i, arn := range n.encrypted.arns() {
		statements = append(statements, allow(fmt.Sprintf("Encryption%d", i), encryption, arn, k.onlyFor(n.encrypted[arn])))
	}
	if former := k.props.PreviousKMSKeys; len(former) > 0 {
		// Versions from before a change of the KMS key stay encrypted with the former one (Secrets Manager user guide, "Change the encryption key").
		statements = append(statements, allow("FormerEncryption", list{"kms:Decrypt"}, former, k.onlyFor(n.secrets)))
	}
	for i, arn := range n.issuerKeys.arns() {
		statements = append(statements, allow(fmt.Sprintf("IssuerEncryption%d", i), list{"kms:Decrypt"}, arn, k.onlyFor(n.issuerKeys[arn])))
	}
	return statements
}

// onlyFor lets a KMS key be used through Secrets Manager alone, and for these secrets alone.
func (k *keyRotation) onlyFor(secrets list) object {
	return object{"StringEquals": object{
		"kms:ViaService":                  "secretsmanager." + k.region + ".amazonaws.com",
		"kms:EncryptionContext:SecretARN": secrets,
	}}
}

// replicaGrants lets Secrets Manager encrypt a new value for the replicas: it does so as whoever put the value (Secrets Manager user guide, "Troubleshoot
// replication"; API reference, ReplicateSecretToRegions). A replica's ARN is its secret's, in another region.
func (k *keyRotation) replicaGrants(n needs) (statements list) {
	stack := awscdk.Stack_Of(k)
	for i, arn := range n.replicaKeys.arns() {
		var replicas list
		for _, name := range n.replicaKeys[arn] {
			replicas = append(replicas, "arn:"+*stack.Partition()+":secretsmanager:*:"+*stack.Account()+":secret:"+name.(string)+"-??????")
		}
		statements = append(statements, allow(fmt.Sprintf("Replicas%d", i), list{"kms:Encrypt", "kms:GenerateDataKey"}, arn, object{"StringLike": object{
			"kms:ViaService":                  "secretsmanager.*.amazonaws.com",
			"kms:EncryptionContext:SecretARN": replicas,
		}}))
	}
	return statements
}

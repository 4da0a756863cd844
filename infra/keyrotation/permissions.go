package keyrotation

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/internal/settings"
)

// ownLabels are the staging labels that the functions write.
const ownLabels = "quilt-*"

// newPermissions lets the functions use every secret of the account and region whose rotation calls
// the rotate function. The policies name no secrets, so their size does not depend on the number of
// secrets. They are managed policies, because their conditions name the function: in an inline
// policy of the role, the function and the role would depend on each other.
//
// secretsmanager:resource/AllowRotationLambdaArn does not match while rotation is switched off. The
// revoke function may therefore also use secrets with the tag of this registry, so that their
// sweeps continue. It can move only labels of quilt-rotate, so no fault in a sweep can move
// AWSCURRENT.
func (k *keyRotation) newPermissions() {
	read := list{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"}
	move := list{"secretsmanager:UpdateSecretVersionStage"}
	secrets, keys := k.arn("secretsmanager", k.region, "secret:*"), "arn:"+k.partition()+":kms:"+k.region+":*:key/*"
	rotator := object{"secretsmanager:resource/AllowRotationLambdaArn": *k.rotate.FunctionArn()}
	registry := object{"aws:ResourceTag/" + settings.TagRegistry: k.registry()}
	equals := func(attribute object) object { return object{"StringEquals": attribute} }
	// VersionStage is compared as a list, as in the Secrets Manager user guide.
	stages := func(attribute object, labels ...any) object {
		return object{"StringEquals": attribute,
			"ForAnyValue:StringLike": object{"secretsmanager:VersionStage": labels}}
	}
	k.rotate.permissions = k.newPolicy("RotateSecrets", "Quilt key rotation: stores new keys", list{
		allow("Secrets", append(read, "secretsmanager:PutSecretValue"), secrets, equals(rotator)),
		allow("Stages", move, secrets, stages(rotator, "AWSCURRENT", "AWSPENDING", ownLabels)),
		// PutSecretValue also decrypts, to compare the values if the version already exists
		// (Secrets Manager user guide, "Secret encryption and decryption").
		allow("Decryption", list{"kms:Decrypt"}, keys, k.viaSecretsManager(k.region)),
		// Secrets Manager also encrypts a new value for the replicas, with the permissions of the
		// caller (Secrets Manager user guide, "Troubleshoot replication").
		allow("Encryption", list{"kms:Encrypt", "kms:GenerateDataKey"}, "arn:"+k.partition()+":kms:*:*:key/*",
			k.viaSecretsManager("*")),
	}, k.rotate)
	k.revoke.permissions = k.newPolicy("RevokeSecrets", "Quilt key rotation: reads keys and moves labels", list{
		allow("List", list{"secretsmanager:ListSecrets"}, "*"),
		// Rotation on need asks for the age of a version. It needs a secret whose rotation is on.
		allow("Secrets", append(read, "secretsmanager:ListSecretVersionIds"), secrets, equals(rotator)),
		allow("Stages", move, secrets, stages(rotator, ownLabels)),
		allow("SecretsOfRegistry", read, secrets, equals(registry)),
		allow("StagesOfRegistry", move, secrets, stages(registry, ownLabels)),
		allow("Decryption", list{"kms:Decrypt"}, keys, k.viaSecretsManager(k.region)),
	}, k.revoke)
	for _, issuer := range k.props.IssuerArns {
		k.allowIssuer(issuer)
	}
}

// allowIssuer lets the functions read an issuing credential. The policy lists its ARN, because the
// owner of any secret could set a tag.
func (k *keyRotation) allowIssuer(secretArn string) {
	if secretArn == "" || slices.Contains(k.issuers, any(secretArn)) {
		return
	}
	if k.issuers = append(k.issuers, secretArn); len(k.issuers) == 1 {
		k.issuerPolicy = k.newPolicy("Issuers", "Quilt key rotation: reads issuing credentials", nil, k.rotate,
			k.revoke)
	}
	k.issuerPolicy.SetPolicyDocument(document(allow("Issuers", list{"secretsmanager:GetSecretValue"}, k.issuers)))
}

// newPolicy creates a managed policy of the functions. A change of the description would replace
// the policy.
func (k *keyRotation) newPolicy(id, description string, statements list,
	functions ...function) awsiam.CfnManagedPolicy {
	var roles []any
	for _, f := range functions {
		roles = append(roles, f.role.RoleName())
	}
	policy := awsiam.NewCfnManagedPolicy(k, jsii.String(id), &awsiam.CfnManagedPolicyProps{
		Description: jsii.String(description), PolicyDocument: document(statements...), Roles: &roles,
	})
	accept(policy, accepted{"AwsSolutions-IAM5", "The conditions select the secrets: those whose rotation calls the " +
		"function, or that have the registry's tag. KMS keys are used through Secrets Manager only."})
	return policy
}

// viaSecretsManager limits the use of KMS keys to the secrets of this account. Secrets Manager
// sends the ARN of the secret, or of its replica, as encryption context.
func (k *keyRotation) viaSecretsManager(region string) object {
	return object{"StringLike": object{
		"kms:ViaService":                  "secretsmanager." + region + ".amazonaws.com",
		"kms:EncryptionContext:SecretARN": k.arn("secretsmanager", region, "secret:*"),
	}}
}

// registry returns the registry's URL in the form of the tag.
func (k *keyRotation) registry() string {
	if url, err := settings.RegistryURL(*k.props.RegistryURL); err == nil {
		return url
	}
	return *k.props.RegistryURL // a token
}

func (k *keyRotation) partition() string { return *awscdk.Stack_Of(k).Partition() }

// arn returns the ARN of a resource in this account.
func (k *keyRotation) arn(service, region, resource string) string {
	return "arn:" + k.partition() + ":" + service + ":" + region + ":" + *awscdk.Stack_Of(k).Account() + ":" + resource
}

package stack

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/keyrotation"
	"quilt-rotate/infra/logicalid"
)

type object = map[string]any // JSON

// letRead lets the readers read every version of the secret. Consumers may still read the previous
// version during the grace period.
func letRead(scope constructs.Construct, secret awssecretsmanager.ISecret, readers []string) {
	if len(readers) == 0 {
		return
	}
	awssecretsmanager.NewCfnResourcePolicy(scope, jsii.String("Readers"), &awssecretsmanager.CfnResourcePolicyProps{
		SecretId: secret.SecretArn(),
		// BlockPublicPolicy refuses a wildcard as principal, possibly also with a condition. Here,
		// a condition names each reader.
		BlockPublicPolicy: jsii.Bool(false),
		ResourcePolicy: object{"Version": "2012-10-17", "Statement": statements(*awscdk.Stack_Of(scope).Account(),
			readers, func(statement, _ object) {
				statement["Action"] = []string{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"}
			})},
	})
}

// kmsKeyOf returns the customer-managed key of the secrets that the stack creates, or nil.
func kmsKeyOf(stack awscdk.Stack, rotation keyrotation.KeyRotation, c *config.Config) awskms.IKey {
	switch c.KMSKey {
	case config.AWSManaged:
		return nil
	case config.NewKey:
		return newKMSKey(stack, rotation, c)
	}
	return awskms.Key_FromKeyArn(stack, jsii.String("SecretsKeyByArn"), &c.KMSKey)
}

// newKMSKey creates the customer-managed key of the secrets. It is retained, because no value can
// be read without it. Its policy delegates to IAM in the account. It also lets all readers decrypt
// through Secrets Manager; the policy of each secret decides who may read that secret.
func newKMSKey(stack awscdk.Stack, rotation keyrotation.KeyRotation, c *config.Config) awskms.IKey {
	key := awskms.NewKey(stack, jsii.String("SecretsKey"), &awskms.KeyProps{
		Description: jsii.String("Quilt key rotation: encrypts the secrets"), EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy: retained,
	})
	logicalid.PinAt[awskms.CfnKey](key.Node().DefaultChild(), rotation, "SecretsKey")
	var readers []string
	for _, k := range c.All() {
		readers = append(readers, k.Readers...)
	}
	for _, s := range statements(c.Account, readers, func(statement, equals object) {
		statement["Action"] = "kms:Decrypt"
		equals["kms:ViaService"] = "secretsmanager." + c.Region + ".amazonaws.com"
	}) {
		key.AddToResourcePolicy(awsiam.PolicyStatement_FromJson(s), nil)
	}
	// The key is imported by its ARN, so that the secrets add no statements to its policy, which
	// already allows what they need.
	return awskms.Key_FromKeyArn(stack, jsii.String("SecretsKeyByArn"), key.KeyArn())
}

// statements returns one statement for each account of the readers, and one for each account that
// is a reader itself. No role or user is a principal: AWS refuses a policy with a principal that
// was deleted, so a deleted reader would block every update.
//
// An account as principal delegates to the IAM policies of that account. Nothing more is possible
// for a reader in another account. A reader in the secret's own account gets access by the
// statement itself: its principal is "*", and a condition names the readers (KMS developer guide,
// "Default key policy"; IAM user guide, "AWS JSON policy elements: Principal").
func statements(own string, readers []string, complete func(statement, equals object)) (all []object) {
	byAccount := map[string][]string{}
	for _, reader := range slices.Compact(slices.Sorted(slices.Values(readers))) {
		account := strings.Split(reader, ":")[4]
		byAccount[account] = append(byAccount[account], reader)
	}
	add := func(sid, principal string, equals, condition object) {
		statement := object{"Sid": sid, "Effect": "Allow", "Principal": object{"AWS": principal}, "Resource": "*"}
		complete(statement, equals)
		if len(equals) > 0 {
			condition["StringEquals"] = equals
		}
		if len(condition) > 0 {
			statement["Condition"] = condition
		}
		all = append(all, statement)
	}
	for _, account := range slices.Sorted(maps.Keys(byAccount)) {
		isAccount := func(arn string) bool { return strings.HasSuffix(arn, ":root") }
		principal, equals := strings.Split(byAccount[account][0], account)[0]+account+":root", object{}
		if slices.ContainsFunc(byAccount[account], isAccount) {
			add("Account"+account, principal, object{}, object{})
		}
		if account == own {
			principal, equals = "*", object{"aws:PrincipalAccount": own}
		}
		if named := slices.DeleteFunc(byAccount[account], isAccount); len(named) > 0 {
			add("ReadersOf"+account, principal, equals, object{"ArnEquals": object{"aws:PrincipalArn": named}})
		}
	}
	return all
}

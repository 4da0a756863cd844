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

type (
	object = map[string]any
	list   = []any
)

// letRead lets the readers fetch every version, also the previous one, which consumers may use
// during the grace period.
func letRead(scope constructs.Construct, secret awssecretsmanager.ISecret, readers []string) {
	if len(readers) == 0 {
		return
	}
	awssecretsmanager.NewCfnResourcePolicy(scope, jsii.String("Readers"), &awssecretsmanager.CfnResourcePolicyProps{
		SecretId: secret.SecretArn(),
		// The check refuses wildcards as principals, and may do so whatever the condition is. The
		// conditions name each reader.
		BlockPublicPolicy: jsii.Bool(false),
		ResourcePolicy: object{"Version": "2012-10-17", "Statement": statements(*awscdk.Stack_Of(scope).Account(),
			readers, func(statement, _ object) {
				statement["Action"] = list{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"}
			})},
	})
}

// kmsKeyOf is the customer-managed key of the secrets that the stack creates, or nil.
func kmsKeyOf(stack awscdk.Stack, rotation keyrotation.KeyRotation, c *config.Config) awskms.IKey {
	switch c.KMSKey {
	case config.AWSManaged:
		return nil
	case config.NewKey:
		return newKMSKey(stack, rotation, c)
	}
	return awskms.Key_FromKeyArn(stack, jsii.String("SecretsKeyByArn"), &c.KMSKey)
}

// newKMSKey creates the customer-managed key of the secrets. It is retained: without it every value
// is lost. Its policy lets the account's own policies decide, and lets readers decrypt through
// Secrets Manager, where the policy of each secret decides who reads it.
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
	// By its ARN: each secret would add a statement to the key's policy, which already says as
	// much.
	return awskms.Key_FromKeyArn(stack, jsii.String("SecretsKeyByArn"), key.KeyArn())
}

// statements are one statement for each account of the readers, and one for each account that is a
// reader itself. They name no role and no user as principal: AWS refuses a policy with a principal
// that was deleted, and one deleted reader would block every update.
//
// An account as principal only delegates to the policies of that account, which is all that a
// policy can do for a reader of another account. A reader of the secret's own account is let in by
// the statement itself, so its principal is everybody whom the condition names (KMS developer
// guide, "Default key policy"; IAM user guide, "AWS JSON policy elements: Principal").
func statements(own string, readers []string, complete func(statement, equals object)) (all list) {
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

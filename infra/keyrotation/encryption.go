package keyrotation

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// newKMSKey makes the customer-managed key, where one is wanted. It is retained: without it every value is lost.
func (k *keyRotation) newKMSKey() {
	if k.props.KMSKey == nil || *k.props.KMSKey != config.NewKey {
		return
	}
	k.kmsKey = awskms.NewCfnKey(k, jsii.String("SecretsKey"), &awskms.CfnKeyProps{
		Description: jsii.String("Quilt key rotation: encrypts the secrets"), EnableKeyRotation: jsii.Bool(true), KeyPolicy: k.kmsPolicy(),
	})
	k.kmsKey.ApplyRemovalPolicy(retained, nil)
}

// kmsPolicy leaves the key to the account's own policies, and lets readers decrypt their secret through Secrets Manager.
func (k *keyRotation) kmsPolicy() object {
	stack := awscdk.Stack_Of(k)
	statements := list{object{
		"Sid": "Account", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
		"Principal": object{"AWS": "arn:" + *stack.Partition() + ":iam::" + *stack.Account() + ":root"},
	}}
	for _, principal := range slices.Sorted(maps.Keys(k.kmsReaders)) { // one statement each: the policy may have 32,768 bytes (KMS developer guide, "Resource quotas")
		statements = append(statements, object{
			"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Principal": object{"AWS": principal},
			"Condition": object{
				"StringEquals": object{"kms:ViaService": "secretsmanager." + k.region + ".amazonaws.com"},
				"StringLike":   object{"kms:EncryptionContext:SecretARN": k.kmsReaders[principal]},
			},
		})
	}
	return document(statements...)
}

// letDecrypt writes a secret's ARN with ? for the six characters that nobody knows before: the secret itself refers to the key, so that the key cannot refer to it.
func (k *keyRotation) letDecrypt(readers []string, secretName string) {
	if k.kmsKey == nil {
		return
	}
	stack := awscdk.Stack_Of(k)
	for _, principal := range readers {
		k.kmsReaders.add(principal, "arn:"+*stack.Partition()+":secretsmanager:"+k.region+":"+*stack.Account()+":secret:"+secretName+"-??????")
	}
	k.kmsKey.SetKeyPolicy(k.kmsPolicy())
}

// kmsKeyARN is the ARN of the customer-managed key of the secrets that the stack creates; "" for the AWS-managed key.
func (k *keyRotation) kmsKeyARN() string {
	switch {
	case k.kmsKey != nil:
		return *k.kmsKey.AttrArn()
	case k.props.KMSKey == nil || *k.props.KMSKey == config.AWSManaged:
		return ""
	}
	return *k.props.KMSKey
}

// byKey is what a principal can read, by the principal.
type byKey map[string]list

func (m *byKey) add(principal string, what any) {
	if *m == nil {
		*m = byKey{}
	}
	(*m)[principal] = append((*m)[principal], what)
}

package stack

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/keyrotation"
	"quilt-rotate/infra/logicalid"
)

// retained is the removal policy of resources that cannot be created again. They are kept when the
// stack is deleted, but not when the deployment that creates them fails: their names would block
// the next attempt (CloudFormation user guide, "DeletionPolicy attribute": RetainExceptOnCreate).
const retained = awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE

// addKey adds one key of the file. Its logical ids depend only on the name of its secret, so other
// changes of the file do not replace its resources.
func addKey(stack awscdk.Stack, c *config.Config, rotation keyrotation.KeyRotation, kmsKey awskms.IKey, key *config.Key,
	retired bool) {
	id := config.KeyID(key.SecretName())
	scope := constructs.NewConstruct(stack, jsii.String(id))
	var secret awssecretsmanager.ISecret
	if key.Secret != "" {
		secret = awssecretsmanager.Secret_FromSecretCompleteArn(scope, jsii.String("Secret"), &key.Secret)
	} else {
		secret = newSecret(scope, kmsKey, key)
	}
	schedule := rotation.Rotate(secret, rotateOptions(key, retired))
	if retired {
		return
	}
	logicalid.PinAt[awssecretsmanager.CfnRotationSchedule](schedule, scope, "Rotation")
	if key.Secret != "" {
		output(stack, id+"Next", "Run this before the first deployment, and again when the settings change: it "+
			"writes the tags, which CloudFormation cannot write on an existing secret", Adopt(c, key))
	} else {
		output(stack, id+"Next", "Run this once: it stores the first key", Bootstrap(c, key))
	}
}

func newSecret(scope constructs.Construct, kmsKey awskms.IKey, key *config.Key) awssecretsmanager.ISecret {
	replicas := []*awssecretsmanager.ReplicaRegion{}
	for _, r := range key.Replicas {
		replica := &awssecretsmanager.ReplicaRegion{Region: jsii.String(r.Region)}
		if r.KMSKey != "" {
			replica.EncryptionKey = awskms.Key_FromKeyArn(scope, jsii.String("KeyOf"+r.Region), jsii.String(r.KMSKey))
		}
		replicas = append(replicas, replica)
	}
	props := &awssecretsmanager.SecretProps{
		SecretName: jsii.String(key.Name), Description: jsii.String("Quilt API key; rotated by quilt-rotate"),
		SecretStringValue: awscdk.SecretValue_UnsafePlainText(jsii.String(keyrotation.Empty)), EncryptionKey: kmsKey,
		RemovalPolicy: retained, ReplicaRegions: &replicas,
	}
	secret := awssecretsmanager.NewSecret(scope, jsii.String("Secret"), props)
	logicalid.Pin[awssecretsmanager.CfnSecret](secret)
	letRead(scope, secret, key.Readers)
	return secret
}

// rotateOptions converts an entry of the file to the options of the construct.
func rotateOptions(key *config.Key, retired bool) *keyrotation.RotateOptions {
	return &keyrotation.RotateOptions{
		Schedule: &key.Schedule, Window: duration(&key.Window), ExpiresInDays: jsii.Number(key.ExpiresInDays),
		Grace: duration(key.Grace), Quiet: duration(key.Quiet), HoldLimit: duration(key.HoldLimit),
		Field: optional(key.Field), KeyName: optional(key.KeyName), Owner: optional(key.Owner),
		IssuerArn: optional(key.Issuer), Restart: key.Restart, Retired: &retired,
	}
}

func duration(d *config.Duration) awscdk.Duration {
	if d == nil {
		return nil
	}
	return awscdk.Duration_Seconds(jsii.Number(time.Duration(*d).Seconds()))
}

package keyrotation

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// Empty is the value of a new secret: a literal, the same in every configuration and release. CloudFormation writes a value anew when its template's changes, so
// any other literal here would overwrite rotated keys.
const Empty = "{}"

// retained keeps what cannot be made again, whatever becomes of the stack; but not what a deployment that fails has just made: it holds nothing yet, and would keep its name
// from the next try (CloudFormation user guide, "DeletionPolicy attribute": RetainExceptOnCreate).
const retained = awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE

// RotatedKeyProps is one key.
type RotatedKeyProps struct {
	// Rotation has the functions.
	Rotation KeyRotation
	// Key is its secret, its schedule and its settings. The rules of package config hold for it.
	Key config.Key
	// Retired takes the rotation schedule away and leaves the secret.
	Retired bool
}

// RotatedKey is one secret with its rotation schedule.
type RotatedKey interface {
	constructs.Construct

	// SecretArn is the ARN of the secret.
	SecretArn() *string
	// Adopted tells whether the secret was there before.
	Adopted() bool
}

type rotatedKey struct {
	constructs.Construct
	secretArn *string
	adopted   bool
}

func (r *rotatedKey) SecretArn() *string { return r.secretArn }
func (r *rotatedKey) Adopted() bool      { return r.adopted }

// NewRotatedKey makes the secret, or takes an existing one, and gives it its rotation schedule. It panics with a [*config.Faults] where the key breaks a rule, as the CDK's own constructs
// do: nobody would be told of it before the deployment fails, or a key expires.
func NewRotatedKey(scope constructs.Construct, id *string, props *RotatedKeyProps) RotatedKey {
	k, key := props.Rotation.shared(), props.Key
	if key.ExpiresInDays == 0 { // as where a file leaves it out
		key.ExpiresInDays = settings.DefaultExpiresInDays
	}
	r := &rotatedKey{adopted: key.Secret != ""}
	constructs.NewConstruct_Override(r, scope, id)
	if err := k.check(*r.Node().Path(), key); err != nil {
		panic(err)
	}
	if r.adopted {
		r.secretArn = jsii.String(key.Secret)
	} else {
		r.secretArn = r.newSecret(k, key, props.Retired)
	}
	k.add(key)
	if props.Retired {
		return r
	}
	r.scheduleRotation(k, key)
	if len(key.Restart) > 0 {
		k.restart(r, r.secretArn, key.Restart)
	}
	return r
}

func (r *rotatedKey) newSecret(k *keyRotation, key config.Key, retired bool) *string {
	secret := awssecretsmanager.NewCfnSecret(r, jsii.String("Secret"), &awssecretsmanager.CfnSecretProps{
		Name: jsii.String(key.Name), Description: jsii.String("Quilt API key; rotated by quilt-rotate"), SecretString: jsii.String(Empty),
	})
	secret.ApplyRemovalPolicy(retained, nil)
	if kmsKey := k.kmsKeyARN(); kmsKey != "" {
		secret.SetKmsKeyId(jsii.String(kmsKey))
	}
	tags := key.SettingTags()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		secret.Tags().SetTag(jsii.String(name), jsii.String(tags[name]), nil, nil)
	}
	var replicas []any
	for _, replica := range key.Replicas {
		property := &awssecretsmanager.CfnSecret_ReplicaRegionProperty{Region: jsii.String(replica.Region)}
		if replica.KMSKey != "" {
			property.KmsKeyId = jsii.String(replica.KMSKey)
		}
		replicas = append(replicas, property)
	}
	if replicas != nil {
		secret.SetReplicaRegions(replicas)
	}
	if retired {
		accept(secret, accepted{rule: "AwsSolutions-SMG4", reason: "Its key is rotated no more: the configuration lists it under retired."})
	}
	if len(key.Readers) > 0 {
		r.letRead(secret, key.Readers)
		k.letDecrypt(key.Readers, key.Name)
	}
	return secret.Ref()
}

// letRead lets the readers fetch every version: the previous one too, which consumers may fall back to during the grace period.
func (r *rotatedKey) letRead(secret awssecretsmanager.CfnSecret, readers []string) {
	var principals list
	for _, reader := range readers {
		principals = append(principals, reader)
	}
	awssecretsmanager.NewCfnResourcePolicy(r, jsii.String("Readers"), &awssecretsmanager.CfnResourcePolicyProps{
		SecretId: secret.Ref(), BlockPublicPolicy: jsii.Bool(true),
		ResourcePolicy: document(object{
			"Sid": "Readers", "Effect": "Allow", "Principal": object{"AWS": principals}, "Resource": "*",
			"Action": list{"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"},
		}),
	})
}

// scheduleRotation switches rotation on. Nothing is rotated by that; Secrets Manager only runs testSecret, for which it must be allowed to call the function, and
// that to read the secret.
func (r *rotatedKey) scheduleRotation(k *keyRotation, key config.Key) {
	rules := &awssecretsmanager.CfnRotationSchedule_RotationRulesProperty{ScheduleExpression: jsii.String(key.Schedule)}
	if key.Window != 0 {
		rules.Duration = jsii.String(fmt.Sprintf("%dh", int(time.Duration(key.Window).Hours())))
	}
	schedule := awssecretsmanager.NewCfnRotationSchedule(r, jsii.String("Rotation"), &awssecretsmanager.CfnRotationScheduleProps{
		SecretId: r.secretArn, RotationLambdaArn: k.rotate.FunctionArn(), RotationRules: rules, RotateImmediatelyOnUpdate: jsii.Bool(false),
	})
	schedule.AddResourceDependency(k.permission, nil)
	schedule.AddResourceDependency(k.rotate.permissions, nil)
	// The dashboard comes after everything else, so that the function's role is no longer brand-new when the test run uses it.
	schedule.Node().AddDependency(k.dashboard)
}

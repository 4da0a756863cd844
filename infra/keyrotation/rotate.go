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

// Empty is the value of a new secret before its first key. Never change it: if the value in the
// template changes, CloudFormation writes it to the secret and overwrites the rotated key.
const Empty = "{}"

// RotateOptions are the schedule and the settings of one secret. They have the same rules as an
// entry of keys in a configuration file (config.example.yaml).
type RotateOptions struct {
	// Schedule says when to rotate, in UTC: rate(30 days) or cron(0 4 ? * SUN *).
	Schedule *string
	// Window is the length of the rotation window, in whole hours. Default: until the end of the
	// day; 1 hour if it opens several times a day.
	Window awscdk.Duration
	// ExpiresInDays is the lifetime of a key: at least twice the interval of the schedule, the
	// window and 7 days. Default: 90.
	ExpiresInDays *float64
	// Grace is how long a superseded key stays valid. Default: 24 hours.
	Grace awscdk.Duration
	// Quiet is how long a superseded key must be unused before it is revoked. Default: 25 hours.
	Quiet awscdk.Duration
	// HoldLimit is how long after its grace period a superseded key that is still used stays valid.
	// Default: until it expires.
	HoldLimit awscdk.Duration
	// Field is the field of the secret's JSON that holds the key. Default: the field with a key.
	Field *string
	// KeyName is the beginning of the key's name at the registry. Default: the name of the secret.
	KeyName *string
	// Owner is the e-mail address of the registry user. Default: the owner of the key.
	Owner *string
	// IssuerArn is the ARN of the secret with the issuing credential. The stack of the functions
	// depends on it, so the stack of that secret must not depend on the functions.
	IssuerArn *string
	// Restart are ECS services that read the key only at startup. They are redeployed when the key
	// changes.
	Restart []config.Service
	// Retired keeps the secret but not its rotation. Sweeps of the secret continue.
	Retired *bool
}

func (k *keyRotation) Rotate(secret awssecretsmanager.ISecret,
	options *RotateOptions) awssecretsmanager.CfnRotationSchedule {
	if secret == nil {
		panic(*k.Node().Path() + ": Rotate is called without a secret")
	}
	var scope constructs.Construct
	jsii.UnsafeCast(secret, &scope) // the Go type of an imported secret is not a construct
	if options == nil {
		options = &RotateOptions{}
	}
	key := options.key(*secret.SecretArn())
	k.check(scope, key)
	k.keys = append(k.keys, key)
	k.adapt()
	k.alarms.adapt(k.keys)
	k.allowIssuer(key.Issuer)
	// Tags have no effect on an imported secret: `quilt-rotate adopt` writes them.
	tags := key.SettingTags()
	tags[settings.TagRegistry] = k.registry()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		awscdk.Tags_Of(scope).Add(jsii.String(name), jsii.String(tags[name]), nil)
	}
	if options.Retired != nil && *options.Retired {
		if resource, ours := scope.Node().DefaultChild().(awscdk.CfnResource); ours {
			accept(resource, accepted{"AwsSolutions-SMG4", "The key in this secret is retired and no longer rotated."})
		}
		return nil
	}
	if len(options.Restart) > 0 {
		k.restart(scope, secret.SecretArn(), options.Restart)
	}
	return k.schedule(scope, key)
}

// schedule switches rotation on, in the stack of the secret, which then depends on the functions.
// This does not rotate the key: Secrets Manager only runs testSecret. So Secrets Manager must
// already be allowed to call the function, and the function to read the secret.
func (k *keyRotation) schedule(scope constructs.Construct, key config.Key) awssecretsmanager.CfnRotationSchedule {
	rules := &awssecretsmanager.CfnRotationSchedule_RotationRulesProperty{ScheduleExpression: jsii.String(key.Schedule)}
	if key.Window != 0 {
		rules.Duration = jsii.String(fmt.Sprintf("%dh", int(time.Duration(key.Window).Hours())))
	}
	// The L2 construct accepts no cron expression, and adds a policy to the secret.
	schedule := awssecretsmanager.NewCfnRotationSchedule(scope, jsii.String("Rotation"),
		&awssecretsmanager.CfnRotationScheduleProps{
			SecretId: jsii.String(key.Secret), RotationLambdaArn: k.rotate.FunctionArn(), RotationRules: rules,
			RotateImmediatelyOnUpdate: jsii.Bool(false),
		})
	// The dashboard is created last. The dependency on it gives the function's new role time to
	// take effect before testSecret runs.
	schedule.Node().AddDependency(k.permission, k.rotate.permissions, k.dashboard)
	return schedule
}

// key returns the same options as an entry of a configuration file.
func (o *RotateOptions) key(secretArn string) config.Key {
	key := config.Key{Secret: secretArn, ExpiresInDays: settings.DefaultExpiresInDays, Restart: o.Restart}
	for field, value := range map[*string]*string{&key.Schedule: o.Schedule, &key.Field: o.Field,
		&key.KeyName: o.KeyName, &key.Owner: o.Owner, &key.Issuer: o.IssuerArn} {
		if value != nil {
			*field = *value
		}
	}
	if o.ExpiresInDays != nil {
		key.ExpiresInDays = int(*o.ExpiresInDays)
	}
	for field, value := range map[**config.Duration]awscdk.Duration{&key.Grace: o.Grace, &key.Quiet: o.Quiet,
		&key.HoldLimit: o.HoldLimit} {
		if value != nil {
			*field = new(config.Duration(orDefault(value, 0)))
		}
	}
	key.Window = config.Duration(orDefault(o.Window, 0))
	return key
}

// check applies the rules of a configuration file. CDK tokens are not checked.
func (k *keyRotation) check(scope constructs.Construct, key config.Key) {
	where := *scope.Node().Path()
	if scope.Node().TryFindChild(jsii.String("Rotation")) != nil {
		panic(where + ": Rotate was already called for this secret: call it once")
	}
	if *awscdk.Token_IsUnresolved(jsii.String(key.Secret)) {
		key.Secret, key.Name = "", *scope.Node().Addr()
	}
	if *awscdk.Token_IsUnresolved(jsii.String(key.Schedule)) {
		key.Schedule, key.ExpiresInDays = "rate(30 days)", settings.MaxExpiresInDays
	}
	for _, field := range []*string{&key.Field, &key.KeyName, &key.Owner, &key.Issuer} {
		*field = known(field, "")
	}
	ours, theirs := awscdk.Stack_Of(k), awscdk.Stack_Of(scope)
	c := config.Config{Account: known(ours.Account(), ""), Region: known(ours.Region(), "")}
	if account, region := known(theirs.Account(), c.Account), known(theirs.Region(), c.Region); c.Account != "" &&
		account != c.Account || c.Region != "" && region != c.Region {
		panic(fmt.Sprintf("%s: the secret is in account %s and region %s, but the rotate function is in account %s "+
			"and region %s: use a KeyRotation in the secret's account and region",
			where, account, region, c.Account, c.Region))
	}
	if err := config.CheckKey(where, key, c, k.taken); err != nil {
		panic(err)
	}
}

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

// Empty is the value of a new secret before its first key. It is the same literal in every release:
// CloudFormation writes the value of a secret again when the value in the template changes, and so
// would overwrite a rotated key.
const Empty = "{}"

// RotateOptions are the schedule and the settings of one secret. The rules of a configuration file
// hold for them: see config.example.yaml.
type RotateOptions struct {
	// Schedule says when to rotate, in UTC: rate(30 days) or cron(0 4 ? * SUN *).
	Schedule *string
	// Window is the length of the rotation window, in whole hours. Default: until the end of the
	// day; 1 hour if it opens several times a day.
	Window awscdk.Duration
	// ExpiresInDays is the lifetime of a key: at least twice the interval of the schedule, the
	// window and 7 days. Default: 90.
	ExpiresInDays *float64
	// Grace is how long a replaced key stays valid. Default: 24 hours.
	Grace awscdk.Duration
	// Quiet is how long a replaced key must be unused before it is revoked. Default: 25 hours.
	Quiet awscdk.Duration
	// HoldLimit is how long after its grace period a replaced key that is still used stays valid.
	// Default: until it expires.
	HoldLimit awscdk.Duration
	// Field is the field of the secret's JSON that holds the key. Default: the field with a key.
	Field *string
	// KeyName is the beginning of the key's name at the registry. Default: the name of the secret.
	KeyName *string
	// Owner is the e-mail address of the registry user. Default: the owner of the key.
	Owner *string
	// IssuerArn is the ARN of the secret with a second credential of the same registry user. The
	// functions get access to it, so its stack must not depend on theirs.
	IssuerArn *string
	// Restart are ECS services that read the key at their start: they are redeployed when it
	// changes.
	Restart []config.Service
	// Retired keeps the secret without a rotation. It is still swept, until its last replaced key
	// is revoked.
	Retired *bool
}

func (k *keyRotation) Rotate(secret awssecretsmanager.ISecret,
	options *RotateOptions) awssecretsmanager.CfnRotationSchedule {
	if secret == nil {
		panic(*k.Node().Path() + ": Rotate is called without a secret")
	}
	var scope constructs.Construct
	jsii.UnsafeCast(secret, &scope) // an imported secret is of a type that Go does not know as a construct
	if options == nil {
		options = &RotateOptions{}
	}
	key := options.key(*secret.SecretArn())
	k.check(scope, key)
	k.keys = append(k.keys, key)
	k.adapt()
	k.alarms.adapt(k.keys)
	k.allowIssuer(key.Issuer)
	// They have no effect on an imported secret: `quilt-rotate adopt` writes them there.
	tags := key.SettingTags()
	tags[settings.TagRegistry] = k.registry()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		awscdk.Tags_Of(scope).Add(jsii.String(name), jsii.String(tags[name]), nil)
	}
	if options.Retired != nil && *options.Retired {
		return nil
	}
	if len(options.Restart) > 0 {
		k.restart(scope, secret.SecretArn(), options.Restart)
	}
	return k.schedule(scope, key)
}

// schedule switches rotation on, in the stack of the secret: that stack depends on the functions,
// and they depend on no secret. Nothing is rotated by that; Secrets Manager only runs testSecret,
// so it must be allowed to call the function, and the function to read the secret.
func (k *keyRotation) schedule(scope constructs.Construct, key config.Key) awssecretsmanager.CfnRotationSchedule {
	rules := &awssecretsmanager.CfnRotationSchedule_RotationRulesProperty{ScheduleExpression: jsii.String(key.Schedule)}
	if key.Window != 0 {
		rules.Duration = jsii.String(fmt.Sprintf("%dh", int(time.Duration(key.Window).Hours())))
	}
	// The L2 construct takes no cron expression, and adds a policy to the secret.
	schedule := awssecretsmanager.NewCfnRotationSchedule(scope, jsii.String("Rotation"),
		&awssecretsmanager.CfnRotationScheduleProps{
			SecretId: jsii.String(key.Secret), RotationLambdaArn: k.rotate.FunctionArn(), RotationRules: rules,
			RotateImmediatelyOnUpdate: jsii.Bool(false),
		})
	// The dashboard is created after everything else, so the role of the function is no longer new
	// when the test run uses it.
	schedule.Node().AddDependency(k.permission, k.rotate.permissions, k.dashboard)
	return schedule
}

// key is the entry of a configuration file that says the same.
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

// check applies the rules of a configuration file. What is known at the deployment only is not
// checked.
func (k *keyRotation) check(scope constructs.Construct, key config.Key) {
	where := *scope.Node().Path()
	if scope.Node().TryFindChild(jsii.String("Rotation")) != nil {
		panic(where + ": Rotate was called for this secret before: call it once")
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
		panic(fmt.Sprintf("%s: is of %s in %s, and the rotate function of %s in %s: use a KeyRotation of the same "+
			"account and region", where, account, region, c.Account, c.Region))
	}
	if err := config.CheckKey(where, key, c, k.taken); err != nil {
		panic(err)
	}
}

// Package keyrotation holds the two constructs of which a deployment is made: [KeyRotation], the functions that rotate the keys of one Quilt registry and
// revoke those that were replaced, with everything that is there once; and [RotatedKey], one secret with its schedules.
//
// Nothing here writes or overwrites a value: a new secret gets the literal {} for ever, an adopted one is not touched. No deployment rotates a key.
// The functions' settings, their names and rules are those of package settings.
package keyrotation

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// KeyRotationProps is what the keys of one registry share.
type KeyRotationProps struct {
	// RegistryURL is the registry's https URL.
	RegistryURL *string
	// RotateZip and RevokeZip are the functions' packages, as package bundle makes them.
	RotateZip, RevokeZip *string
	// CABundlePath is where the functions find a CA bundle in their package. Default: none.
	CABundlePath *string
	// Network places the functions in a VPC. Default: none.
	Network *config.Network
	// PermissionsBoundary is the ARN of the policy that bounds every role. Default: none.
	PermissionsBoundary *string
	// KMSKey encrypts the secrets: config.AWSManaged (the default), config.NewKey, or an ARN.
	KMSKey *string
	// PreviousKMSKeys are the ARNs of keys that encrypted some of the secrets before: versions that they encrypt must still be read. Default: none.
	PreviousKMSKeys []string
	// AlarmEmail receives the alarms; AlarmTopic replaces the new topic.
	AlarmEmail *string
	AlarmTopic awssns.ITopic
	// OrphanAge is how old a key that no version holds must be to be revoked. Default: settings.DefaultOrphanAge.
	OrphanAge time.Duration
	// LogLevel is the least level logged. Default: INFO.
	LogLevel *string
	// LogRetentionDays is how long logs are kept. Default: 90.
	LogRetentionDays *float64
}

// KeyRotation is made by [NewKeyRotation]; [NewRotatedKey] adds a key to it.
type KeyRotation interface {
	constructs.Construct

	// RotateFunction and RevokeFunction are the names of the functions.
	RotateFunction() *string
	RevokeFunction() *string
	// RotateFunctionArn and RevokeFunctionArn are their ARNs.
	RotateFunctionArn() *string
	RevokeFunctionArn() *string
	// TopicArn is where the alarms go.
	TopicArn() *string
	// DashboardName is the name of the dashboard.
	DashboardName() *string

	shared() *keyRotation
}

type keyRotation struct {
	constructs.Construct
	props  KeyRotationProps
	keys   []config.Key
	taken  map[string]string // secrets, and the constructs that have them
	region string

	kmsKey         awskms.CfnKey // made here, or nil
	kmsReaders     byKey         // secrets, by who may read them
	rotate, revoke function
	buckets        map[int]*bucket
	permission     awslambda.CfnPermission
	group          awsscheduler.CfnScheduleGroup
	schedulerRole  awsiam.CfnRole
	deadLetters    awssqs.IQueue
	topic          awssns.ITopic
	restarts       *restarts
	alarms         *alarms
	dashboard      awscloudwatch.Dashboard
}

func (k *keyRotation) shared() *keyRotation       { return k }
func (k *keyRotation) RotateFunction() *string    { return k.rotate.Ref() }
func (k *keyRotation) RevokeFunction() *string    { return k.revoke.Ref() }
func (k *keyRotation) RotateFunctionArn() *string { return k.rotate.AttrArn() }
func (k *keyRotation) RevokeFunctionArn() *string { return k.revoke.AttrArn() }
func (k *keyRotation) TopicArn() *string          { return k.topic.TopicArn() }
func (k *keyRotation) DashboardName() *string     { return jsii.String(k.name() + "-keys") }

// Time-outs. Each step has most of its function's for its requests and their retries: the functions keep two seconds to report in. Both are far below the
// 15 minutes after which a key that no version holds counts as an orphan.
const (
	rotateTimeout = 60 * time.Second
	revokeTimeout = 2 * time.Minute
)

// NewKeyRotation makes the functions, their roles, logs and alarms, and the schedules' group.
func NewKeyRotation(scope constructs.Construct, id *string, props *KeyRotationProps) KeyRotation {
	k := &keyRotation{props: *props, buckets: map[int]*bucket{}, taken: map[string]string{}}
	constructs.NewConstruct_Override(k, scope, id)
	k.region = *awscdk.Stack_Of(k).Region()
	k.newKMSKey()
	k.newDeadLetters()
	securityGroups := k.newSecurityGroups()
	k.rotate = k.newFunction("Rotate", "Rotates the Quilt API keys in secrets; Secrets Manager calls it", props.RotateZip, rotateTimeout, securityGroups)
	k.revoke = k.newFunction("Revoke", "Revokes the Quilt API keys that were replaced; the scheduler calls it for each secret", props.RevokeZip, revokeTimeout, securityGroups)
	k.rotate.Tags().SetTag(jsii.String(settings.TagRevokeFunction), k.revoke.Ref(), nil, nil) // by which the command finds it
	k.setEnvironment()
	k.permission = awslambda.NewCfnPermission(k, jsii.String("Invoke"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: k.rotate.AttrArn(),
		Principal: jsii.String("secretsmanager.amazonaws.com"), SourceAccount: awscdk.Stack_Of(k).Account(),
	})
	k.newInvokeConfig()
	k.newScheduler()
	k.newTopic()
	k.newAlarms()
	k.newDashboard()
	return k
}

// check holds the rules of a configuration file for a key that may come from none.
func (k *keyRotation) check(where string, key config.Key) error {
	known := func(text *string) string {
		if *awscdk.Token_IsUnresolved(text) { // told at the deployment only
			return ""
		}
		return *text
	}
	stack, shared := awscdk.Stack_Of(k), config.Config{KMSKey: config.AWSManaged}
	shared.Account, shared.Region = known(stack.Account()), known(stack.Region())
	if k.props.KMSKey != nil {
		shared.KMSKey = *k.props.KMSKey
	}
	return config.CheckKey(where, key, shared, k.taken)
}

// name is what the names of alarms and dashboard have in common: two of these constructs in one stack must not take each other's.
func (k *keyRotation) name() string {
	stack := awscdk.Stack_Of(k)
	name, path := *stack.StackName(), strings.TrimPrefix(*k.Node().Path(), *stack.Node().Path()+"/")
	if path != usualID {
		name += "-" + notInName.ReplaceAllString(path, "-")
	}
	return name
}

// usualID is the construct's id in a stack of one registry: nothing has to be told apart.
const usualID = "KeyRotation"

// notInName is what a dashboard's name must not have.
var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// add takes a key in. Everything that depends on all keys is told anew.
func (k *keyRotation) add(key config.Key, secretArn string, retired bool) *bucket {
	k.keys = append(k.keys, key)
	k.setEnvironment()
	k.alarms.adapt(k.keys)
	b := k.bucketOf(key.SecretName())
	b.add(key, secretArn, retired)
	return b
}

// setEnvironment gives the functions the most cautious values of all keys: the tags of each secret say what holds for it, and an update that takes tags
// off for a moment must shorten nothing.
func (k *keyRotation) setEnvironment() {
	expires, grace, quiet := 0, time.Duration(0), time.Duration(0)
	limit, limited := time.Duration(0), len(k.keys) > 0
	for _, key := range k.keys {
		expires, grace, quiet = max(expires, key.ExpiresInDays), max(grace, key.GracePeriod()), max(quiet, key.QuietPeriod())
		if key.HoldLimit == nil {
			limited = false
		} else {
			limit = max(limit, time.Duration(*key.HoldLimit))
		}
	}
	both := map[string]*string{settings.EnvRegistryURL: k.props.RegistryURL, settings.EnvLogLevel: k.logLevel()}
	if k.props.CABundlePath != nil {
		both[settings.EnvCABundle] = k.props.CABundlePath
	}
	rotate, revoke := maps.Clone(both), maps.Clone(both)
	orphanAge := k.props.OrphanAge
	if orphanAge == 0 {
		orphanAge = settings.DefaultOrphanAge
	}
	revoke[settings.EnvOrphanAge] = text(orphanAge)
	if len(k.keys) > 0 {
		rotate[settings.EnvExpiresInDays] = jsii.String(strconv.Itoa(expires))
		revoke[settings.EnvGrace], revoke[settings.EnvQuiet] = text(grace), text(quiet)
	}
	if limited {
		revoke[settings.EnvHoldLimit] = text(limit)
	}
	k.rotate.SetEnvironment(&awslambda.CfnFunction_EnvironmentProperty{Variables: rotate})
	k.revoke.SetEnvironment(&awslambda.CfnFunction_EnvironmentProperty{Variables: revoke})
}

func text(d time.Duration) *string { return jsii.String(config.Duration(d).String()) }

func (k *keyRotation) logLevel() *string {
	if k.props.LogLevel == nil {
		return jsii.String(config.DefaultLogLevel)
	}
	return k.props.LogLevel
}

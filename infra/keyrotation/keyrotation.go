// Package keyrotation holds the two constructs of which a deployment is made: [KeyRotation], the functions that rotate the keys of one Quilt registry and
// revoke those that were replaced, with everything that is there once; and [RotatedKey], one secret with its schedules.
//
// Nothing here writes or overwrites a value: a new secret gets the literal {} for ever, an adopted one is not touched. No deployment rotates a key.
// The functions' settings, their names and rules are those of package settings.
package keyrotation

import (
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
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
	// IssuerArns are the ARNs of the secrets with issuing credentials for secrets that other tools point at the rotate function. Default: none.
	IssuerArns []string
	// Network places the functions in a VPC. Default: none.
	Network *config.Network
	// PermissionsBoundary is the ARN of the policy that bounds every role. Default: none.
	PermissionsBoundary *string
	// KMSKey encrypts the secrets: config.AWSManaged (the default), config.NewKey, or an ARN.
	KMSKey *string
	// AlarmEmail receives the alarms; AlarmTopic replaces the new topic.
	AlarmEmail *string
	AlarmTopic awssns.ITopic
	// Sweep is the time between two sweeps. Default: 1 hour.
	Sweep time.Duration
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

	// RotateFunction rotates the keys in secrets; a secret's rotation calls it.
	RotateFunction() awslambda.IFunction
	// RevokeFunction sweeps a secret.
	RevokeFunction() awslambda.IFunction
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
	issuers        list // ARNs
	issuerPolicy   awsiam.CfnManagedPolicy
	permission     awslambda.CfnPermission
	sweeps         awsstepfunctions.StateMachine
	deadLetters    awssqs.IQueue
	topic          awssns.ITopic
	restarts       *restarts
	alarms         *alarms
	dashboard      awscloudwatch.Dashboard
}

func (k *keyRotation) shared() *keyRotation                { return k }
func (k *keyRotation) RotateFunction() awslambda.IFunction { return k.rotate.Function }
func (k *keyRotation) RevokeFunction() awslambda.IFunction { return k.revoke.Function }
func (k *keyRotation) TopicArn() *string                   { return k.topic.TopicArn() }
func (k *keyRotation) DashboardName() *string              { return jsii.String(k.name() + "-keys") }

// Time-outs. Each step has most of its function's for its requests and their retries: the functions keep two seconds to report in. Both are far below the
// 15 minutes after which a key that no version holds counts as an orphan.
const (
	rotateTimeout = 60 * time.Second
	revokeTimeout = 2 * time.Minute
)

// NewKeyRotation creates the functions, the state machine that runs the sweeps, and their roles, logs and alarms.
func NewKeyRotation(scope constructs.Construct, id *string, props *KeyRotationProps) KeyRotation {
	k := &keyRotation{props: *props, taken: map[string]string{}}
	constructs.NewConstruct_Override(k, scope, id)
	k.region = *awscdk.Stack_Of(k).Region()
	k.newKMSKey()
	k.newDeadLetters()
	network := k.network()
	k.rotate = k.newFunction("Rotate", "Rotates the Quilt API keys in secrets; Secrets Manager calls it", props.RotateZip, rotateTimeout, network)
	k.revoke = k.newFunction("Revoke", "Revokes the Quilt API keys that were replaced; the state machine of the sweeps calls it", props.RevokeZip, revokeTimeout, network)
	awscdk.Tags_Of(k.rotate.Function).Add(jsii.String(settings.TagRevokeFunction), k.revoke.FunctionName(), nil) // the command finds it by this
	orphanAge := k.props.OrphanAge
	if orphanAge == 0 {
		orphanAge = settings.DefaultOrphanAge
	}
	k.revoke.AddEnvironment(jsii.String(settings.EnvOrphanAge), text(orphanAge), nil)
	k.newPermissions()
	k.permission = awslambda.NewCfnPermission(k, jsii.String("Invoke"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: k.rotate.FunctionArn(),
		Principal: jsii.String("secretsmanager.amazonaws.com"), SourceAccount: awscdk.Stack_Of(k).Account(),
	})
	k.newInvokeConfig()
	k.newTopic()
	k.newSweeps()
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

// add adapts to a key what all keys share.
func (k *keyRotation) add(key config.Key) {
	k.keys = append(k.keys, key)
	k.adapt()
	k.allowIssuer(key.Issuer)
	k.alarms.adapt(k.keys)
}

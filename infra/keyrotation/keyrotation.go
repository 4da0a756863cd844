// Package keyrotation provides the CDK construct [KeyRotation]: the functions that rotate and
// revoke the API keys of one Quilt registry, with their sweeps, alarms and dashboard.
// [KeyRotation.Rotate] configures the rotation of one secret, in the same stack or in another one.
//
// The construct never writes the value of a secret, and a deployment never rotates a key. Package
// settings defines the names and rules of the functions' settings.
package keyrotation

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// KeyRotationProps are the settings that all keys of one registry share.
type KeyRotationProps struct {
	// RegistryURL is the registry's https URL.
	RegistryURL *string
	// RotateZip and RevokeZip are the paths of the deployment packages that package bundle builds.
	RotateZip, RevokeZip *string
	// CABundlePath is the path of the CA bundle in the functions' packages. Default: none.
	CABundlePath *string
	// IssuerArns are the ARNs of the secrets with issuing credentials for secrets that are not
	// passed to Rotate. Default: none.
	IssuerArns []string
	// Network places the functions in a VPC. Default: none.
	Network *config.Network
	// PermissionsBoundary is the ARN of the permissions boundary of every role. Default: none.
	PermissionsBoundary *string
	// AlarmEmail receives the alarms; AlarmTopic replaces the new topic. An imported topic must let
	// CloudWatch publish. Its KMS key must let CloudWatch use it, and must delegate to IAM, because
	// the event rule publishes with a role of the stack.
	AlarmEmail *string
	AlarmTopic awssns.ITopic
	// Sweep is the time between two sweeps of a secret, from 15 minutes to 1 hour in whole minutes.
	// Default: 1 hour.
	Sweep awscdk.Duration
	// OrphanAge is how old a key that no version holds must be to be revoked: at least 15 minutes.
	// Default: 1 hour.
	OrphanAge awscdk.Duration
	// LogLevel is the lowest level that the functions log. Default: INFO.
	LogLevel *string
	// LogRetentionDays is how long logs are kept. Default: 90.
	LogRetentionDays *float64
}

// check fails at synthesis if the deployment or the start of a function would fail. It applies the
// rules of a configuration file. A CDK token has no value before the deployment, so check uses a
// valid value in its place.
func (p *KeyRotationProps) check(where string, stack awscdk.Stack) error {
	switch {
	case p == nil || p.RegistryURL == nil:
		return errors.New(where + ": RegistryURL is not set: give the registry's https URL, such as " +
			"https://registry.example.com")
	case p.RotateZip == nil || p.RevokeZip == nil:
		return errors.New(where + ": RotateZip or RevokeZip is not set: give the paths of the packages that " +
			"bundle.Build writes")
	case p.AlarmEmail != nil && p.AlarmTopic != nil:
		return errors.New(where + ": AlarmEmail cannot be combined with AlarmTopic: subscribe the address to the topic")
	}
	c := config.Config{
		Account: known(stack.Account(), ""), Region: known(stack.Region(), ""),
		Registry:            known(p.RegistryURL, "https://registry.example.com"),
		PermissionsBoundary: known(p.PermissionsBoundary, ""), Alarms: config.Alarms{Email: known(p.AlarmEmail, "")},
		Sweep:     config.Duration(orDefault(p.Sweep, config.DefaultSweep)),
		OrphanAge: config.Duration(orDefault(p.OrphanAge, settings.DefaultOrphanAge)),
		LogLevel:  known(p.LogLevel, config.DefaultLogLevel), LogRetentionDays: config.DefaultLogRetention,
	}
	if days := p.LogRetentionDays; days != nil && !*awscdk.Token_IsUnresolved(days) {
		c.LogRetentionDays = int(*days)
	}
	for _, arn := range p.IssuerArns {
		if issuer := known(&arn, ""); issuer != "" {
			c.Issuers = append(c.Issuers, issuer)
		}
	}
	if p.AlarmTopic != nil {
		c.Alarms.Topic = known(p.AlarmTopic.TopicArn(), "")
	}
	if p.Network != nil {
		n := *p.Network
		n.VPC, n.Proxy = known(&n.VPC, "vpc-00000000"), known(&n.Proxy, "http://proxy.example.com:3128")
		n.Subnets, n.SecurityGroups = allKnown(n.Subnets, "subnet-"), allKnown(n.SecurityGroups, "sg-")
		n.NoProxy = allKnown(n.NoProxy, "host")
		c.Network = &n
	}
	return config.CheckShared(where, c)
}

// known returns the text, or the other one if the text is nil or a CDK token. A token can be a
// string, or a list that is encoded as its only entry.
func known(text *string, otherwise string) string {
	if text == nil || *awscdk.Token_IsUnresolved(text) || *awscdk.Token_IsUnresolved(&[]*string{text}) {
		return otherwise
	}
	return *text
}

func allKnown(texts []string, prefix string) (all []string) {
	for i, text := range texts {
		all = append(all, known(&text, fmt.Sprintf("%s%08x", prefix, i)))
	}
	return all
}

// orDefault converts a duration of the CDK, and returns the default for nil.
func orDefault(d awscdk.Duration, or time.Duration) time.Duration {
	if d == nil {
		return or
	}
	return time.Duration(*d.ToSeconds(nil)) * time.Second
}

// KeyRotation is the construct that [NewKeyRotation] creates.
type KeyRotation interface {
	constructs.Construct

	// Rotate configures the rotation of the key in a secret. It creates the rotation schedule in
	// the stack of the secret. That stack then depends on the stack of the functions, never the
	// reverse. Rotate writes the settings as tags on the secret; `quilt-rotate adopt` writes the
	// tags of an imported secret. It returns the schedule, or nil if the secret is retired. It
	// panics if an option is not valid.
	Rotate(secret awssecretsmanager.ISecret, options *RotateOptions) awssecretsmanager.CfnRotationSchedule
	// RotateFunction returns the function that Secrets Manager calls to rotate the key in a secret.
	RotateFunction() awslambda.IFunction
	// RevokeFunction returns the function that sweeps a secret.
	RevokeFunction() awslambda.IFunction
	// SweepMachine returns the state machine. Each execution sweeps all secrets.
	SweepMachine() awsstepfunctions.IStateMachine
	// Topic returns the topic of the alarms, and of the events that need a person.
	Topic() awssns.ITopic
	// DashboardName returns the name of the dashboard.
	DashboardName() *string
}

type keyRotation struct {
	constructs.Construct
	props  KeyRotationProps
	keys   []config.Key
	taken  map[string]string // by name of the secret: the path of its construct
	region string

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

func (k *keyRotation) RotateFunction() awslambda.IFunction          { return k.rotate.Function }
func (k *keyRotation) RevokeFunction() awslambda.IFunction          { return k.revoke.Function }
func (k *keyRotation) SweepMachine() awsstepfunctions.IStateMachine { return k.sweeps }
func (k *keyRotation) Topic() awssns.ITopic                         { return k.topic }
func (k *keyRotation) DashboardName() *string                       { return jsii.String(k.name() + "-keys") }

// The timeouts of the functions. A function reserves the last two seconds to report its result; the
// rest is for requests and their retries. Both are much shorter than 15 minutes, the minimum age of
// an orphan.
const (
	rotateTimeout = 60 * time.Second
	revokeTimeout = 2 * time.Minute
)

// NewKeyRotation creates the functions, the state machine that runs the sweeps, and their roles,
// logs and alarms.
func NewKeyRotation(scope constructs.Construct, id *string, props *KeyRotationProps) KeyRotation {
	if err := props.check(*scope.Node().Path()+"/"+*id, awscdk.Stack_Of(scope)); err != nil {
		panic(err)
	}
	k := &keyRotation{props: *props, taken: map[string]string{}}
	k.props.LogLevel = cmp.Or(props.LogLevel, jsii.String(config.DefaultLogLevel))
	k.props.LogRetentionDays = cmp.Or(props.LogRetentionDays, jsii.Number(config.DefaultLogRetention))
	constructs.NewConstruct_Override(k, scope, id)
	k.region = *awscdk.Stack_Of(k).Region()
	k.newDeadLetters()
	network := k.network()
	k.rotate = k.newFunction("Rotate", "Rotates the Quilt API keys in secrets; Secrets Manager calls it",
		props.RotateZip, rotateTimeout, network)
	k.revoke = k.newFunction("Revoke", "Revokes the Quilt API keys that were replaced; the state machine of the "+
		"sweeps calls it", props.RevokeZip, revokeTimeout, network)
	// The operators' command finds the revoke function by this tag.
	awscdk.Tags_Of(k.rotate.Function).Add(jsii.String(settings.TagRevokeFunction), k.revoke.FunctionName(), nil)
	k.revoke.AddEnvironment(jsii.String(settings.EnvOrphanAge),
		text(orDefault(props.OrphanAge, settings.DefaultOrphanAge)), nil)
	k.newPermissions()
	k.permission = awslambda.NewCfnPermission(k, jsii.String("Invoke"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: k.rotate.FunctionArn(),
		Principal: jsii.String("secretsmanager.amazonaws.com"), SourceAccount: awscdk.Stack_Of(k).Account(),
	})
	k.newTopic()
	k.newSweeps()
	k.newAlarms()
	k.newDashboard()
	return k
}

// name returns the common part of the names of the alarms and the dashboard. It is different for
// each construct of a stack.
func (k *keyRotation) name() string {
	stack := awscdk.Stack_Of(k)
	name, path := *stack.StackName(), strings.TrimPrefix(*k.Node().Path(), *stack.Node().Path()+"/")
	if path != "KeyRotation" { // the usual id
		name += "-" + notInName.ReplaceAllString(path, "-")
	}
	return name
}

// notInName are the characters that the name of a dashboard must not have.
var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]`)

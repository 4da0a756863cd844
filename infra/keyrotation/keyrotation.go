// Package keyrotation has one construct, [KeyRotation]: the functions that rotate the API keys of
// one Quilt registry and revoke those that were replaced, and everything else that exists once.
// [KeyRotation.Rotate] has them rotate the key in a secret, of this stack or another.
//
// Nothing here writes a value, and no deployment rotates a key. The settings of the functions,
// their names and their rules are those of package settings.
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

// KeyRotationProps is what the keys of one registry share.
type KeyRotationProps struct {
	// RegistryURL is the registry's https URL.
	RegistryURL *string
	// RotateZip and RevokeZip are the functions' packages, as package bundle makes them.
	RotateZip, RevokeZip *string
	// CABundlePath is where the functions find a CA bundle in their package. Default: none.
	CABundlePath *string
	// IssuerArns are the ARNs of the secrets with issuing credentials for secrets that other tools
	// point at the rotate function. Default: none.
	IssuerArns []string
	// Network places the functions in a VPC. Default: none.
	Network *config.Network
	// PermissionsBoundary is the ARN of the policy that bounds every role. Default: none.
	PermissionsBoundary *string
	// AlarmEmail receives the alarms; AlarmTopic replaces the new topic. An imported topic must let
	// CloudWatch and EventBridge publish, and use its KMS key.
	AlarmEmail *string
	AlarmTopic awssns.ITopic
	// Sweep is the time between two sweeps of a secret, from 15 minutes to 1 hour in whole minutes.
	// Default: 1 hour.
	Sweep awscdk.Duration
	// OrphanAge is how old a key that no version holds must be to be revoked: at least 15 minutes.
	// Default: 1 hour.
	OrphanAge awscdk.Duration
	// LogLevel is the least level logged. Default: INFO.
	LogLevel *string
	// LogRetentionDays is how long logs are kept. Default: 90.
	LogRetentionDays *float64
}

// check refuses at synthesis what a deployment, or the functions at their start, would refuse. The
// rules are those of a configuration file. What is known at the deployment only is not checked: a
// valid value replaces it.
func (p *KeyRotationProps) check(where string, stack awscdk.Stack) error {
	switch {
	case p == nil || p.RegistryURL == nil:
		return errors.New(where + ": RegistryURL is not given: it is the registry's https URL, such as " +
			"https://registry.example.com")
	case p.RotateZip == nil || p.RevokeZip == nil:
		return errors.New(where + ": RotateZip or RevokeZip is not given: they are the paths of the packages that " +
			"bundle.Build writes")
	case p.AlarmEmail != nil && p.AlarmTopic != nil:
		return errors.New(where + ": AlarmEmail cannot be used with AlarmTopic: subscribe the address to that topic")
	}
	c := config.Config{
		Account: known(stack.Account(), ""), Region: known(stack.Region(), ""), Registry: known(p.RegistryURL,
			"https://registry.example.com"),
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
		n.Subnets, n.SecurityGroups, n.NoProxy = allKnown(n.Subnets, "subnet-"), allKnown(n.SecurityGroups, "sg-"),
			allKnown(n.NoProxy, "host")
		c.Network = &n
	}
	return config.CheckShared(where, c)
}

// known is a text, or another one if there is none, or if it is a token or the only entry of a list
// that is one.
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

// orDefault is a duration of the CDK as one of Go.
func orDefault(d awscdk.Duration, or time.Duration) time.Duration {
	if d == nil {
		return or
	}
	return time.Duration(*d.ToSeconds(nil)) * time.Second
}

// KeyRotation is created by [NewKeyRotation].
type KeyRotation interface {
	constructs.Construct

	// Rotate rotates the key in a secret. It creates the rotation schedule in the stack of the
	// secret, which from then on depends on the stack of the functions; they depend on no secret.
	// It writes the settings as tags on the secret; for an imported secret, `quilt-rotate adopt`
	// writes them. It returns the schedule, or nil if the secret is retired. It panics if the
	// options break a rule.
	Rotate(secret awssecretsmanager.ISecret, options *RotateOptions) awssecretsmanager.CfnRotationSchedule
	// RotateFunction rotates the keys in secrets; the rotation of a secret calls it.
	RotateFunction() awslambda.IFunction
	// RevokeFunction sweeps a secret.
	RevokeFunction() awslambda.IFunction
	// SweepMachine sweeps all secrets in each execution.
	SweepMachine() awsstepfunctions.IStateMachine
	// Topic receives the alarms, and the events that need a person.
	Topic() awssns.ITopic
	// DashboardName is the name of the dashboard.
	DashboardName() *string
}

type keyRotation struct {
	constructs.Construct
	props  KeyRotationProps
	keys   []config.Key
	taken  map[string]string // secrets, and the constructs that have them
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

// Time-outs. Each step has most of its function's for its requests and their retries: the functions
// keep two seconds to report in. Both are far below the 15 minutes after which a key that no
// version holds counts as an orphan.
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
	// the command finds it by this
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

// name is the common part of the names of alarms and dashboard. Two constructs in one stack have
// different ones.
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

// Package stack makes the stack of a configuration: the constructs of package keyrotation, named queries for the registry's audit trail, and the outputs
// that say how to go on.
package stack

import (
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/config"
	"quilt-rotate/infra/keyrotation"
)

// Packages are the paths of the functions' zips.
type Packages struct{ Rotate, Revoke string }

// New makes the stack.
func New(scope constructs.Construct, c *config.Config, packages Packages) awscdk.Stack {
	stack := awscdk.NewStack(scope, jsii.String(c.Stack), &awscdk.StackProps{
		StackName: jsii.String(c.Stack), Description: jsii.String("Rotates the API keys of the Quilt registry " + c.Registry),
		Env: &awscdk.Environment{Account: jsii.String(c.Account), Region: jsii.String(c.Region)}, TerminationProtection: jsii.Bool(c.TerminationProtection),
	})
	tag(stack, c)
	rotation := keyrotation.NewKeyRotation(stack, jsii.String("KeyRotation"), props(stack, c, packages))
	for i := range c.Keys {
		addKey(stack, c, rotation, &c.Keys[i], false)
	}
	for i := range c.Retired {
		addKey(stack, c, rotation, &c.Retired[i], true)
	}
	addQueries(stack, c)
	output(stack, "RotateFunction", "The function that Secrets Manager calls", *rotation.RotateFunction().FunctionName())
	output(stack, "RevokeFunction", "The function that sweeps a secret", *rotation.RevokeFunction().FunctionName())
	output(stack, "AlarmTopic", "Where the alarms go", *rotation.TopicArn())
	output(stack, "Dashboard", "How the keys are", console(c.Region)+"/cloudwatch/home?region="+c.Region+"#dashboards:name="+*rotation.DashboardName())
	return stack
}

// console is where the AWS console of a region is.
func console(region string) string {
	if config.PartitionOf(region) == "aws-us-gov" {
		return "https://console.amazonaws-us-gov.com"
	}
	return "https://" + region + ".console.aws.amazon.com"
}

func tag(stack awscdk.Stack, c *config.Config) {
	tags := c.StackTags()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		awscdk.Tags_Of(stack).Add(jsii.String(name), jsii.String(tags[name]), nil)
	}
}

func props(stack awscdk.Stack, c *config.Config, packages Packages) *keyrotation.KeyRotationProps {
	p := &keyrotation.KeyRotationProps{
		IssuerArns:  c.Issuers,
		RegistryURL: jsii.String(c.Registry), RotateZip: jsii.String(packages.Rotate), RevokeZip: jsii.String(packages.Revoke),
		Network: c.Network, PermissionsBoundary: optional(c.PermissionsBoundary), KMSKey: jsii.String(c.KMSKey),
		AlarmEmail: optional(c.Alarms.Email),
		Sweep:      time.Duration(c.Sweep), OrphanAge: time.Duration(c.OrphanAge), LogLevel: jsii.String(c.LogLevel), LogRetentionDays: jsii.Number(float64(c.LogRetentionDays)),
	}
	if c.Alarms.Topic != "" {
		p.AlarmTopic = awssns.Topic_FromTopicArn(stack, jsii.String("AlarmTopicByArn"), jsii.String(c.Alarms.Topic))
	}
	if c.CABundleBytes() != nil {
		p.CABundlePath = jsii.String(bundle.CABundlePath)
	}
	return p
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// addKey makes one key. Its logical ids follow from its secret's name alone, so that it stays the same resource whatever else the file says.
func addKey(stack awscdk.Stack, c *config.Config, rotation keyrotation.KeyRotation, key *config.Key, retired bool) {
	id := config.KeyID(key.SecretName())
	keyrotation.NewRotatedKey(stack, jsii.String(id), &keyrotation.RotatedKeyProps{
		Rotation: rotation, Key: *key, Retired: retired,
	})
	switch {
	case retired:
	case key.Secret != "":
		output(stack, id+"Next", "Run before the first deployment, and again when the settings here change: it writes the tags, which CloudFormation cannot on a secret that is there", Adopt(c, key))
	default:
		output(stack, id+"Next", "Run this once: it puts the first key in", Bootstrap(c, key))
	}
}

func output(stack awscdk.Stack, id, description, value string) {
	awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{Description: jsii.String(description), Value: jsii.String(value)})
}

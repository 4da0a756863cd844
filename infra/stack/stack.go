// Package stack creates the stack of a configuration file: the construct of package keyrotation,
// the secrets that the file names, named queries for the audit trail of the registry, and outputs
// that say what to do next.
package stack

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/config"
	"quilt-rotate/infra/keyrotation"
)

// Packages are the paths of the functions' zips.
type Packages struct{ Rotate, Revoke string }

// New creates the stack.
func New(scope constructs.Construct, c *config.Config, packages Packages) awscdk.Stack {
	stack := awscdk.NewStack(scope, jsii.String(c.Stack), &awscdk.StackProps{
		StackName:             jsii.String(c.Stack),
		Description:           jsii.String("Rotates the API keys of the Quilt registry " + c.Registry),
		Env:                   &awscdk.Environment{Account: jsii.String(c.Account), Region: jsii.String(c.Region)},
		TerminationProtection: jsii.Bool(c.TerminationProtection),
	})
	tags := c.StackTags()
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		awscdk.Tags_Of(stack).Add(jsii.String(name), jsii.String(tags[name]), nil)
	}
	rotation := keyrotation.NewKeyRotation(stack, jsii.String("KeyRotation"), props(stack, c, packages))
	kmsKey := kmsKeyOf(stack, rotation, c)
	for path, key := range c.All() {
		addKey(stack, c, rotation, kmsKey, key, strings.HasPrefix(path, "retired"))
	}
	addQueries(stack, c)
	publish(stack, c, "Rotate", "The function that rotates keys: the rotation of a secret calls it",
		rotation.RotateFunction())
	publish(stack, c, "Revoke", "The function that sweeps a secret", rotation.RevokeFunction())
	output(stack, "AlarmTopic", "The topic of the alarms", *rotation.Topic().TopicArn())
	output(stack, "Dashboard", "The state of the keys", console(c.Region)+"/cloudwatch/home?region="+c.Region+
		"#dashboards:name="+*rotation.DashboardName())
	return stack
}

// console returns the URL of the AWS console of a region.
func console(region string) string {
	if config.PartitionOf(region) == "aws-us-gov" {
		return "https://console.amazonaws-us-gov.com"
	}
	return "https://" + region + ".console.aws.amazon.com"
}

func props(stack awscdk.Stack, c *config.Config, packages Packages) *keyrotation.KeyRotationProps {
	p := &keyrotation.KeyRotationProps{
		RegistryURL: jsii.String(c.Registry), IssuerArns: c.Issuers,
		RotateZip: jsii.String(packages.Rotate), RevokeZip: jsii.String(packages.Revoke),
		Network: c.Network, PermissionsBoundary: optional(c.PermissionsBoundary), AlarmEmail: optional(c.Alarms.Email),
		Sweep: duration(&c.Sweep), OrphanAge: duration(&c.OrphanAge),
		LogLevel: jsii.String(c.LogLevel), LogRetentionDays: jsii.Number(float64(c.LogRetentionDays)),
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

// publish writes the ARN of a function to an output and an SSM parameter, where other stacks and
// tools read it.
func publish(stack awscdk.Stack, c *config.Config, name, description string, function awslambda.IFunction) {
	output(stack, name+"Function", description, *function.FunctionName())
	output(stack, name+"FunctionArn", "ARN of that function", *function.FunctionArn())
	awsssm.NewStringParameter(stack, jsii.String(name+"FunctionParameter"), &awsssm.StringParameterProps{
		ParameterName: jsii.String("/quilt-rotate/" + c.Stack + "/" + strings.ToLower(name) + "-function-arn"),
		Description:   jsii.String(description), StringValue: function.FunctionArn(),
	})
}

func output(stack awscdk.Stack, id, description, value string) {
	awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{Description: jsii.String(description),
		Value: jsii.String(value)})
}

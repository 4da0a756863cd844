package stack_test

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"
)

// NewPipelineStack creates a stack with a secret that a deployed stack of quilt-rotate rotates.
func NewPipelineStack(app awscdk.App) awscdk.Stack {
	stack := awscdk.NewStack(app, jsii.String("pipeline"), nil)

	secret := awssecretsmanager.NewSecret(stack, jsii.String("Secret"), &awssecretsmanager.SecretProps{
		SecretName:        jsii.String("prod/pipeline"),
		Description:       jsii.String("API key of the Quilt registry, rotated by quilt-rotate"),
		SecretStringValue: awscdk.SecretValue_UnsafePlainText(jsii.String("{}")), // no key yet; never change it
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
	})
	awscdk.Tags_Of(secret).Add(jsii.String("quilt-rotate:registry"), jsii.String("https://registry.example.com"), nil)

	function := awsssm.StringParameter_ValueForStringParameter(stack,
		jsii.String("/quilt-rotate/quilt-rotate-prod/rotate-function-arn"), nil)
	awssecretsmanager.NewCfnRotationSchedule(stack, jsii.String("Rotation"),
		&awssecretsmanager.CfnRotationScheduleProps{
			SecretId:                  secret.SecretArn(),
			RotationLambdaArn:         function,
			RotateImmediatelyOnUpdate: jsii.Bool(false),
			RotationRules: &awssecretsmanager.CfnRotationSchedule_RotationRulesProperty{
				ScheduleExpression: jsii.String("cron(0 4 ? * 1#1 *)"),
				Duration:           jsii.String("2h"),
			},
		})
	return stack
}

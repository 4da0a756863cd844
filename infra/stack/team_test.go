package stack_test

import (
	"path/filepath"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
)

func TestTheDeploymentOfATeamsStackDoesNotRotate(t *testing.T) {
	// The code is that of docs/tools/cdk.md. It creates a secret without a key, and a schedule that
	// calls the deployed function.
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(filepath.Join(t.TempDir(), "cdk.out"))})
	template := assertions.Template_FromStack(NewPipelineStack(app), nil)
	parameter := template.FindParameters(jsii.String("*"), map[string]any{
		"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/quilt-rotate/quilt-rotate-prod/rotate-function-arn",
	})
	for id := range *parameter {
		template.HasResourceProperties(jsii.String("AWS::SecretsManager::RotationSchedule"), map[string]any{
			"RotationLambdaARN": map[string]any{"Ref": id}, "RotateImmediatelyOnUpdate": false,
			"RotationRules": map[string]any{"ScheduleExpression": "cron(0 4 ? * 1#1 *)", "Duration": "2h"},
		})
	}
	if len(*parameter) != 1 {
		t.Errorf("the stack reads the function's ARN from %d parameters, want 1", len(*parameter))
	}
	template.HasResourceProperties(jsii.String("AWS::SecretsManager::Secret"), map[string]any{
		"Name": "prod/pipeline", "SecretString": "{}",
		"Tags": []any{map[string]any{"Key": "quilt-rotate:registry", "Value": "https://registry.example.com"}},
	})
	template.ResourceCountIs(jsii.String("AWS::SecretsManager::ResourcePolicy"), jsii.Number(0))
}

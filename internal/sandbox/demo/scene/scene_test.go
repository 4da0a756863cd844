package scene_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/settings"
)

func open(t *testing.T) *scene.Scene {
	t.Helper()
	built, err := scene.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := scene.Open(scene.Options{Functions: built})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSceneIsDeployedAsAStackIs(t *testing.T) {
	// Commands that are tried on a scene find both functions, their permissions and their logs, as
	// in a stack.
	s := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	key, err := s.MakeKey(ctx, "first")
	if err != nil {
		t.Fatal(err)
	}
	arn, err := s.StoreSecret(ctx, scene.SecretName, key.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ConfigureRotation(ctx, arn); err != nil {
		t.Fatal(err)
	}

	anybody := credentials.NewStaticCredentialsProvider(sandbox.AccessKeyID, sandbox.SecretAccessKey, "")
	functions := lambda.New(lambda.Options{Region: sandbox.Region, BaseEndpoint: aws.String(s.AWSURL),
		Credentials: anybody})
	rotate, err := functions.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(s.RotateARN)})
	if err != nil {
		t.Fatal(err)
	}
	revoke := rotate.Tags[settings.TagRevokeFunction]
	if _, err := functions.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(revoke)}); err != nil {
		t.Errorf("the tag names the revoke function %q: %v", revoke, err)
	}
	policy, err := functions.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: aws.String(s.RotateARN)})
	if err != nil || !strings.Contains(aws.ToString(policy.Policy), `"AWS:SourceAccount":"`+sandbox.Account+`"`) {
		t.Errorf("the policy is %+v, %v", policy, err)
	}

	logs := cloudwatchlogs.New(cloudwatchlogs.Options{Region: sandbox.Region, BaseEndpoint: aws.String(s.AWSURL),
		Credentials: anybody})
	found, err := logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName:  rotate.Configuration.LoggingConfig.LogGroup,
		FilterPattern: aws.String(`{ $.step = "testSecret" && $.level = "INFO" }`),
	})
	if err != nil || len(found.Events) == 0 {
		t.Errorf("in %s the step is not found: %v\n%v", aws.ToString(rotate.Configuration.LoggingConfig.LogGroup), err,
			s.Lambda.Logs(sandbox.RotateFunction))
	}
}

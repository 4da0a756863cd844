package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	functions "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/wire"
)

const secret = "prod/quilt"

// A user has AWS clients that are configured only by the environment variables of the sandbox.
type user struct {
	*sandbox.Sandbox
	secrets   *secretsmanager.Client
	functions *functions.Client
	logs      *cloudwatchlogs.Client
	services  *ecs.Client
	identity  *sts.Client
}

func TestMain(m *testing.M) {
	hermetic.Clear()
	os.Exit(m.Run())
}

// start starts a sandbox with a secret, the ECS service prod/api, and the function "rotate". The
// function has run once.
func start(t *testing.T) *user {
	t.Helper()
	s, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, export := range s.Exports() {
		t.Setenv(export[0], export[1])
	}
	c, err := config.LoadDefaultConfig(t.Context(), config.WithRetryMaxAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	u := &user{s, secretsmanager.NewFromConfig(c), functions.NewFromConfig(c), cloudwatchlogs.NewFromConfig(c),
		ecs.NewFromConfig(c), sts.NewFromConfig(c)}
	if _, err := s.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(secret),
		SecretString: aws.String("v1")}); err != nil {
		t.Fatal(err)
	}
	handler := lambda.NewHandler(func(context.Context) (string, error) { return "done", nil })
	if _, err := s.Lambda.Add(awslambda.Config{Name: "rotate", Handler: handler,
		Tags: map[string]string{"team": "data"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Lambda.Invoke(t.Context(), "rotate", nil); err != nil {
		t.Fatal(err)
	}
	s.Services.AddService("prod", "api", nil)
	return u
}

// calls returns calls of all services, by the IAM action. Each call returns a part of its answer.
func (u *user) calls(ctx context.Context) map[string]func() (string, error) {
	return map[string]func() (string, error){
		"secretsmanager:GetSecretValue": func() (string, error) {
			out, err := u.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(secret)})
			if err != nil {
				return "", err
			}
			return aws.ToString(out.SecretString), nil
		},
		"lambda:InvokeFunction": func() (string, error) {
			out, err := u.functions.Invoke(ctx, &functions.InvokeInput{FunctionName: aws.String("rotate")})
			if err != nil {
				return "", err
			}
			return string(out.Payload), nil
		},
		"lambda:ListTags": func() (string, error) {
			out, err := u.functions.ListTags(ctx,
				&functions.ListTagsInput{Resource: aws.String("arn:aws:lambda:us-east-1:123456789012:function:rotate")})
			if err != nil {
				return "", err
			}
			return out.Tags["team"], nil
		},
		"lambda:GetFunction": func() (string, error) {
			out, err := u.functions.GetFunction(ctx, &functions.GetFunctionInput{FunctionName: aws.String("rotate")})
			if err != nil {
				return "", err
			}
			return out.Tags["team"] + " " + string(out.Configuration.State), nil
		},
		"logs:FilterLogEvents": func() (string, error) {
			out, err := u.logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
				LogGroupName: aws.String("/aws/lambda/rotate"), FilterPattern: aws.String("START"),
				StartTime: aws.Int64(time.Now().Add(-time.Minute).UnixMilli()),
			})
			if err != nil || len(out.Events) == 0 {
				return "", err
			}
			return strings.Fields(aws.ToString(out.Events[0].Message))[0], nil
		},
		"ecs:UpdateService": func() (string, error) {
			out, err := u.services.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("prod"),
				Service: aws.String("api"), ForceNewDeployment: true})
			if err != nil {
				return "", err
			}
			return aws.ToString(out.Service.ServiceName), nil
		},
		"sts:GetCallerIdentity": func() (string, error) {
			out, err := u.identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			if err != nil {
				return "", err
			}
			return aws.ToString(out.Arn), nil
		},
	}
}

var answers = map[string]string{
	"secretsmanager:GetSecretValue": "v1", "lambda:InvokeFunction": `"done"`, "lambda:ListTags": "data",
	"lambda:GetFunction":   "data Active",
	"logs:FilterLogEvents": "START", "ecs:UpdateService": "api",
	"sts:GetCallerIdentity": "arn:aws:iam::123456789012:user/sandbox",
}

// check makes all calls. It checks that the calls in refused fail with these error codes, and that
// the others succeed.
func (u *user) check(t *testing.T, refused map[string]string) {
	t.Helper()
	for action, call := range u.calls(t.Context()) {
		got, err := call()
		code, isRefused := refused[action]
		var refusal smithy.APIError
		switch {
		case !isRefused && (err != nil || got != answers[action]):
			t.Errorf("%s: got %q, %v, want %q", action, got, err, answers[action])
		case isRefused && (!errors.As(err, &refusal) || refusal.ErrorCode() != code || refusal.ErrorMessage() == ""):
			t.Errorf("%s: got the error %v, want %s", action, err, code)
		}
	}
}

func TestOneEndpointServesAllClients(t *testing.T) {
	// The operators' command finds the sandbox only by AWS_ENDPOINT_URL.
	u := start(t)
	u.Clock.Advance(40 * 24 * time.Hour)
	u.check(t, nil)
}

func TestExpiredCredentials(t *testing.T) {
	// Each AWS service refuses in its own protocol. The registry does not use AWS credentials.
	u := start(t)
	expired := map[string]string{}
	for action := range answers {
		expired[action] = "ExpiredTokenException"
	}
	expired["sts:GetCallerIdentity"] = "ExpiredToken"
	restore := u.Hooks.Set(sandbox.ExpiredToken)
	u.check(t, expired)
	if n := u.Services.Redeployments("prod", "api"); n != 0 {
		t.Errorf("a refused call started %d deployments", n)
	}
	answer, err := http.Get(u.RegistryURL + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusOK {
		t.Errorf("the registry answers %s, want 200", answer.Status)
	}
	restore()
	u.check(t, nil)
}

func TestDeniedActions(t *testing.T) {
	// The error has the IAM action. Other actions are not refused.
	u := start(t)
	for action := range answers {
		code := "AccessDeniedException"
		if action == "sts:GetCallerIdentity" {
			code = "AccessDenied"
		}
		restore := u.Hooks.Set(sandbox.AccessDenied(action, "ecs:DescribeServices"))
		u.check(t, map[string]string{action: code})
		_, err := u.calls(t.Context())[action]()
		if err == nil || !strings.Contains(err.Error(), "arn:aws:iam::123456789012:user/sandbox is not authorized to "+
			"perform: "+action) {
			t.Errorf("%s: got the error %v, want one with the user and the action", action, err)
		}
		restore()
	}
}

func TestHooksGetTheServiceOfACall(t *testing.T) {
	// A hook can then inject a fault into one service.
	u := start(t)
	for action, call := range u.calls(t.Context()) {
		var got string
		restore := u.Hooks.Set(func(c *wire.Call, next func()) { got = c.Service; next() })
		if _, err := call(); err != nil || got != strings.Split(action, ":")[0] {
			t.Errorf("%s: got a call of the service %q, %v", action, got, err)
		}
		restore()
	}
}

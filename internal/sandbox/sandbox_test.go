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

// A user is somebody with a shell in which the sandbox's Exports are set, and nothing else of AWS.
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

// start starts a sandbox that has a secret, the function "rotate", which has run once, and the ECS
// service prod/api.
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

// calls are one call of each service, by the name of its action. Each tells what it got.
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

// check makes every call, and demands that the named ones are refused and the others answered.
func (u *user) check(t *testing.T, refused map[string]string) {
	t.Helper()
	for action, call := range u.calls(t.Context()) {
		got, err := call()
		code, isRefused := refused[action]
		var refusal smithy.APIError
		switch {
		case !isRefused && (err != nil || got != answers[action]):
			t.Errorf("%s got %q, %v, want %q", action, got, err, answers[action])
		case isRefused && (!errors.As(err, &refusal) || refusal.ErrorCode() != code || refusal.ErrorMessage() == ""):
			t.Errorf("%s got %v, want %s", action, err, code)
		}
	}
}

func TestOneEndpointServesEveryClient(t *testing.T) {
	// Protects the command, which knows the sandbox by AWS_ENDPOINT_URL alone, and readers of logs
	// from a clock that was moved: the lines have real time.
	u := start(t)
	u.Clock.Advance(40 * 24 * time.Hour)
	u.check(t, nil)
}

func TestExpiredCredentials(t *testing.T) {
	// Protects the sentence for credentials that have expired: every service says so, in its own
	// protocol; the registry has others.
	u := start(t)
	expired := map[string]string{}
	for action := range answers {
		expired[action] = "ExpiredTokenException"
	}
	expired["sts:GetCallerIdentity"] = "ExpiredToken"
	restore := u.Hooks.Set(sandbox.ExpiredToken)
	u.check(t, expired)
	if n := u.Services.Redeployments("prod", "api"); n != 0 {
		t.Errorf("a refused call was carried out %d times", n)
	}
	answer, err := http.Get(u.RegistryURL + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusOK {
		t.Errorf("the registry answers %s", answer.Status)
	}
	restore()
	u.check(t, nil)
}

func TestDeniedActions(t *testing.T) {
	// Protects the sentence for a permission that is missing: the action is refused by the name
	// that a policy gives it, and no other one.
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
			t.Errorf("the refusal of %s says %v", action, err)
		}
		restore()
	}
}

func TestHooksKnowEachService(t *testing.T) {
	// Protects faults that are aimed at one service: a hook is told whose call it sees.
	u := start(t)
	for action, call := range u.calls(t.Context()) {
		var saw string
		restore := u.Hooks.Set(func(c *wire.Call, next func()) { saw = c.Service; next() })
		if _, err := call(); err != nil || saw != strings.Split(action, ":")[0] {
			t.Errorf("%s is seen as a call of %q, %v", action, saw, err)
		}
		restore()
	}
}

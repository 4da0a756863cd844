package awssts_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/sandbox/awssts"
)

func start(t testing.TB) (*sts.Client, string) {
	t.Helper()
	listener := httptest.NewServer(&awssts.Server{Account: "123456789012", User: "somebody"})
	t.Cleanup(listener.Close)
	return sts.New(sts.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(listener.URL), HTTPClient: listener.Client(),
		Retryer:     aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "unused", ""),
	}), listener.URL
}

func TestGetCallerIdentity(t *testing.T) {
	// Commands show whose credentials they use.
	client, _ := start(t)
	out, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(out.Account) != "123456789012" ||
		aws.ToString(out.Arn) != "arn:aws:iam::123456789012:user/somebody" || aws.ToString(out.UserId) == "" {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestOtherOperationsAreRefused(t *testing.T) {
	// The sandbox must not issue credentials.
	client, _ := start(t)
	_, err := client.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	var refusal smithy.APIError
	if !errors.As(err, &refusal) || refusal.ErrorCode() != "InvalidAction" {
		t.Errorf("got %v, want InvalidAction", err)
	}
}

func TestOperationReturnsItsName(t *testing.T) {
	// Tests select requests by the name of the operation.
	for body, want := range map[string]string{
		"Action=GetCallerIdentity&Version=2011-06-15": "GetCallerIdentity", "Version=2011-06-15": "POST /",
		"%": "POST /", "": "POST /",
	} {
		if got := awssts.Operation(httptest.NewRequest(http.MethodPost, "/", nil), []byte(body)); got != want {
			t.Errorf("Operation for body %q is %q, want %q", body, got, want)
		}
	}
}

func TestAWSCLIWorks(t *testing.T) {
	// People check with the AWS CLI whose credentials they use.
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED: STS with the AWS CLI: aws is not installed")
	}
	_, url := start(t)
	command := exec.CommandContext(t.Context(), cli, "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"),
		"AWS_ENDPOINT_URL=" + url, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=unused",
		"AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	if out, err := command.CombinedOutput(); err != nil ||
		strings.TrimSpace(string(out)) != "arn:aws:iam::123456789012:user/somebody" {
		t.Errorf("%v: %s", err, out)
	}
}

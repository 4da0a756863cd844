package managed_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

func open(t *testing.T, r *sandboxtest.Rig, secretID string) *managed.Secret {
	t.Helper()
	c := awsclient.New(aws.Config{
		Region: sandbox.Region, BaseEndpoint: &r.AWSURL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKeyID, sandbox.SecretAccessKey, ""),
	})
	s, err := managed.Open(t.Context(), c, secretID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deployAs sets the environment and the tags of the rotate function, as a deployment does.
func deployAs(t *testing.T, r *sandboxtest.Rig, environment, tags map[string]string) {
	t.Helper()
	_, err := r.Lambda.Add(awslambda.Config{Name: sandbox.RotateFunction, Handler: nothing{}, Environment: environment,
		Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAKeyIsNotSentToAnotherRegistry(t *testing.T) {
	// If the deployed function names a registry, another one is refused.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	deployAs(t, r, map[string]string{settings.EnvRegistryURL: r.RegistryURL}, nil)
	for given, refused := range map[string]bool{"": false, r.RegistryURL: false, r.RegistryURL + "/": false,
		"https://registry.elsewhere.example": true, "http://registry.elsewhere.example": true} {
		client, err := open(t, r, s.ARN).Registry(t.Context(), given, quilt.Options{})
		if (err != nil) != refused {
			t.Errorf("%q: got %v", given, err)
		}
		if err == nil && client.Host() != strings.TrimPrefix(r.RegistryURL, "http://") {
			t.Errorf("%q: got a client of %s", given, client.Host())
		}
	}
}

func TestAFunctionOfAnotherProgramIsRefused(t *testing.T) {
	// A function that names no registry is not a rotate function of quilt-rotate.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	deployAs(t, r, map[string]string{"DATABASE": "x"}, nil)
	_, err := open(t, r, s.ARN).Registry(t.Context(), r.RegistryURL, quilt.Options{})
	if err == nil || !strings.Contains(err.Error(), "is not one of quilt-rotate") || terminal.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestTheRotateFunctionsTagNamesTheRevokeFunction(t *testing.T) {
	// Another stack's revoke function must not sweep the secret, so the name is never guessed.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	deployAs(t, r, map[string]string{settings.EnvRegistryURL: r.RegistryURL}, nil)
	if name, err := open(t, r, s.ARN).Sweeper(t.Context()); err == nil || !strings.Contains(terminal.Hint(err),
		"--revoke-function") {
		t.Errorf("without a tag: got %q, %v", name, err)
	}
	deployAs(t, r, map[string]string{settings.EnvRegistryURL: r.RegistryURL},
		map[string]string{settings.TagRevokeFunction: "the-other"})
	if name, err := open(t, r, s.ARN).Sweeper(t.Context()); err != nil || name != "the-other" {
		t.Errorf("with a tag: got %q, %v", name, err)
	}
	named := open(t, r, s.ARN)
	named.RevokeFunction = "mine"
	if name, err := named.Sweeper(t.Context()); err != nil || name != "mine" {
		t.Errorf("named by the caller: got %q, %v", name, err)
	}
}

func TestTheTagNamesTheFieldOfTheKey(t *testing.T) {
	// A value may hold two keys.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	opened := open(t, r, s.ARN)
	current, ok := opened.Holder("AWSCURRENT")
	if !ok {
		t.Fatal("no version is current")
	}
	value, err := opened.Value(t.Context(), current.ID)
	if err != nil || value.Field() != apikey.DefaultField {
		t.Fatalf("reading the value: %v", err)
	}
	opened.Tags[settings.TagField] = "another"
	if _, err := opened.Value(t.Context(), current.ID); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("with a tag that names no field: got %v", err)
	}
}

// nothing is a Lambda function that does nothing.
type nothing struct{}

func (nothing) Invoke(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

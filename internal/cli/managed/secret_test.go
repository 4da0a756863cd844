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

// deployAs gives the rotate function an environment and tags, as a deployment does. What it does
// when it is called is the rig's.
func deployAs(t *testing.T, r *sandboxtest.Rig, environment, tags map[string]string) {
	t.Helper()
	_, err := r.Lambda.Add(awslambda.Config{Name: sandbox.RotateFunction, Handler: nobody{}, Environment: environment,
		Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAKeyIsShownToNoOtherRegistry(t *testing.T) {
	// Protects keys from a URL that somebody typed: where the deployed function names a registry,
	// another one is refused.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	deployAs(t, r, map[string]string{settings.EnvRegistryURL: r.RegistryURL}, nil)
	for given, refused := range map[string]bool{"": false, r.RegistryURL: false, r.RegistryURL + "/": false,
		"https://registry.elsewhere.example": true, "http://registry.elsewhere.example": true} {
		client, err := open(t, r, s.ARN).Registry(t.Context(), given, quilt.Options{})
		if (err != nil) != refused {
			t.Errorf("%q: %v", given, err)
		}
		if err == nil && client.Host() != strings.TrimPrefix(r.RegistryURL, "http://") {
			t.Errorf("%q leads to %s", given, client.Host())
		}
	}
}

func TestAFunctionThatIsNotOurs(t *testing.T) {
	// Protects other people's rotations: a function that names no registry is none of quilt-rotate,
	// and that is said.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	deployAs(t, r, map[string]string{"DATABASE": "x"}, nil)
	_, err := open(t, r, s.ARN).Registry(t.Context(), r.RegistryURL, quilt.Options{})
	if err == nil || !strings.Contains(err.Error(), "is not one of quilt-rotate") || terminal.Hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestTheSweeperIsFoundByTheRotateFunctionsTag(t *testing.T) {
	// Protects from a sweep by another stack's function: it is named by the tag, or by the caller,
	// and guessed never.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	deployAs(t, r, map[string]string{settings.EnvRegistryURL: r.RegistryURL}, nil)
	if name, err := open(t, r, s.ARN).Sweeper(t.Context()); err == nil || !strings.Contains(terminal.Hint(err),
		"--revoke-function") {
		t.Errorf("without a tag: %q, %v", name, err)
	}
	deployAs(t, r, map[string]string{settings.EnvRegistryURL: r.RegistryURL},
		map[string]string{settings.TagRevokeFunction: "the-other"})
	if name, err := open(t, r, s.ARN).Sweeper(t.Context()); err != nil || name != "the-other" {
		t.Errorf("with a tag: %q, %v", name, err)
	}
	named := open(t, r, s.ARN)
	named.RevokeFunction = "mine"
	if name, err := named.Sweeper(t.Context()); err != nil || name != "mine" {
		t.Errorf("named by the caller: %q, %v", name, err)
	}
}

func TestAValueIsTakenApartByItsTag(t *testing.T) {
	// Protects secrets with two keys in them: the tag says which one is ours.
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	opened := open(t, r, s.ARN)
	current, ok := opened.Holder("AWSCURRENT")
	if !ok {
		t.Fatal("nothing is current")
	}
	value, err := opened.Value(t.Context(), current.ID)
	if err != nil || value.Field() != apikey.DefaultField {
		t.Fatalf("the value: %v", err)
	}
	opened.Tags[settings.TagField] = "another"
	if _, err := opened.Value(t.Context(), current.ID); err == nil || !strings.Contains(err.Error(), "another") {
		t.Errorf("with a tag that names no field: %v", err)
	}
}

type nobody struct{}

func (nobody) Invoke(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

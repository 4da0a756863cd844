// Package cloud is AWS as the command's people use it: their credentials and region, the functions and their logs, and the calls about a secret that the
// functions never make (package vault has the others).
//
// Credentials, region and endpoints are the SDK's own chain: profiles, single sign-on, AWS_REGION, AWS_ENDPOINT_URL and all. Nothing here decides
// anything about a key, and nothing prints. What fails is told by [Explain] in the words of a person at a keyboard.
package awsclient

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"quilt-rotate/internal/awsconfig"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/vault"
)

// Cloud is one region of an account. It is safe for concurrent use.
type Cloud struct {
	Region string
	Vault  *vault.Vault

	secrets *secretsmanager.Client
	calls   calls
}

// Open finds region and credentials, and connects to nothing else. It fails where one of them is missing, or the credentials have expired.
func Open(ctx context.Context) (*Cloud, error) {
	c, err := awsconfig.Load(ctx, config.WithLogger(logging.Nop{})) // its warnings do not help an operator
	if err != nil {
		return nil, hint.With(err, "check ~/.aws/config, and the variables that begin with AWS_")
	}
	if c.Region == "" {
		return nil, hint.With(errors.New("no AWS region is set"), "set AWS_REGION, or `region` in your AWS profile")
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, noCredentials(ctx, err)
	}
	return New(c), nil
}

// New uses a configuration that is there.
func New(c aws.Config) *Cloud {
	secrets := awsconfig.SecretsManager(c)
	return &Cloud{Region: c.Region, Vault: vault.New(secrets), secrets: secrets, calls: newCalls(c)}
}

// Athena returns the operations that run queries.
func (c *Cloud) Athena() AthenaCalls { return c.calls.athena }

// Caller is who the credentials belong to.
type Caller struct{ Account, ARN string }

// Caller asks AWS whose the credentials are.
func (c *Cloud) Caller(ctx context.Context) (Caller, error) {
	out, err := c.calls.getCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, newError("ask whose the AWS credentials are", err)
	}
	return Caller{aws.ToString(out.Account), aws.ToString(out.Arn)}, nil
}

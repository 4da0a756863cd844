// Package awsclient makes the AWS calls of the operators' command: it finds credentials and the
// region, reads functions and their logs, and makes the calls to Secrets Manager that only the
// command needs. Package vault has the other calls to Secrets Manager.
//
// The AWS SDK finds credentials, region and endpoints: profiles, single sign-on, AWS_REGION,
// AWS_ENDPOINT_URL. This package decides nothing about keys and prints nothing. [Explain] rewords
// an AWS error for an operator.
package awsclient

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"quilt-rotate/internal/awsconfig"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Cloud is one region of an account. It is safe for concurrent use.
type Cloud struct {
	Region string
	Vault  *vault.Vault

	config  aws.Config
	secrets *secretsmanager.Client
	calls   calls
}

// attempts is how often a request is sent if AWS throttles it or does not answer. To read a
// thousand secrets, the SDK's default of three is not enough.
const attempts = 8

// Asker asks an operator for a line of text. terminal.Console is one.
type Asker interface {
	Ask(ctx context.Context, question string) (string, error)
	Interactive() bool
}

// Open finds the region and credentials. If the role of a profile requires an MFA code, it asks for
// the code. It fails if the region or credentials are missing, or if the credentials have expired.
func Open(ctx context.Context, person Asker) (*Cloud, error) {
	askCode := func(o *stscreds.AssumeRoleOptions) {
		o.TokenProvider = func() (string, error) {
			role := "the role " + redact.Clip(o.RoleARN, 200) + " of the AWS profile " +
				redact.Clip(cmp.Or(os.Getenv("AWS_PROFILE"), "default"), 100)
			if !person.Interactive() { // standard input may hold a key or a password
				err := errors.New(role + " needs an MFA code, and there is no terminal to ask for it")
				return "", terminal.WithHint(err, "run this at a terminal, or use credentials that need no code: aws "+
					"configure export-credentials")
			}
			return person.Ask(ctx, "MFA code of "+redact.Clip(aws.ToString(o.SerialNumber), 200)+" for "+role+":")
		}
	}
	c, err := awsconfig.Load(ctx, config.WithLogger(logging.Nop{}), // its warnings do not help an operator
		config.WithAssumeRoleCredentialOptions(askCode))
	if err != nil {
		return nil, terminal.WithHint(err, "check ~/.aws/config, and the variables that begin with AWS_")
	}
	if c.Region == "" {
		return nil, terminal.WithHint(errors.New("no AWS region is set"), "set AWS_REGION, or `region` in your AWS "+
			"profile")
	}
	if c.RetryMaxAttempts == 0 { // neither AWS_MAX_ATTEMPTS nor the profile sets it
		c.RetryMaxAttempts = attempts
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, noCredentials(ctx, err)
	}
	return New(c), nil
}

// New returns the clients of a configuration.
func New(c aws.Config) *Cloud {
	secrets := awsconfig.SecretsManager(c)
	return &Cloud{Region: c.Region, Vault: vault.New(secrets), config: c, secrets: secrets, calls: newCalls(c)}
}

// Athena returns the operations that run queries.
func (c *Cloud) Athena() AthenaCalls { return c.calls.athena }

// Caller is the principal of the credentials.
type Caller struct{ Account, ARN string }

// Caller asks AWS for the principal of the credentials.
func (c *Cloud) Caller(ctx context.Context) (Caller, error) {
	out, err := c.calls.getCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, newError("ask who the AWS credentials belong to", err)
	}
	return Caller{aws.ToString(out.Account), aws.ToString(out.Arn)}, nil
}

// Place is the account and region that a command works in.
type Place struct {
	Account string `json:"account,omitempty"` // its number; "" if it is not known
	Alias   string `json:"alias,omitempty"`   // of the account; "" if there is none, or the credentials may not list it
	Region  string `json:"region"`
}

func (p Place) String() string {
	account := cmp.Or(p.Account, "(not known)")
	if p.Alias != "" {
		account += " (" + redact.Clip(p.Alias, 100) + ")"
	}
	return "account " + account + ", region " + p.Region
}

// Place asks AWS for the account and its alias. If AWS does not answer, a field stays empty.
func (c *Cloud) Place(ctx context.Context) Place {
	p := Place{Region: c.Region}
	if caller, err := c.Caller(ctx); err == nil {
		p.Account = caller.Account
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // the alias helps a reader, and nothing depends on it
	defer cancel()
	out, err := c.calls.listAccountAliases(ctx, &iam.ListAccountAliasesInput{},
		func(o *iam.Options) { o.Retryer = aws.NopRetryer{} })
	if err == nil && len(out.AccountAliases) > 0 {
		p.Alias = out.AccountAliases[0]
	}
	return p
}

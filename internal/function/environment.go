//go:build !awsconfig

package function

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/settings"
)

// newSecretsManager makes the client from the variables that Lambda gives every function, its region and its role's credentials (AWS Lambda
// Developer Guide, "Defined runtime environment variables"), and from those of the SDK's own that say where and how to call. They mean here
// what they mean to the SDK (AWS SDKs and Tools Reference Guide, "Environment variables list").
//
// The SDK's whole configuration, with its profiles, SSO, STS and sign-in, is not linked: a cold start would take more than a third longer for
// what no function on Lambda uses (docs/performance.md). Where it is needed, the build tag awsconfig brings it (sdkconfig.go); a variable
// that only it understands is refused, not passed over.
func newSecretsManager(_ context.Context, lookup settings.Lookup) (*secretsmanager.Client, error) {
	e := environment{lookup: lookup}
	for _, name := range needSDKConfig {
		if e.text(name) != "" {
			e.fault(name, "is not understood by this build; unset it, or build with -tags awsconfig")
		}
	}
	options := secretsmanager.Options{
		Region:           e.region(),
		Credentials:      e.credentials(),
		BaseEndpoint:     e.endpoint(),
		RetryMode:        e.retryMode("AWS_RETRY_MODE"),
		RetryMaxAttempts: e.number("AWS_MAX_ATTEMPTS"),
		AppID:            e.text("AWS_SDK_UA_APP_ID"),
	}
	if e.yes("AWS_USE_FIPS_ENDPOINT") {
		options.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
	}
	if e.yes("AWS_USE_DUALSTACK_ENDPOINT") {
		options.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
	}
	if len(e.faults) > 0 {
		return nil, fmt.Errorf("the AWS configuration in the function's environment: %w", errors.Join(e.faults...))
	}
	return secretsmanager.New(options), nil
}

// needSDKConfig are the variables, of those that could change what the function sends, that only the SDK's whole configuration reads.
var needSDKConfig = []string{
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_CA_BUNDLE", "AWS_DEFAULTS_MODE", "AWS_AUTH_SCHEME_PREFERENCE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_DISABLE_CLOCK_SKEW_CORRECTION",
}

// environment reads variables and gathers their faults. A fault quotes no value: somebody may have put a credential into the wrong one.
type environment struct {
	lookup settings.Lookup
	faults []error
}

func (e *environment) fault(name, problem string) {
	e.faults = append(e.faults, &settings.Fault{Name: name, Problem: problem})
}

// text is the variable's value; one that is empty counts as not set, as for the SDK.
func (e *environment) text(name string) string {
	value, _ := e.lookup(name)
	return value
}

func (e *environment) first(names ...string) string {
	for _, name := range names {
		if value := e.text(name); value != "" {
			return value
		}
	}
	return ""
}

func (e *environment) region() string {
	region := e.first("AWS_REGION", "AWS_DEFAULT_REGION")
	if region == "" {
		e.fault("AWS_REGION", "is not set, although Lambda sets it for every function")
	}
	return region
}

func (e *environment) credentials() aws.CredentialsProvider {
	id, secret := e.text("AWS_ACCESS_KEY_ID"), e.text("AWS_SECRET_ACCESS_KEY")
	if id == "" || secret == "" {
		e.fault("AWS_ACCESS_KEY_ID", "or AWS_SECRET_ACCESS_KEY is not set, although Lambda sets both for every function; for credentials from elsewhere, build with -tags awsconfig")
	}
	return credentials.StaticCredentialsProvider{
		Value:  aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: e.text("AWS_SESSION_TOKEN")},
		Source: []aws.CredentialSource{aws.CredentialSourceEnvVars},
	}
}

func (e *environment) endpoint() *string {
	url := e.first("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL")
	if url == "" {
		return nil
	}
	return &url
}

func (e *environment) retryMode(name string) aws.RetryMode {
	text := e.text(name)
	if text == "" {
		return ""
	}
	mode, err := aws.ParseRetryMode(text)
	if err != nil {
		e.fault(name, "must be standard or adaptive")
	}
	return mode
}

func (e *environment) number(name string) int {
	text := e.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		e.fault(name, "must be a whole number")
	}
	return n
}

func (e *environment) yes(name string) bool {
	text := strings.ToLower(e.text(name))
	if text != "" && text != "true" && text != "false" {
		e.fault(name, "must be true or false")
	}
	return text == "true"
}

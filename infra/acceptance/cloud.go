package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/awsconfig"
	"quilt-rotate/internal/vault"
)

// cloud has clients for AWS with the configuration of the shell.
type cloud struct {
	config    aws.Config
	secrets   *secretsmanager.Client
	vault     *vault.Vault
	stacks    *cloudformation.Client
	logs      *cloudwatchlogs.Client
	functions *lambda.Client
	machines  *sfn.Client
}

func newCloud(c aws.Config) *cloud {
	secrets := awsconfig.SecretsManager(c)
	return &cloud{config: c, secrets: secrets, vault: vault.New(secrets), stacks: cloudformation.NewFromConfig(c),
		logs: cloudwatchlogs.NewFromConfig(c), functions: lambda.NewFromConfig(c), machines: sfn.NewFromConfig(c)}
}

func (c *cloud) account(ctx context.Context) (string, error) {
	me, err := sts.NewFromConfig(c.config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("ask which account the credentials belong to: %w", err)
	}
	return *me.Account, nil
}

// currentKey returns the key in AWSCURRENT of a secret.
func (c *cloud) currentKey(ctx context.Context, secretID string) (apikey.Key, error) {
	raw, err := c.vault.ReadCurrent(ctx, secretID)
	if err != nil {
		return apikey.Key{}, err
	}
	value, err := apikey.ParseValue(raw, "")
	return value.Key(), err
}

// A lambdaFunction is one of the two functions of a stack.
type lambdaFunction struct{ name, arn, role, logs string }

func (c *cloud) function(ctx context.Context, name string) (lambdaFunction, error) {
	got, err := c.functions.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name})
	if err != nil {
		return lambdaFunction{}, fmt.Errorf("ask for the function %s: %w", name, err)
	}
	f := lambdaFunction{*got.Configuration.FunctionName, *got.Configuration.FunctionArn,
		aws.ToString(got.Configuration.Role), "/aws/lambda/" + *got.Configuration.FunctionName}
	if l := got.Configuration.LoggingConfig; l != nil && aws.ToString(l.LogGroup) != "" {
		f.logs = *l.LogGroup
	}
	return f, nil
}

// invoke calls a function and returns its answer, which is an error document if it failed.
func (c *cloud) invoke(ctx context.Context, f lambdaFunction, event any) (answer string, failed bool, err error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return "", false, err
	}
	got, err := c.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &f.arn, Payload: payload})
	if err != nil {
		return "", false, fmt.Errorf("call the function %s: %w", f.name, err)
	}
	return string(got.Payload), got.FunctionError != nil, nil
}

// log returns the lines that a function has logged since the given time. A function that has not
// run may have no log group.
func (c *cloud) log(ctx context.Context, f lambdaFunction, since time.Time) (lines []logLine, err error) {
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(c.logs, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &f.logs, StartTime: aws.Int64(since.UnixMilli())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if notFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the log of the function %s: %w", f.name, err)
		}
		for _, event := range page.Events {
			if line, ok := parseLine(aws.ToString(event.Message), time.UnixMilli(aws.ToInt64(event.Timestamp))); ok {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

// parseLine parses a line that internal/telemetry wrote.
func parseLine(text string, at time.Time) (logLine, bool) {
	var l struct {
		Message    string `json:"message"`
		Step       string `json:"step"`
		Outcome    string `json:"outcome"`
		Secret     string `json:"secret"`
		Version    string `json:"version"`
		ErrorType  string `json:"errorType"`
		Error      string `json:"error"`
		DurationMs int64  `json:"durationMs"`
	}
	if json.Unmarshal([]byte(strings.TrimSpace(text)), &l) != nil || l.Message == "" {
		return logLine{}, false
	}
	return logLine{at, l.Message, l.Step, l.Outcome, l.Secret, l.Version, l.ErrorType, l.Error,
		time.Duration(l.DurationMs) * time.Millisecond}, true
}

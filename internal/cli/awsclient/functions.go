package awsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"quilt-rotate/internal/redact"
)

// Function is a Lambda function as it is deployed.
type Function struct {
	Name        string
	ARN         string
	State       string // "Active": it can be invoked
	StateReason string
	Timeout     time.Duration
	MemoryMB    int
	Environment map[string]string
	Tags        map[string]string
	Reserved    *int // concurrency; nil: it shares the account's
	VPC         bool // it runs in one
	LogGroup    string
}

// Function looks a function up, by name or ARN.
func (c *Cloud) Function(ctx context.Context, nameOrARN string) (Function, error) {
	out, err := c.calls.getFunction(ctx, &lambda.GetFunctionInput{FunctionName: &nameOrARN})
	if err != nil {
		return Function{}, newError("look at the function "+nameOrARN, err)
	}
	f := Function{Name: nameOrARN, Environment: map[string]string{}, Tags: out.Tags}
	if f.Tags == nil {
		f.Tags = map[string]string{}
	}
	if out.Concurrency != nil && out.Concurrency.ReservedConcurrentExecutions != nil {
		f.Reserved = aws.Int(int(*out.Concurrency.ReservedConcurrentExecutions))
	}
	if k := out.Configuration; k != nil {
		f.Name, f.ARN, f.State, f.StateReason = aws.ToString(k.FunctionName), aws.ToString(k.FunctionArn), string(k.State), aws.ToString(k.StateReason)
		f.Timeout, f.MemoryMB = time.Duration(aws.ToInt32(k.Timeout))*time.Second, int(aws.ToInt32(k.MemorySize))
		f.LogGroup = "/aws/lambda/" + f.Name // unless it is configured otherwise
		if k.LoggingConfig != nil && k.LoggingConfig.LogGroup != nil {
			f.LogGroup = *k.LoggingConfig.LogGroup
		}
		f.VPC = k.VpcConfig != nil && len(k.VpcConfig.SubnetIds) > 0
		if k.Environment != nil && k.Environment.Variables != nil {
			f.Environment = k.Environment.Variables
		}
	}
	return f, nil
}

// Permission is a statement of a function's policy: who may invoke it.
type Permission struct {
	Service       string // principal, such as secretsmanager.amazonaws.com
	SourceAccount string // "": the statement does not demand one
	SourceARN     string
}

// Permissions are those of services in a function's own policy; none if it has no policy.
func (c *Cloud) Permissions(ctx context.Context, nameOrARN string) ([]Permission, error) {
	out, err := c.calls.getPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &nameOrARN})
	if NotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, newError("look at the policy of the function "+nameOrARN, err)
	}
	return parsePolicy(aws.ToString(out.Policy))
}

func parsePolicy(document string) ([]Permission, error) {
	var policy struct {
		Statement []struct {
			Effect    string
			Principal json.RawMessage
			Condition map[string]map[string]string
		}
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		return nil, errors.New("the function's policy cannot be read")
	}
	var list []Permission
	for _, s := range policy.Statement {
		var principal struct{ Service string }
		if s.Effect != "Allow" || json.Unmarshal(s.Principal, &principal) != nil || principal.Service == "" {
			continue
		}
		p := Permission{Service: principal.Service}
		for _, condition := range s.Condition {
			for name, value := range condition {
				switch strings.ToLower(name) { // names of condition keys have no case (IAM user guide)
				case "aws:sourceaccount":
					p.SourceAccount = value
				case "aws:sourcearn":
					p.SourceARN = value
				}
			}
		}
		list = append(list, p)
	}
	return list, nil
}

// Concurrency is how many executions the account may have at once in the region.
func (c *Cloud) Concurrency(ctx context.Context) (int, error) {
	out, err := c.calls.getAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil {
		return 0, newError("look at the account's Lambda limits", err)
	}
	if out.AccountLimit == nil {
		return 0, errors.New("look at the account's Lambda limits: the answer has none")
	}
	return int(out.AccountLimit.ConcurrentExecutions), nil
}

var onlyThrottled = retry.NewStandard(func(o *retry.StandardOptions) {
	o.MaxAttempts = attempts
	o.Retryables = []retry.IsErrorRetryable{retry.RetryableErrorCode{Codes: map[string]struct{}{"TooManyRequestsException": {}}}}
})

// FunctionError is what a function that failed said. Type is the name that alarms and the runbook use.
type FunctionError struct {
	Function string
	Type     string
	Message  string
}

func (e *FunctionError) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("the function %s failed: %s", e.Function, e.Message)
	}
	return fmt.Sprintf("the function %s failed: %s: %s", e.Function, e.Type, e.Message)
}

// Invoke has a function handle an event, and waits for the answer. It fails with a [*FunctionError] if the function failed. The event is sent again only if
// Lambda refused it because of too many requests: then the function did not run. An event whose answer is lost is not sent again.
func (c *Cloud) Invoke(ctx context.Context, nameOrARN string, event any) (json.RawMessage, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	out, err := c.calls.invoke(ctx, &lambda.InvokeInput{FunctionName: &nameOrARN, InvocationType: types.InvocationTypeRequestResponse, Payload: payload},
		func(o *lambda.Options) { o.Retryer = onlyThrottled })
	if err != nil {
		return nil, newError("invoke the function "+nameOrARN, err)
	}
	if out.FunctionError == nil {
		return out.Payload, nil
	}
	var document struct{ ErrorType, ErrorMessage string }
	if json.Unmarshal(out.Payload, &document) != nil || document.ErrorMessage == "" {
		document.ErrorMessage = redact.Clip(string(out.Payload), 1000)
	}
	return nil, &FunctionError{nameOrARN, document.ErrorType, redact.Clip(document.ErrorMessage, 4000)}
}

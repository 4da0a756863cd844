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
	Role        string // ARN
	State       string // "Active" if it can be invoked
	StateReason string
	Timeout     time.Duration
	Environment map[string]string
	Tags        map[string]string
	Reserved    *int // reserved concurrency; nil if the function has none
	LogGroup    string
}

// Function describes a function, by name or ARN.
func (c *Cloud) Function(ctx context.Context, nameOrARN string) (Function, error) {
	out, err := c.calls.getFunction(ctx, &lambda.GetFunctionInput{FunctionName: &nameOrARN})
	if err != nil {
		return Function{}, newError("describe the function "+nameOrARN, err)
	}
	k := out.Configuration
	if k == nil {
		return Function{}, errors.New("describe the function " + nameOrARN + ": the answer has no configuration")
	}
	f := Function{
		Name: aws.ToString(k.FunctionName), ARN: aws.ToString(k.FunctionArn), Role: aws.ToString(k.Role),
		State: string(k.State), StateReason: aws.ToString(k.StateReason),
		Timeout: time.Duration(aws.ToInt32(k.Timeout)) * time.Second, Tags: out.Tags,
	}
	f.LogGroup = "/aws/lambda/" + f.Name // unless it is configured otherwise
	if k.LoggingConfig != nil && k.LoggingConfig.LogGroup != nil {
		f.LogGroup = *k.LoggingConfig.LogGroup
	}
	if k.Environment != nil {
		f.Environment = k.Environment.Variables
	}
	if out.Concurrency != nil && out.Concurrency.ReservedConcurrentExecutions != nil {
		f.Reserved = aws.Int(int(*out.Concurrency.ReservedConcurrentExecutions))
	}
	return f, nil
}

// Permission is a statement of a function's policy that lets a service invoke it.
type Permission struct {
	Service       string // principal, such as secretsmanager.amazonaws.com
	SourceAccount string // "" if the statement has no such condition
}

// Permissions returns the permissions of AWS services in a function's resource policy.
func (c *Cloud) Permissions(ctx context.Context, nameOrARN string) ([]Permission, error) {
	out, err := c.calls.getPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &nameOrARN})
	if NotFound(err) {
		return nil, nil // the function has no policy
	}
	if err != nil {
		return nil, newError("read the policy of the function "+nameOrARN, err)
	}
	var policy struct {
		Statement []struct {
			Effect    string
			Principal json.RawMessage // "*", or an object
			Condition map[string]map[string]string
		}
	}
	if err := json.Unmarshal([]byte(aws.ToString(out.Policy)), &policy); err != nil {
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
				// names of condition keys ignore case (IAM user guide)
				if strings.EqualFold(name, "aws:SourceAccount") {
					p.SourceAccount = value
				}
			}
		}
		list = append(list, p)
	}
	return list, nil
}

// Concurrency returns the limit of concurrent executions of the account in the region.
func (c *Cloud) Concurrency(ctx context.Context) (int, error) {
	out, err := c.calls.getAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil {
		return 0, newError("read the account's Lambda limits", err)
	}
	if out.AccountLimit == nil {
		return 0, errors.New("read the account's Lambda limits: the answer has none")
	}
	return int(out.AccountLimit.ConcurrentExecutions), nil
}

var onlyThrottled = retry.NewStandard(func(o *retry.StandardOptions) {
	o.MaxAttempts = attempts
	o.Retryables = []retry.IsErrorRetryable{
		retry.RetryableErrorCode{Codes: map[string]struct{}{"TooManyRequestsException": {}}}}
})

// FunctionError is the error of a function that failed. Type is the name that alarms and the
// runbook use.
type FunctionError struct{ Function, Type, Message string }

func (e *FunctionError) Error() string {
	return fmt.Sprintf("the function %s failed: %s", e.Function, strings.TrimPrefix(e.Type+": "+e.Message, ": "))
}

// Invoke sends an event to a function and returns its answer. It fails with a [*FunctionError] if
// the function failed. It sends the event again only if Lambda throttled the request, so that the
// function did not run. If the answer is lost, it does not send the event again.
func (c *Cloud) Invoke(ctx context.Context, nameOrARN string, event any) (json.RawMessage, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	out, err := c.calls.invoke(ctx, &lambda.InvokeInput{FunctionName: &nameOrARN,
		InvocationType: types.InvocationTypeRequestResponse, Payload: payload},
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

package awsclient

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// A call is one operation of a service.
//
// Operations are stored as functions, not as clients, because this makes the program a third
// smaller. The command line parser looks up methods by name, so the linker keeps all methods of
// each type that is reachable through an interface. With clients of these services, that would be
// 900 operations.
type call[In, Out, Options any] func(context.Context, *In, ...func(*Options)) (*Out, error)

// calls are the operations that the commands need, except those of Secrets Manager.
type calls struct {
	getFunction        call[lambda.GetFunctionInput, lambda.GetFunctionOutput, lambda.Options]
	getPolicy          call[lambda.GetPolicyInput, lambda.GetPolicyOutput, lambda.Options]
	getAccountSettings call[lambda.GetAccountSettingsInput, lambda.GetAccountSettingsOutput, lambda.Options]
	invoke             call[lambda.InvokeInput, lambda.InvokeOutput, lambda.Options]
	filterLogEvents    call[cloudwatchlogs.FilterLogEventsInput, cloudwatchlogs.FilterLogEventsOutput,
		cloudwatchlogs.Options]
	updateService      call[ecs.UpdateServiceInput, ecs.UpdateServiceOutput, ecs.Options]
	describeServices   describeServices
	getCallerIdentity  call[sts.GetCallerIdentityInput, sts.GetCallerIdentityOutput, sts.Options]
	listAccountAliases call[iam.ListAccountAliasesInput, iam.ListAccountAliasesOutput, iam.Options]
	athena             AthenaCalls
}

func newCalls(c aws.Config) calls {
	functions, services := lambda.NewFromConfig(c), ecs.NewFromConfig(c)
	return calls{
		getFunction: functions.GetFunction, getPolicy: functions.GetPolicy,
		getAccountSettings: functions.GetAccountSettings, invoke: functions.Invoke,
		filterLogEvents: cloudwatchlogs.NewFromConfig(c).FilterLogEvents,
		updateService:   services.UpdateService, describeServices: services.DescribeServices,
		getCallerIdentity: sts.NewFromConfig(c).GetCallerIdentity, listAccountAliases: iam.NewFromConfig(
			c).ListAccountAliases,
		athena: NewAthenaCalls(athena.NewFromConfig(c)),
	}
}

// describeServices has the method that the SDK's waiter calls.
type describeServices call[ecs.DescribeServicesInput, ecs.DescribeServicesOutput, ecs.Options]

func (f describeServices) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	return f(ctx, in, options...)
}

// AthenaCalls are the operations of Athena that run queries (package trail/runner).
type AthenaCalls struct {
	StartQueryExecution call[athena.StartQueryExecutionInput, athena.StartQueryExecutionOutput, athena.Options]
	GetQueryExecution   call[athena.GetQueryExecutionInput, athena.GetQueryExecutionOutput, athena.Options]
	GetQueryResults     call[athena.GetQueryResultsInput, athena.GetQueryResultsOutput, athena.Options]
	StopQueryExecution  call[athena.StopQueryExecutionInput, athena.StopQueryExecutionOutput, athena.Options]
}

// NewAthenaCalls takes the operations from a client.
func NewAthenaCalls(c *athena.Client) AthenaCalls {
	return AthenaCalls{c.StartQueryExecution, c.GetQueryExecution, c.GetQueryResults, c.StopQueryExecution}
}

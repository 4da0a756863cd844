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
// Operations are kept as functions, not as clients. The parser of the command line looks up methods by name, so the linker keeps all methods of each type
// that is reachable as an interface. With the clients of these services, that is some 900 operations and a third of the program.
type call[In, Out, Options any] func(context.Context, *In, ...func(*Options)) (*Out, error)

// calls are the operations that an operator's command needs, apart from those of Secrets Manager.
type calls struct {
	getFunction        call[lambda.GetFunctionInput, lambda.GetFunctionOutput, lambda.Options]
	getPolicy          call[lambda.GetPolicyInput, lambda.GetPolicyOutput, lambda.Options]
	getAccountSettings call[lambda.GetAccountSettingsInput, lambda.GetAccountSettingsOutput, lambda.Options]
	invoke             call[lambda.InvokeInput, lambda.InvokeOutput, lambda.Options]
	filterLogEvents    filterLogEvents
	updateService      call[ecs.UpdateServiceInput, ecs.UpdateServiceOutput, ecs.Options]
	describeServices   describeServices
	getCallerIdentity  call[sts.GetCallerIdentityInput, sts.GetCallerIdentityOutput, sts.Options]
	listAccountAliases call[iam.ListAccountAliasesInput, iam.ListAccountAliasesOutput, iam.Options]
	athena             AthenaCalls
}

func newCalls(c aws.Config) calls {
	functions, logs, services, queries := lambda.NewFromConfig(c), cloudwatchlogs.NewFromConfig(c), ecs.NewFromConfig(c), athena.NewFromConfig(c)
	return calls{
		getFunction: functions.GetFunction, getPolicy: functions.GetPolicy, getAccountSettings: functions.GetAccountSettings, invoke: functions.Invoke,
		filterLogEvents: logs.FilterLogEvents,
		updateService:   services.UpdateService, describeServices: services.DescribeServices,
		getCallerIdentity: sts.NewFromConfig(c).GetCallerIdentity, listAccountAliases: iam.NewFromConfig(c).ListAccountAliases,
		athena: AthenaCalls{queries.StartQueryExecution, queries.GetQueryExecution, queries.GetQueryResults, queries.StopQueryExecution},
	}
}

// The SDK's paginators and waiters take an interface with one method.
type (
	filterLogEvents  call[cloudwatchlogs.FilterLogEventsInput, cloudwatchlogs.FilterLogEventsOutput, cloudwatchlogs.Options]
	describeServices call[ecs.DescribeServicesInput, ecs.DescribeServicesOutput, ecs.Options]
)

func (f filterLogEvents) FilterLogEvents(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput, options ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	return f(ctx, in, options...)
}

func (f describeServices) DescribeServices(ctx context.Context, in *ecs.DescribeServicesInput, options ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error) {
	return f(ctx, in, options...)
}

// AthenaCalls are the operations of Athena that run queries (package trail/runner).
type AthenaCalls struct {
	start   call[athena.StartQueryExecutionInput, athena.StartQueryExecutionOutput, athena.Options]
	get     call[athena.GetQueryExecutionInput, athena.GetQueryExecutionOutput, athena.Options]
	results call[athena.GetQueryResultsInput, athena.GetQueryResultsOutput, athena.Options]
	stop    call[athena.StopQueryExecutionInput, athena.StopQueryExecutionOutput, athena.Options]
}

// StartQueryExecution starts a query.
func (c AthenaCalls) StartQueryExecution(ctx context.Context, in *athena.StartQueryExecutionInput, options ...func(*athena.Options)) (*athena.StartQueryExecutionOutput, error) {
	return c.start(ctx, in, options...)
}

// GetQueryExecution reads the state of a query.
func (c AthenaCalls) GetQueryExecution(ctx context.Context, in *athena.GetQueryExecutionInput, options ...func(*athena.Options)) (*athena.GetQueryExecutionOutput, error) {
	return c.get(ctx, in, options...)
}

// GetQueryResults reads a page of results.
func (c AthenaCalls) GetQueryResults(ctx context.Context, in *athena.GetQueryResultsInput, options ...func(*athena.Options)) (*athena.GetQueryResultsOutput, error) {
	return c.results(ctx, in, options...)
}

// StopQueryExecution stops a query.
func (c AthenaCalls) StopQueryExecution(ctx context.Context, in *athena.StopQueryExecutionInput, options ...func(*athena.Options)) (*athena.StopQueryExecutionOutput, error) {
	return c.stop(ctx, in, options...)
}

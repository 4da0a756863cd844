package keyrotation

import (
	_ "embed"
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/settings"
)

// sweepsDefinition is the state machine that sweeps all managed secrets. The scheduler starts each
// run at least once, so two runs at the same time are normal and do no harm.
//
//go:embed sweeps.asl.json
var sweepsDefinition string

// eventSource is the source of the events that the state machine puts on the default bus.
const eventSource = "quilt-rotate"

// newSweeps creates the state machine, the schedule that starts its runs, and the rule that sends
// events that need a person to the topic.
func (k *keyRotation) newSweeps() {
	role := k.newRole("SweepsRole", "states.amazonaws.com", "Quilt key rotation: runs the sweeps", k.fromHere())
	k.sweeps = awsstepfunctions.NewStateMachine(k, jsii.String("SweepMachine"), &awsstepfunctions.StateMachineProps{
		DefinitionBody: awsstepfunctions.DefinitionBody_FromString(&sweepsDefinition), Role: role,
		DefinitionSubstitutions: &map[string]*string{
			"Partition":         jsii.String(k.partition()),
			"RotateFunctionArn": k.rotate.FunctionArn(), "RevokeFunctionArn": k.revoke.FunctionArn(),
		},
	})
	accept(k.sweeps.Node().DefaultChild().(awscdk.CfnResource),
		accepted{rule: "AwsSolutions-SF1",
			reason: "Step Functions keeps the history of each run, the functions log each sweep, and an alarm " +
				"reports failures."},
		accepted{rule: "AwsSolutions-SF2", reason: "Its tasks call the two functions, which log what they do."})
	k.scheduleSweeps(k.sweepPermissions(role))
	k.newEventRule()
}

// sweepPermissions creates a managed policy: in an inline policy, the role and the state machine
// would depend on each other.
func (k *keyRotation) sweepPermissions(role awsiam.IRole) awsiam.ManagedPolicy {
	secrets := k.arn("secretsmanager", k.region, "secret:*")
	rotator := object{"secretsmanager:resource/AllowRotationLambdaArn": *k.rotate.FunctionArn()}
	policy := awsiam.NewManagedPolicy(k, jsii.String("RunSweeps"), &awsiam.ManagedPolicyProps{
		Description: jsii.String("Quilt key rotation: sweeps secrets, and rotates those that need it"),
		Roles:       &[]awsiam.IRole{role},
		Document: awsiam.PolicyDocument_FromJson(document(
			// RotateSecret needs a caller that may call the rotation function (Secrets Manager API
			// reference, "RotateSecret").
			allow("Functions", list{"lambda:InvokeFunction"}, list{*k.revoke.FunctionArn(), *k.rotate.FunctionArn()}),
			allow("Rotate", list{"secretsmanager:RotateSecret"}, secrets,
				object{"StringEquals": rotator, "Bool": object{"secretsmanager:ModifyRotationRules": "false"}}),
			allow("RemovePending", list{"secretsmanager:UpdateSecretVersionStage"}, secrets, object{
				"StringEquals":             rotator,
				"ForAnyValue:StringEquals": object{"secretsmanager:VersionStage": "AWSPENDING"},
			}),
			allow("Events", list{"events:PutEvents"}, k.arn("events", k.region, "event-bus/default"),
				object{"StringEquals": object{"events:source": eventSource}}),
			// The Distributed Map needs these (Step Functions developer guide, "IAM policies for
			// using Distributed Map states"), and so does a run that continues in a new execution.
			allow("Children", list{"states:StartExecution"}, *k.sweeps.StateMachineArn()),
			allow("ChildrenState", list{"states:DescribeExecution", "states:StopExecution"},
				k.arn("states", k.region, "execution:"+*k.sweeps.StateMachineName()+":*")),
		)),
	})
	accept(policy.Node().DefaultChild().(awscdk.CfnResource), accepted{rule: "AwsSolutions-IAM5",
		reason: "The conditions select the secrets: those whose rotation calls the function. The names of executions " +
			"are not known before they start."})
	return policy
}

// The start of a run is retried for 15 minutes. A failed run is not repeated, because the next one
// follows within the hour.
const (
	startAttempts = 10
	startSeconds  = 900
)

// scheduledTime is replaced by EventBridge Scheduler with the time of the run (EventBridge
// Scheduler user guide, "Adding context attributes").
const scheduledTime = "<aws.scheduler.scheduled-time>"

// scheduleSweeps creates the schedule in the default group. The operators' command finds it by a
// tag of the rotate function with the schedule's name. The name is a literal: with a reference, the
// function, the schedule and the state machine would depend on each other.
func (k *keyRotation) scheduleSweeps(permissions awsiam.ManagedPolicy) {
	stack := awscdk.Stack_Of(k)
	const suffix, longest = "-sweeps", 64
	unique := &awscdk.UniqueResourceNameOptions{MaxLength: jsii.Number(longest - len(suffix))}
	name := *awscdk.Names_UniqueResourceName(k, unique) + suffix
	awscdk.Tags_Of(k.rotate.Function).Add(jsii.String(settings.TagSchedule), &name, nil)
	minutes := int(orDefault(k.props.Sweep, config.DefaultSweep).Minutes())
	expression := fmt.Sprintf("rate(%d minutes)", minutes)
	if minutes == 60 {
		expression = "rate(1 hour)"
	}
	role := k.newRole("SchedulerRole", "scheduler.amazonaws.com", "Quilt key rotation: starts the sweeps",
		object{"StringEquals": object{
			"aws:SourceAccount": *stack.Account(),
			"aws:SourceArn":     k.arn("scheduler", k.region, "schedule-group/default"),
		}},
		allow("Sweeps", list{"states:StartExecution"}, *k.sweeps.StateMachineArn()),
		allow("DeadLetters", list{"sqs:SendMessage"}, *k.deadLetters.QueueArn()))
	schedule := awsscheduler.NewCfnSchedule(k, jsii.String("SweepSchedule"), &awsscheduler.CfnScheduleProps{
		Name: &name, Description: jsii.String("Quilt key rotation: sweeps all secrets"),
		ScheduleExpression: &expression,
		// Several stacks must not all call one registry in the same second.
		FlexibleTimeWindow: &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{
			Mode: jsii.String("FLEXIBLE"), MaximumWindowInMinutes: jsii.Number(min(15, minutes/3)),
		},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn: k.sweeps.StateMachineArn(), RoleArn: role.RoleArn(),
			Input:            stack.ToJsonString(object{"time": scheduledTime}, nil),
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: k.deadLetters.QueueArn()},
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumRetryAttempts: jsii.Number(startAttempts), MaximumEventAgeInSeconds: jsii.Number(startSeconds),
			},
		},
	})
	// The first run can start as soon as the schedule exists.
	schedule.Node().AddDependency(permissions, k.revoke.permissions)
}

// newEventRule sends each event of this registry that needs a person to the topic, because an alarm
// that is on for one secret does not report the next one. The rule publishes with its own role. A
// statement in the topic's policy would let the rules of all accounts publish, because EventBridge
// supports no conditions there (EventBridge user guide, "Using resource-based policies"). If the
// role's permissions are not sufficient, the event goes to the dead-letter queue, which has an
// alarm.
func (k *keyRotation) newEventRule() {
	topic := object{"kms:EncryptionContext:aws:sns:topicArn": *k.topic.TopicArn()}
	role := k.newRole("EventRole", "events.amazonaws.com", "Quilt key rotation: sends messages about secrets",
		k.fromHere(),
		allow("Topic", list{"sns:Publish"}, *k.topic.TopicArn()),
		allow("TopicKey", list{"kms:Decrypt", "kms:GenerateDataKey"}, k.arn("kms", k.region, "key/*"),
			object{"StringEquals": topic}))
	accept(role.Node().DefaultChild().(awscdk.CfnResource), accepted{rule: "AwsSolutions-IAM5",
		reason: "The condition selects the KMS key of the topic, which can be a key that the stack does not create."})
	message := *awsevents.EventField_DetailType() + ": " +
		*awsevents.EventField_FromPath(jsii.String("$.detail.message"))
	awsevents.NewRule(k, jsii.String("NeedsPerson"), &awsevents.RuleProps{
		Description: jsii.String("Quilt key rotation: a sweep found something that needs a person"),
		EventPattern: &awsevents.EventPattern{
			Source: jsii.Strings(eventSource),
			Detail: &object{"needsPerson": list{true}, "registry": list{k.registry()}},
		},
		Targets: &[]awsevents.IRuleTarget{awseventstargets.NewSnsTopic(k.topic, &awseventstargets.SnsTopicProps{
			Role: role.WithoutPolicyUpdates(nil), DeadLetterQueue: k.deadLetters,
			Message: awsevents.RuleTargetInput_FromText(&message),
		})},
	})
}

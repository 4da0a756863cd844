package keyrotation

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// restarts redeploys ECS services that got a key at their start and would never see the next one. It is there once, for whatever secrets need it, and
// has no code: an event starts a state machine, which calls ECS itself.
type restarts struct {
	machine   awsstepfunctions.CfnStateMachine
	policy    awsiam.CfnManagedPolicy
	starter   awsiam.Role
	resources list
}

// restartDefinition asks for a new deployment of each service. UpdateService is repeated: a service that is just being changed refuses it for a while. One that refuses it for good
// keeps none of the others from theirs: a failed item would end the whole Map (Step Functions developer guide, "Map state"), so that it is caught, and the execution fails at the end.
func restartDefinition(partition string) object {
	return object{
		"Comment": "Redeploys the ECS services that got the key at their start",
		"StartAt": "EachService",
		"States": object{
			"EachService": object{
				"Type": "Map", "ItemsPath": "$.services", "MaxConcurrency": 5, "ResultPath": "$.services", "Next": "AllRedeployed",
				"ItemProcessor": object{
					"ProcessorConfig": object{"Mode": "INLINE"}, "StartAt": "Redeploy",
					"States": object{
						"Redeploy": object{
							"Type": "Task", "Resource": "arn:" + partition + ":states:::aws-sdk:ecs:updateService", "Next": "Redeployed",
							"Parameters":     object{"Cluster.$": "$.cluster", "Service.$": "$.service", "ForceNewDeployment": true},
							"ResultSelector": object{"service.$": "$.Service.ServiceArn"}, // the whole answer is large
							"ResultPath":     "$.redeployed",
							"Retry":          list{object{"ErrorEquals": list{"States.ALL"}, "IntervalSeconds": 30, "BackoffRate": 2, "MaxAttempts": 5}},
							"Catch":          list{object{"ErrorEquals": list{"States.ALL"}, "ResultPath": "$.failure", "Next": "NotRedeployed"}},
						},
						"Redeployed":    object{"Type": "Pass", "Result": "redeployed", "ResultPath": "$.outcome", "End": true},
						"NotRedeployed": object{"Type": "Pass", "Result": failedOutcome, "ResultPath": "$.outcome", "End": true},
					},
				},
			},
			"AllRedeployed": object{
				"Type": "Pass", "Parameters": object{"services.$": "$.services", "failed.$": "States.ArrayContains($.services[*].outcome, '" + failedOutcome + "')"}, "Next": "AnyFailed",
			},
			"AnyFailed": object{
				"Type": "Choice", "Choices": list{object{"Variable": "$.failed", "BooleanEquals": true, "Next": "Failed"}}, "Default": "Done",
			},
			"Failed": object{"Type": "Fail", "Error": "NotRedeployed", "Cause": "Some services could not be redeployed: the output of the state EachService says which, and why"},
			"Done":   object{"Type": "Succeed"},
		},
	}
}

// failedOutcome is that of a service that refused.
const failedOutcome = "failed"

func (k *keyRotation) newRestarts() *restarts {
	r, stack := &restarts{}, awscdk.Stack_Of(k)
	role := k.newRole("RestartRole", "states.amazonaws.com", "Quilt key rotation: redeploys services", k.fromHere())
	r.policy = awsiam.NewCfnManagedPolicy(k, jsii.String("RestartServices"), &awsiam.CfnManagedPolicyProps{
		Description: jsii.String("Quilt key rotation: redeploys services"), PolicyDocument: document(), Roles: &[]any{role.RoleName()},
	})
	r.machine = awsstepfunctions.NewCfnStateMachine(k, jsii.String("Restart"), &awsstepfunctions.CfnStateMachineProps{
		RoleArn: role.RoleArn(), DefinitionString: stack.ToJsonString(restartDefinition(*stack.Partition()), nil),
	})
	accept(r.machine,
		accepted{rule: "AwsSolutions-SF1", reason: "Its one state calls ECS. Step Functions keeps the history of each execution, CloudTrail each call, and an alarm tells of a failure."},
		accepted{rule: "AwsSolutions-SF2", reason: "Its one state calls ECS: there is no path to trace."})
	r.starter = k.newRole("RestartStarterRole", "events.amazonaws.com", "Quilt key rotation: starts the redeployment", k.fromHere(),
		allow("Restart", list{"states:StartExecution"}, *r.machine.AttrArn()))
	return r
}

// restart redeploys the services when AWSCURRENT of the secret moves, be it by a rotation or by hand.
func (k *keyRotation) restart(scope constructs.Construct, secretArn *string, services []config.Service) {
	if k.restarts == nil {
		k.restarts = k.newRestarts()
		k.dashboard.AddWidgets(alarmWidget("Restarts of services", 2, k.alarms.add(RestartAlarm)))
	}
	r, stack := k.restarts, awscdk.Stack_Of(k)
	var input list
	for _, s := range services {
		input = append(input, object{"cluster": s.Cluster, "service": s.Service})
		resource := any("arn:" + *stack.Partition() + ":ecs:" + k.region + ":" + *stack.Account() + ":service/" + s.Cluster + "/" + s.Service)
		if !slices.Contains(r.resources, resource) {
			r.resources = append(r.resources, resource)
		}
	}
	r.policy.SetPolicyDocument(document(allow("Redeploy", list{"ecs:UpdateService"}, r.resources)))
	awsevents.NewCfnRule(scope, jsii.String("Moved"), &awsevents.CfnRuleProps{
		Description: jsii.String("Quilt key rotation: the current key changed, so redeploy the services that got it at their start"),
		EventPattern: object{
			"source": list{"aws.secretsmanager"}, "detail-type": list{"Secret Label Updated"}, "resources": list{*secretArn},
			"detail": object{"labelUpdated": list{"AWSCURRENT"}},
		},
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Id: jsii.String("Restart"), Arn: r.machine.AttrArn(), RoleArn: r.starter.RoleArn(),
			Input:            stack.ToJsonString(object{"services": input}, nil),
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: k.deadLetters.QueueArn()},
		}},
	})
}

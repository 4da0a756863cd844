package keyrotation

import (
	_ "embed"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awseventstargets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/logicalid"
)

//go:embed restart.asl.json
var restartDefinition string

// restarts redeploys the ECS services that read the key only at startup. One state machine serves
// all secrets. An event starts it, and it calls ECS without a function.
type restarts struct {
	machine   awsstepfunctions.StateMachine
	policy    awsiam.CfnManagedPolicy
	starter   awsiam.Role
	resources list
}

func (k *keyRotation) newRestarts() *restarts {
	role := k.newRole("RestartRole", "states.amazonaws.com", "Quilt key rotation: redeploys services", k.fromHere())
	r := &restarts{
		policy: awsiam.NewCfnManagedPolicy(k, jsii.String("RestartServices"), &awsiam.CfnManagedPolicyProps{
			Description: jsii.String("Quilt key rotation: redeploys services"), PolicyDocument: document(),
			Roles: &[]any{role.RoleName()},
		}),
		machine: awsstepfunctions.NewStateMachine(k, jsii.String("Restart"), &awsstepfunctions.StateMachineProps{
			DefinitionBody: awsstepfunctions.DefinitionBody_FromString(&restartDefinition), Role: role,
			DefinitionSubstitutions: &map[string]*string{"Partition": awscdk.Stack_Of(k).Partition()},
		}),
		starter: k.newRole("RestartStarterRole", "events.amazonaws.com", "Quilt key rotation: starts the redeployment",
			k.fromHere()),
	}
	accept(logicalid.Pin[awsstepfunctions.CfnStateMachine](r.machine),
		accepted{rule: "AwsSolutions-SF1", reason: "Its one task calls ECS. Step Functions keeps the history of each " +
			"execution, CloudTrail has each call, and an alarm reports a failure."},
		accepted{rule: "AwsSolutions-SF2", reason: "Its one task calls ECS: there is no path to trace."})
	return r
}

// restart redeploys the services when AWSCURRENT of the secret moves, by a rotation or by hand.
func (k *keyRotation) restart(scope constructs.Construct, secretArn *string, services []config.Service) {
	if k.restarts == nil {
		k.restarts = k.newRestarts()
		k.dashboard.AddWidgets(alarmWidget("Restarts of services", 2, k.alarms.add(RestartAlarm)))
	}
	r := k.restarts
	var input list
	for _, s := range services {
		input = append(input, object{"cluster": s.Cluster, "service": s.Service})
		resource := any(k.arn("ecs", k.region, "service/"+s.Cluster+"/"+s.Service))
		if !slices.Contains(r.resources, resource) {
			r.resources = append(r.resources, resource)
		}
	}
	r.policy.SetPolicyDocument(document(allow("Redeploy", list{"ecs:UpdateService"}, r.resources)))
	awsevents.NewRule(scope, jsii.String("Moved"), &awsevents.RuleProps{
		Description: jsii.String("Quilt key rotation: the current key changed, so redeploy the services that read it " +
			"at their start"),
		EventPattern: &awsevents.EventPattern{
			Source: jsii.Strings("aws.secretsmanager"), DetailType: jsii.Strings("Secret Label Updated"),
			Resources: &[]*string{secretArn}, Detail: &object{"labelUpdated": list{"AWSCURRENT"}},
		},
		Targets: &[]awsevents.IRuleTarget{awseventstargets.NewSfnStateMachine(r.machine,
			&awseventstargets.SfnStateMachineProps{
				Role: r.starter, Input: awsevents.RuleTargetInput_FromObject(object{"services": input}),
				DeadLetterQueue: k.deadLetters,
			})},
	})
}

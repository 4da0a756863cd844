package keyrotation

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/jsii-runtime-go"
)

// newFailureRule sends to the topic what Secrets Manager says of failures that no function saw: a rotation that was abandoned, a function that could not be called.
// It needs a CloudTrail trail, and is best effort (EventBridge user guide, "Events from AWS services delivered via CloudTrail").
func (k *keyRotation) newFailureRule(index int) awsevents.CfnRule {
	rule := awsevents.NewCfnRule(k, jsii.String(fmt.Sprintf("Failures%d", index)), &awsevents.CfnRuleProps{
		Description:  jsii.String("Quilt key rotation: Secrets Manager tells of a rotation that failed"),
		EventPattern: failurePattern(list{}),
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Id: jsii.String("Topic"), Arn: k.topicArn,
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: k.deadLetters.AttrArn()},
			InputTransformer: &awsevents.CfnRule_InputTransformerProperty{
				InputPathsMap: map[string]*string{"event": jsii.String("$.detail.eventName"), "secret": jsii.String("$.detail.additionalEventData.SecretId")},
				InputTemplate: jsii.String(`"Secrets Manager says <event> of <secret>. In the morning: docs/runbook/rotation-failed.md"`),
			},
		}},
	})
	if k.topicPolicy != nil {
		rule.Node().AddDependency(k.topicPolicy)
	}
	return rule
}

// failurePattern: the events have no resources, so the secret is looked for where CloudTrail puts it. A step that failed in the function is left to the function's own
// metrics: they know which failures are none, such as that of a rotation before the first key.
func failurePattern(secrets list) object {
	return object{
		"source":      list{"aws.secretsmanager"},
		"detail-type": list{"AWS Service Event via CloudTrail"},
		"detail": object{
			"eventName":           list{"RotationFailed", "RotationAbandoned", "TestRotationFailed"},
			"errorMessage":        list{object{"exists": false}, object{"anything-but": object{"prefix": "Error when executing lambda"}}},
			"additionalEventData": object{"SecretId": secrets},
		},
	}
}

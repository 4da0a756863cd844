package keyrotation

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/jsii-runtime-go"
)

// newFailureRule sends what Secrets Manager itself says of failures to the topic. It needs a CloudTrail trail, and is best effort: the functions' own
// metrics raise alarms too (EventBridge user guide, "Events from AWS services delivered via CloudTrail").
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

// failurePattern: the events have no resources, so the secret is looked for where CloudTrail puts it.
func failurePattern(secrets list) object {
	return object{
		"source":      list{"aws.secretsmanager"},
		"detail-type": list{"AWS Service Event via CloudTrail"},
		"detail": object{
			"eventName":           list{"RotationFailed", "RotationAbandoned", "TestRotationFailed"},
			"additionalEventData": object{"SecretId": secrets},
		},
	}
}

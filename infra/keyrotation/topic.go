package keyrotation

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"
)

// newTopic makes the topic of all alarms, unless there is one. Its key is one of our own, since CloudWatch cannot publish to a topic that the
// AWS-managed key encrypts (SNS developer guide, "Key management").
func (k *keyRotation) newTopic() {
	if k.props.AlarmTopic != nil {
		k.topicArn = k.props.AlarmTopic
		return
	}
	stack := awscdk.Stack_Of(k)
	key := awskms.NewCfnKey(k, jsii.String("AlarmKey"), &awskms.CfnKeyProps{
		Description: jsii.String("Quilt key rotation: encrypts the alarms"), EnableKeyRotation: jsii.Bool(true),
		KeyPolicy: document(slices.Concat(list{object{
			"Sid": "Account", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
			"Principal": object{"AWS": "arn:" + *stack.Partition() + ":iam::" + *stack.Account() + ":root"},
		}}, k.publishers(list{"kms:Decrypt", "kms:GenerateDataKey"}, "*"))...),
	})
	key.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
	topic := awssns.NewCfnTopic(k, jsii.String("Alarms"), &awssns.CfnTopicProps{DisplayName: jsii.String("Quilt key rotation"), KmsMasterKeyId: key.AttrArn()})
	k.topicArn = topic.Ref()
	k.topicPolicy = awssns.NewCfnTopicPolicy(k, jsii.String("AlarmsPolicy"), &awssns.CfnTopicPolicyProps{
		Topics: &[]*string{topic.Ref()},
		PolicyDocument: document(append(k.publishers(list{"sns:Publish"}, *topic.Ref()), object{
			"Sid": "EncryptedOnly", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": *topic.Ref(),
			"Condition": object{"Bool": object{"aws:SecureTransport": "false"}},
		})...),
	})
	if k.props.AlarmEmail != nil {
		awssns.NewCfnSubscription(k, jsii.String("AlarmsByEmail"), &awssns.CfnSubscriptionProps{
			TopicArn: topic.Ref(), Protocol: jsii.String("email"), Endpoint: k.props.AlarmEmail,
		})
	}
}

// publishers lets the two services that send alarms do so. EventBridge gives neither account nor rule when it uses an encrypted topic: with a condition on
// them each of its messages would be lost, silently (SNS developer guide, "Key management": aws:SourceAccount and aws:SourceArn are not supported for it).
func (k *keyRotation) publishers(actions list, resource string) list {
	grant := func(sid, service string) object {
		return object{"Sid": sid, "Effect": "Allow", "Principal": object{"Service": service}, "Action": actions, "Resource": resource}
	}
	alarms := grant("Alarms", "cloudwatch.amazonaws.com")
	alarms["Condition"] = k.fromHere()
	return list{alarms, grant("Events", "events.amazonaws.com")}
}

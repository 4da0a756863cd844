package keyrotation

import (
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
	publishers := object{"Service": list{"cloudwatch.amazonaws.com", "events.amazonaws.com"}}
	key := awskms.NewCfnKey(k, jsii.String("AlarmKey"), &awskms.CfnKeyProps{
		Description: jsii.String("Quilt key rotation: encrypts the alarms"), EnableKeyRotation: jsii.Bool(true),
		KeyPolicy: document(
			object{"Sid": "Account", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
				"Principal": object{"AWS": "arn:" + *stack.Partition() + ":iam::" + *stack.Account() + ":root"}},
			object{"Sid": "Publishers", "Effect": "Allow", "Action": list{"kms:Decrypt", "kms:GenerateDataKey"}, "Resource": "*",
				"Principal": publishers, "Condition": k.fromHere()},
		),
	})
	key.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
	topic := awssns.NewCfnTopic(k, jsii.String("Alarms"), &awssns.CfnTopicProps{DisplayName: jsii.String("Quilt key rotation"), KmsMasterKeyId: key.AttrArn()})
	k.topicArn = topic.Ref()
	k.topicPolicy = awssns.NewCfnTopicPolicy(k, jsii.String("AlarmsPolicy"), &awssns.CfnTopicPolicyProps{
		Topics: &[]*string{topic.Ref()},
		PolicyDocument: document(
			object{"Sid": "Publishers", "Effect": "Allow", "Principal": publishers, "Action": "sns:Publish", "Resource": *topic.Ref(), "Condition": k.fromHere()},
			object{"Sid": "EncryptedOnly", "Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": *topic.Ref(),
				"Condition": object{"Bool": object{"aws:SecureTransport": "false"}}},
		),
	})
	if k.props.AlarmEmail != nil {
		awssns.NewCfnSubscription(k, jsii.String("AlarmsByEmail"), &awssns.CfnSubscriptionProps{
			TopicArn: topic.Ref(), Protocol: jsii.String("email"), Endpoint: k.props.AlarmEmail,
		})
	}
}

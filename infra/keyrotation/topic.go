package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/logicalid"
)

// newTopic creates the topic of all alarms if none is given. The topic has its own KMS key, because
// CloudWatch cannot publish to a topic that the AWS-managed key encrypts (SNS developer guide, "Key
// management").
func (k *keyRotation) newTopic() {
	if k.topic = k.props.AlarmTopic; k.topic != nil {
		k.topic.AddToResourcePolicy(k.alarmsPublish(k.topic))
		if key := k.topic.MasterKey(); key != nil {
			k.letEncrypt(key)
		}
		return
	}
	key := awskms.NewKey(k, jsii.String("AlarmKey"), &awskms.KeyProps{
		Description: jsii.String("Quilt key rotation: encrypts the alarms"), EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	k.letEncrypt(key)
	logicalid.Pin[awskms.CfnKey](key)
	topic := awssns.NewTopic(k, jsii.String("Alarms"), &awssns.TopicProps{
		DisplayName: jsii.String("Quilt key rotation"), EnforceSSL: jsii.Bool(true),
		MasterKey: key,
	})
	logicalid.Pin[awssns.CfnTopic](topic)
	topic.AddToResourcePolicy(k.alarmsPublish(topic))
	logicalid.PinAt[awssns.CfnTopicPolicy](topic.Node().FindChild(jsii.String("Policy")).Node().DefaultChild(), k,
		"AlarmsPolicy")
	if k.props.AlarmEmail != nil {
		logicalid.Pin[awssns.CfnSubscription](awssns.NewSubscription(k, jsii.String("AlarmsByEmail"),
			&awssns.SubscriptionProps{
				Topic: topic, Protocol: awssns.SubscriptionProtocol_EMAIL, Endpoint: k.props.AlarmEmail,
			}))
	}
	k.topic = topic
}

// letEncrypt lets CloudWatch use the key of a topic.
func (k *keyRotation) letEncrypt(key awskms.IKey) {
	condition := k.fromHere()
	condition["StringLike"] = object{"kms:EncryptionContext:aws:sns:topicArn": k.arn("sns", k.region, "*")}
	key.AddToResourcePolicy(awsiam.PolicyStatement_FromJson(object{
		"Sid": "Alarms", "Effect": "Allow", "Principal": object{"Service": "cloudwatch.amazonaws.com"},
		"Action": list{"kms:Decrypt", "kms:GenerateDataKey"}, "Resource": "*", "Condition": condition,
	}), nil)
}

func (k *keyRotation) alarmsPublish(topic awssns.ITopic) awsiam.PolicyStatement {
	return awsiam.PolicyStatement_FromJson(object{
		"Sid": "Alarms", "Effect": "Allow", "Principal": object{"Service": "cloudwatch.amazonaws.com"},
		"Action": "sns:Publish", "Resource": *topic.TopicArn(), "Condition": k.fromHere(),
	})
}

// newDeadLetters creates the queue for what could not be delivered: runs of sweeps that the
// scheduler could not start, and events whose target failed.
func (k *keyRotation) newDeadLetters() {
	queue := awssqs.NewQueue(k, jsii.String("DeadLetters"), &awssqs.QueueProps{
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)), Encryption: awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL: jsii.Bool(true), RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	accept(logicalid.Pin[awssqs.CfnQueue](queue), accepted{rule: "AwsSolutions-SQS3",
		reason: "It is itself the dead-letter queue of schedules and event rules, which this rule does not check. " +
			"An alarm watches it."})
	// One statement is enough for all rules of the account: EventBridge sends the ARN of the rule
	// (EventBridge user guide, "Using dead-letter queues"). The scheduler sends with a role.
	queue.AddToResourcePolicy(awsiam.PolicyStatement_FromJson(object{
		"Sid": "Events", "Effect": "Allow", "Principal": object{"Service": "events.amazonaws.com"},
		"Action": "sqs:SendMessage", "Resource": *queue.QueueArn(),
		"Condition": object{"ArnLike": object{"aws:SourceArn": k.arn("events", k.region, "rule/*")}},
	}))
	logicalid.PinAt[awssqs.CfnQueuePolicy](queue.Node().FindChild(jsii.String("Policy")).Node().DefaultChild(), k,
		"DeadLettersPolicy")
	// The queue is imported by its ARN, so that rules add no statements to its policy. A rule of
	// another stack would otherwise make the two stacks depend on each other.
	k.deadLetters = awssqs.Queue_FromQueueArn(k, jsii.String("DeadLettersByArn"), queue.QueueArn())
}

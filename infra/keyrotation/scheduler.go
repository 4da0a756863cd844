package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"
)

// newDeadLetters makes the queue for what could not be handed over: a sweep that the scheduler could not start, an event that found no target.
func (k *keyRotation) newDeadLetters() {
	stack := awscdk.Stack_Of(k)
	rules := "arn:" + *stack.Partition() + ":events:" + k.region + ":" + *stack.Account() + ":rule/*"
	k.deadLetters = awssqs.NewCfnQueue(k, jsii.String("DeadLetters"), &awssqs.CfnQueueProps{
		MessageRetentionPeriod: jsii.Number(14 * 24 * 3600), SqsManagedSseEnabled: jsii.Bool(true),
	})
	accept(k.deadLetters, accepted{rule: "AwsSolutions-SQS3",
		reason: "It is the dead-letter queue itself, of schedules and event rules, which the rule does not look at. An alarm watches it."})
	awssqs.NewCfnQueuePolicy(k, jsii.String("DeadLettersPolicy"), &awssqs.CfnQueuePolicyProps{
		Queues: &[]*string{k.deadLetters.Ref()},
		PolicyDocument: document(
			// EventBridge names the rule (EventBridge user guide, "Using dead-letter queues"); the scheduler sends with its own role.
			object{"Sid": "Events", "Effect": "Allow", "Principal": object{"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
				"Resource": *k.deadLetters.AttrArn(), "Condition": object{"ArnLike": object{"aws:SourceArn": rules}}},
			object{"Sid": "EncryptedOnly", "Effect": "Deny", "Principal": "*", "Action": "sqs:*",
				"Resource": *k.deadLetters.AttrArn(), "Condition": object{"Bool": object{"aws:SecureTransport": "false"}}},
		),
	})
}

// newScheduler makes the group of the sweeps' schedules, and the role that starts them.
func (k *keyRotation) newScheduler() {
	k.group = awsscheduler.NewCfnScheduleGroup(k, jsii.String("Sweeps"), &awsscheduler.CfnScheduleGroupProps{})
	k.schedulerRole = k.newRole("SchedulerRole", "scheduler.amazonaws.com", "Quilt key rotation: starts the sweeps",
		object{"StringEquals": object{
			"aws:SourceAccount": k.fromHere()["StringEquals"].(object)["aws:SourceAccount"],
			"aws:SourceArn":     *k.group.AttrArn(),
		}},
		map[string]object{"Start": document(
			allow("Sweep", list{"lambda:InvokeFunction"}, *k.revoke.AttrArn()),
			allow("DeadLetters", list{"sqs:SendMessage"}, *k.deadLetters.AttrArn()),
		)})
}

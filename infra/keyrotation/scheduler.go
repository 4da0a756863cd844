package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/jsii-runtime-go"
)

// newScheduler makes the group of the sweeps' schedules, and the role that starts them.
func (k *keyRotation) newScheduler() {
	k.group = awsscheduler.NewCfnScheduleGroup(k, jsii.String("Sweeps"), &awsscheduler.CfnScheduleGroupProps{})
	k.schedulerRole = k.newRole("SchedulerRole", "scheduler.amazonaws.com", "Quilt key rotation: starts the sweeps",
		object{"StringEquals": object{
			"aws:SourceAccount": k.fromHere()["StringEquals"].(object)["aws:SourceAccount"],
			"aws:SourceArn":     *k.group.AttrArn(),
		}},
		allow("Sweep", list{"lambda:InvokeFunction"}, *k.revoke.FunctionArn()),
		allow("DeadLetters", list{"sqs:SendMessage"}, *k.deadLetters.QueueArn()))
}

package keyrotation

import (
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/logicalid"
)

// alarms are the alarms of one stack.
type alarms struct {
	k       *keyRotation
	metrics map[string]awscloudwatch.CfnAlarm // by page
	notify  []interfacesawscloudwatch.IAlarmRef
}

func (k *keyRotation) newAlarms() {
	k.alarms = &alarms{k: k, metrics: map[string]awscloudwatch.CfnAlarm{}}
	for _, a := range Alarms {
		k.alarms.notify = append(k.alarms.notify, k.alarms.add(a))
	}
}

// adapt relaxes the thresholds if the settings of a key allow fewer days or a longer grace period.
func (s *alarms) adapt(keys []config.Key) {
	days, held := morningDays, time.Duration(0)
	for _, key := range keys {
		days, held = min(days, key.LeastDaysLeft()), max(held, key.GracePeriod())
	}
	s.metrics["key-expires-soon"].SetThreshold(jsii.Number(float64(days)))
	s.metrics["held-too-long"].SetThreshold(jsii.Number((heldDays*24*time.Hour + held).Seconds()))
}

// notifying is an alarm with actions: a metric alarm or a composite alarm.
type notifying interface {
	interfacesawscloudwatch.IAlarmRef
	AddAlarmAction(actions ...awscloudwatch.IAlarmAction)
	AddOkAction(actions ...awscloudwatch.IAlarmAction)
}

func (s *alarms) add(a Alarm) interfacesawscloudwatch.IAlarmRef {
	alarm := s.notifying(a)
	// Both actions, so that a tool that opens an incident can also resolve it.
	topic := awscloudwatchactions.NewSnsAction(s.k.topic)
	alarm.AddAlarmAction(topic)
	alarm.AddOkAction(topic)
	return alarm
}

func (s *alarms) notifying(a Alarm) notifying {
	if a.Excuse == nil {
		alarm := s.metricAlarm(logical(a), a.name(s.k), jsii.String(a.description()), a.Metric, a.When)
		s.metrics[a.Page] = alarm.Node().DefaultChild().(awscloudwatch.CfnAlarm)
		return alarm
	}
	// The two metric alarms have no actions. The composite alarm waits, because the metric of the
	// excuse comes from the logs and can be some minutes late. The excuse suppresses the alarm for
	// all secrets of the stack. If the rotation of another secret crashes in those hours, only
	// other alarms report its consequences.
	base := strings.TrimPrefix(a.name(s.k), string(a.Class)+"-")
	counted := s.metricAlarm(logical(a)+"Counted", base+"-counted", nil, a.Metric, a.When)
	excused := s.metricAlarm(logical(a)+"Excused", base+"-excused", nil, a.Excuse.Metric, a.Excuse.When)
	alarm := awscloudwatch.NewCompositeAlarm(s.k, jsii.String(logical(a)), &awscloudwatch.CompositeAlarmProps{
		CompositeAlarmName: jsii.String(a.name(s.k)), AlarmDescription: jsii.String(a.description()),
		AlarmRule:         awscloudwatch.AlarmRule_FromAlarm(counted, awscloudwatch.AlarmState_ALARM),
		ActionsSuppressor: excused, ActionsSuppressorWaitPeriod: duration(10 * time.Minute),
		ActionsSuppressorExtensionPeriod: duration(time.Hour),
	})
	logicalid.Pin[awscloudwatch.CfnCompositeAlarm](alarm)
	return alarm
}

func (s *alarms) metricAlarm(id, name string, description *string, m Metric, when When) awscloudwatch.Alarm {
	props := &awscloudwatch.AlarmProps{
		AlarmName: jsii.String(name), AlarmDescription: description, Metric: s.k.metric(m, when.Period),
		ComparisonOperator: when.Comparison, Threshold: jsii.Number(when.Threshold),
		DatapointsToAlarm: jsii.Number(when.Of), EvaluationPeriods: jsii.Number(when.Out),
		TreatMissingData: awscloudwatch.TreatMissingData_NOT_BREACHING,
	}
	if when.Silence {
		props.TreatMissingData = awscloudwatch.TreatMissingData_BREACHING // a metric that never had data
		props.Metric = awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String("FILL(metric, 0)"), Label: jsii.String(m.Name), Period: duration(when.Period),
			UsingMetrics: &map[string]awscloudwatch.IMetric{"metric": props.Metric},
		})
	}
	alarm := awscloudwatch.NewAlarm(s.k, jsii.String(id), props)
	logicalid.Pin[awscloudwatch.CfnAlarm](alarm)
	return alarm
}

// metric returns a metric of this stack.
func (k *keyRotation) metric(m Metric, period time.Duration) awscloudwatch.IMetric {
	namespace, dimensions := m.Namespace, maps.Clone(k.dimensions(m.Of))
	if namespace == "" {
		namespace = Namespace
	}
	if m.Only.Name != "" {
		dimensions[m.Only.Name] = jsii.String(m.Only.Value)
	}
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(m.Name), Statistic: jsii.String(m.Statistic),
		Period: duration(period), DimensionsMap: &dimensions,
	})
}

// dimensions returns the dimensions of the metrics of a function, a state machine or the queue.
func (k *keyRotation) dimensions(of string) map[string]*string {
	switch of {
	case "rotate":
		return map[string]*string{FunctionDimension: k.rotate.FunctionName()}
	case "revoke":
		return map[string]*string{FunctionDimension: k.revoke.FunctionName()}
	case "queue":
		return map[string]*string{"QueueName": k.deadLetters.QueueName()}
	case "sweeps":
		return map[string]*string{"StateMachineArn": k.sweeps.StateMachineArn()}
	case "restart":
		return map[string]*string{"StateMachineArn": k.restarts.machine.StateMachineArn()}
	}
	panic("unknown source of a metric: " + of)
}

func duration(d time.Duration) awscdk.Duration {
	return awscdk.Duration_Seconds(jsii.Number(d.Seconds()))
}

func (a Alarm) name(k *keyRotation) string {
	return string(a.Class) + "-" + k.name() + "-" + a.Page
}

func (a Alarm) description() string {
	call := map[Class]string{Wake: "Wake somebody", Morning: "In the morning"}[a.Class]
	return a.Sentence + " " + call + ": docs/runbook/" + a.Page + ".md"
}

// logical returns the construct id of an alarm, such as AlarmKeyExpires.
func logical(a Alarm) string {
	words := strings.Split(a.Page, "-")
	for i, word := range words {
		words[i] = strings.ToUpper(word[:1]) + word[1:]
	}
	return "Alarm" + strings.Join(words, "")
}

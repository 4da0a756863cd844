package keyrotation

import (
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// alarms are those of one stack.
type alarms struct {
	k       *keyRotation
	metrics map[string]awscloudwatch.CfnAlarm // by page
	excused map[string]awscloudwatch.CfnCompositeAlarm
	arns    list // of what the dashboard shows
}

func (k *keyRotation) newAlarms() {
	k.alarms = &alarms{k: k, metrics: map[string]awscloudwatch.CfnAlarm{}, excused: map[string]awscloudwatch.CfnCompositeAlarm{}}
	for _, a := range Alarms {
		k.alarms.add(a)
	}
}

// adapt widens what is in order to what the keys' own settings make so.
func (s *alarms) adapt(keys []config.Key) {
	days, held := morningDays, time.Duration(0)
	for _, key := range keys {
		days, held = min(days, key.LeastDaysLeft()), max(held, key.GracePeriod())
	}
	s.metrics["key-expires-soon"].SetThreshold(jsii.Number(float64(days)))
	s.metrics["held-too-long"].SetThreshold(jsii.Number((heldDays*24*time.Hour + held).Seconds()))
}

// expectSweeps tells of silence from now on. With retired keys alone there are no sweeps, and silence is in order.
func (s *alarms) expectSweeps() {
	for _, a := range Alarms {
		if a.When.Silence {
			s.excused[a.Page].SetAlarmActions(&[]*string{s.k.topicArn})
		}
	}
}

func (s *alarms) add(a Alarm) {
	if a.Excuse != nil {
		s.addExcused(a)
		return
	}
	alarm := s.metricAlarm(logical(a), a.name(s.k), a.Metric, a.When)
	alarm.SetAlarmDescription(jsii.String(a.description()))
	alarm.SetAlarmActions(jsii.Strings(*s.k.topicArn))
	s.metrics[a.Page] = alarm
	s.arns = append(s.arns, *alarm.AttrArn())
}

// addExcused tells of a metric only while nothing excuses it. The two alarms of metrics tell nobody themselves. The excuse may come some minutes later, as from the logs, and what
// it excused goes some minutes after it; it holds for all secrets of the stack, so that in those hours another one's crash is told of by what follows from it. Of silence is told
// once sweeps are expected.
func (s *alarms) addExcused(a Alarm) {
	base := strings.TrimPrefix(a.name(s.k), string(a.Class)+"-")
	counted := s.metricAlarm(logical(a)+"Counted", base+"-counted", a.Metric, a.When)
	excused := s.metricAlarm(logical(a)+"Excused", base+"-excused", a.Excuse.Metric, a.Excuse.When)
	alarm := awscloudwatch.NewCfnCompositeAlarm(s.k, jsii.String(logical(a)), &awscloudwatch.CfnCompositeAlarmProps{
		AlarmName: jsii.String(a.name(s.k)), AlarmDescription: jsii.String(a.description()),
		AlarmRule:         jsii.String("ALARM(\"" + *counted.AttrArn() + "\")"),
		ActionsSuppressor: excused.AttrArn(), ActionsSuppressorWaitPeriod: jsii.Number(600), ActionsSuppressorExtensionPeriod: jsii.Number(3600),
	})
	if !a.When.Silence {
		alarm.SetAlarmActions(&[]*string{s.k.topicArn})
	}
	s.excused[a.Page] = alarm
	s.arns = append(s.arns, *alarm.AttrArn())
}

func (s *alarms) metricAlarm(id, name string, m Metric, when When) awscloudwatch.CfnAlarm {
	namespace := m.Namespace
	if namespace == "" {
		namespace = Namespace
	}
	props := &awscloudwatch.CfnAlarmProps{
		AlarmName: jsii.String(name), ComparisonOperator: jsii.String(when.Comparison), Threshold: jsii.Number(when.Threshold),
		DatapointsToAlarm: jsii.Number(float64(when.Of)), EvaluationPeriods: jsii.Number(float64(when.Out)),
	}
	period := jsii.Number(when.Period.Seconds())
	if when.Silence {
		props.TreatMissingData = jsii.String("breaching") // of a metric that never had any
		props.Metrics = []any{
			&awscloudwatch.CfnAlarm_MetricDataQueryProperty{Id: jsii.String("filled"), Expression: jsii.String("FILL(metric, 0)"), Label: jsii.String(m.Name), ReturnData: jsii.Bool(true)},
			&awscloudwatch.CfnAlarm_MetricDataQueryProperty{Id: jsii.String("metric"), ReturnData: jsii.Bool(false), MetricStat: &awscloudwatch.CfnAlarm_MetricStatProperty{
				Metric: &awscloudwatch.CfnAlarm_MetricProperty{Namespace: jsii.String(namespace), MetricName: jsii.String(m.Name), Dimensions: s.dimensions(m)},
				Period: period, Stat: jsii.String(m.Statistic),
			}},
		}
	} else {
		props.TreatMissingData = jsii.String("notBreaching")
		props.Namespace, props.MetricName, props.Statistic, props.Dimensions, props.Period = jsii.String(namespace), jsii.String(m.Name), jsii.String(m.Statistic), s.dimensions(m), period
	}
	return awscloudwatch.NewCfnAlarm(s.k, jsii.String(id), props)
}

// dimensions say whose metric it is.
func (s *alarms) dimensions(m Metric) (all []any) {
	add := func(name string, value *string) {
		all = append(all, &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(name), Value: value})
	}
	if m.Only.Name != "" {
		add(m.Only.Name, jsii.String(m.Only.Value))
	}
	switch m.Of {
	case "rotate":
		add(FunctionDimension, s.k.rotate.Ref())
	case "revoke":
		add(FunctionDimension, s.k.revoke.Ref())
	case "queue":
		add("QueueName", s.k.deadLetters.AttrQueueName())
	case "restart":
		add("StateMachineArn", s.k.restarts.machine.Ref())
	}
	return all
}

func (a Alarm) name(k *keyRotation) string {
	return string(a.Class) + "-" + k.name() + "-" + a.Page
}

func (a Alarm) description() string {
	call := "In the morning"
	if a.Class == Wake {
		call = "Wake somebody"
	}
	return a.Sentence + " " + call + ": docs/runbook/" + a.Page + ".md"
}

// logical is the alarm's name in the form of a construct's id.
func logical(a Alarm) string {
	var id strings.Builder
	id.WriteString("Alarm")
	for word := range strings.SplitSeq(a.Page, "-") {
		id.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return id.String()
}

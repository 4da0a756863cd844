package keyrotation

import (
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// Namespace is where the functions' metrics are, and FunctionDimension on each of them.
const (
	Namespace         = "QuiltRotate"
	FunctionDimension = "FunctionName"
	errorType         = "ErrorType"
)

// The functions' metrics that alarms and dashboard look at, as the functions name them. All are sums over the secrets of the stack.
const (
	StepFailed         = "StepFailed"
	StepSucceeded      = "StepSucceeded"
	StepDuration       = "StepDuration"
	SelfHealed         = "SelfHealed"
	SweepSucceeded     = "SweepSucceeded"
	SweepFailed        = "SweepFailed"
	SweepDuration      = "SweepDuration"
	KeysRevoked        = "KeysRevoked"
	KeysHeld           = "KeysHeld"
	Orphans            = "Orphans"
	ForeignKeys        = "ForeignKeys"
	UnidentifiedKey    = "UnidentifiedKey"
	NotBootstrapped    = "NotBootstrapped"
	OldestSuperseded   = "OldestSupersededAge"
	CurrentKeyDaysLeft = "CurrentKeyDaysLeft"
	FreeLabels         = "FreeLabels"
	RotationOverdue    = "RotationOverdue"
	RotationOff        = "RotationOff"
	RotationUnderWay   = "RotationUnderWay"
	CurrentKeyAge      = "CurrentKeyAge"
)

// Types of errors that have an alarm of their own, as the functions name them.
const (
	ErrorCurrentKeyRefused = "CurrentKeyRefused"
	ErrorOverwritten       = "Overwritten"
	ErrorBadIssuer         = "BadIssuer"
)

// Class says how soon a person must act. Each alarm's name begins with it, by which a subscription can filter.
type Class string

// The classes.
const (
	Wake    Class = "wake"    // somebody, now
	Morning Class = "morning" // is soon enough
)

// Alarm is one line of the table of alarms.
type Alarm struct {
	Class    Class
	Page     string // of the runbook: docs/runbook/<page>.md
	Sentence string
	Metric   Metric
	When     When
}

// Metric is what is looked at.
type Metric struct {
	Of        string // rotate, revoke, queue, restart
	Namespace string // "": the functions' own
	Name      string
	ErrorType string // "": all
	Statistic string
}

// When is the condition: over or under the threshold, in so many of so many periods.
type When struct {
	Comparison string
	Threshold  float64
	Period     time.Duration
	Of, Out    int // Of datapoints out of Out periods
	// Silence tells of data that do not come any more. A function that never ran has none yet, and raises no alarm.
	Silence bool
}

const (
	over  = "GreaterThanThreshold"
	under = "LessThanThreshold"

	sum, least, most = "Sum", "Minimum", "Maximum"
	lambda           = "AWS/Lambda"
)

// never is for what must not happen at all. Sweeps come up to three hours apart, and the alarm must not fall back between two.
func never() When { return When{over, 0, time.Hour, 1, 4, false} }

func rotates(name, statistic string) Metric { return Metric{"rotate", "", name, "", statistic} }
func sweeps(name, statistic string) Metric  { return Metric{"revoke", "", name, "", statistic} }
func failedSweeps(errorType string) Metric  { return Metric{"revoke", "", SweepFailed, errorType, sum} }

// Days that the alarms count in. The lesser of expiry is what an orderly rotation always leaves (see config: lifetime).
const (
	wakeDays    = 7
	morningDays = 14
	heldDays    = 7
)

// Alarms is the table: a fixed number, whatever the number of keys. The functions' logs, and `quilt-rotate status`, say which secret it is.
var Alarms = []Alarm{
	{Wake, "current-key-refused", "The registry refuses the key in AWSCURRENT: its consumers are failing now.", failedSweeps(ErrorCurrentKeyRefused), never()},
	{Wake, "value-overwritten", "Somebody overwrote the value of a secret, so consumers find no key.", failedSweeps(ErrorOverwritten), never()},
	{Wake, "key-expires", "A current key expires in under 7 days: rotation has not worked for long.", sweeps(CurrentKeyDaysLeft, least), When{under, wakeDays, time.Hour, 1, 4, false}},

	{Morning, "rotation-failed", "A step of a rotation failed; the current key still works.", rotates(StepFailed, sum), never()},
	{Morning, "rotation-overdue", "The date of a secret's next rotation is past.", sweeps(RotationOverdue, sum), never()},
	{Morning, "rotation-off", "Rotation of a secret is switched off.", sweeps(RotationOff, sum), never()},
	{Morning, "pending-too-long", "A version has been pending for over a day, which blocks further rotations.", sweeps(RotationUnderWay, most), When{over, 0, 6 * time.Hour, 4, 4, false}},
	{Morning, "self-healed", "A rotation that could not finish was given up by the function; the next starts afresh.", rotates(SelfHealed, sum), never()},
	{Morning, "rotate-errors", "The rotate function failed, or ran out of time.", Metric{"rotate", lambda, "Errors", "", sum}, never()},
	{Morning, "rotate-throttled", "The rotate function was not run for lack of concurrency.", Metric{"rotate", lambda, "Throttles", "", sum}, never()},
	{Morning, "revoke-throttled", "The revoke function was not run for lack of concurrency.", Metric{"revoke", lambda, "Throttles", "", sum}, never()},
	{Morning, "sweep-errors", "Sweeps fail, again and again.", Metric{"revoke", lambda, "Errors", "", sum}, When{over, 0, 2 * time.Hour, 2, 3, false}},
	{Morning, "no-sweep", "No sweep has succeeded for 6 hours, so nothing is revoked.", sweeps(SweepSucceeded, sum), When{under, 1, 6 * time.Hour, 1, 1, true}},
	{Morning, "key-expires-soon", "A current key expires soon: a rotation was missed.", sweeps(CurrentKeyDaysLeft, least), When{under, morningDays, time.Hour, 1, 4, false}},
	{Morning, "held-too-long", "A superseded key has been held for over 7 days after its grace period, since somebody still uses it.", sweeps(OldestSuperseded, most), When{over, heldDays * 24 * 3600, time.Hour, 1, 4, false}},
	{Morning, "few-labels", "A secret has fewer than 5 staging labels free, so it is not rotated any more.", sweeps(FreeLabels, least), When{under, 5, time.Hour, 1, 4, false}},
	{Morning, "issuer-refused", "A sweep needed the issuer, and the issuer was refused.", failedSweeps(ErrorBadIssuer), never()},
	{Morning, "issuer-refused-in-rotation", "A rotation needed the issuer, and the issuer was refused.", Metric{"rotate", "", StepFailed, ErrorBadIssuer, sum}, never()},
	{Morning, "foreign-key", "A key of ours belongs to another registry user now.", sweeps(ForeignKeys, sum), never()},
	{Morning, "unidentified-key", "A current key cannot be told from others at the registry, so it will not be revoked.", sweeps(UnidentifiedKey, sum), never()},
	{Morning, "orphans", "Keys were found that no version holds: a rotation was cut off in the middle.", sweeps(Orphans, sum), never()},
	{Morning, "not-bootstrapped", "A secret has waited for its first key for a day.", sweeps(NotBootstrapped, sum), When{over, 0, 6 * time.Hour, 4, 4, false}},
	{Morning, "dead-letters", "A sweep, an alarm or a restart could not be handed over.", Metric{"queue", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "", most}, When{over, 0, 5 * time.Minute, 1, 1, false}},
}

// restartAlarm is there only with services to restart.
var restartAlarm = Alarm{Morning, "restart-failed", "Services that got a key at their start could not be redeployed, and still use the old one.",
	Metric{"restart", "AWS/States", "ExecutionsFailed", "", sum}, never()}

// alarms are those of one stack.
type alarms struct {
	k    *keyRotation
	made map[string]awscloudwatch.CfnAlarm
}

func (k *keyRotation) newAlarms() {
	k.alarms = &alarms{k, map[string]awscloudwatch.CfnAlarm{}}
	for _, a := range Alarms {
		k.alarms.add(a, k.dimensions(a.Metric))
	}
}

// adapt widens what is in order to what the keys' own settings make so.
func (s *alarms) adapt(keys []config.Key) {
	days, held := morningDays, time.Duration(0)
	for _, key := range keys {
		days, held = min(days, key.LeastDaysLeft()), max(held, key.GracePeriod())
	}
	s.made["key-expires-soon"].SetThreshold(jsii.Number(float64(days)))
	s.made["held-too-long"].SetThreshold(jsii.Number((heldDays*24*time.Hour + held).Seconds()))
}

func (k *keyRotation) dimensions(m Metric) map[string]*string {
	switch m.Of {
	case "rotate":
		return map[string]*string{FunctionDimension: k.rotate.Ref()}
	case "revoke":
		return map[string]*string{FunctionDimension: k.revoke.Ref()}
	}
	return map[string]*string{"QueueName": k.deadLetters.AttrQueueName()}
}

func (k *keyRotation) alarmOfRestarts(machine awsstepfunctions.CfnStateMachine) (Alarm, map[string]*string) {
	return restartAlarm, map[string]*string{"StateMachineArn": machine.Ref()}
}

func (s *alarms) add(a Alarm, dimensions map[string]*string) {
	var labels []any
	if a.Metric.ErrorType != "" {
		labels = append(labels, &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(errorType), Value: jsii.String(a.Metric.ErrorType)})
	}
	for name, value := range dimensions { // one: no order
		labels = append(labels, &awscloudwatch.CfnAlarm_DimensionProperty{Name: jsii.String(name), Value: value})
	}
	namespace := a.Metric.Namespace
	if namespace == "" {
		namespace = Namespace
	}
	actions := &[]any{s.k.topicArn}
	missing, silence := "notBreaching", (*[]any)(nil)
	if a.When.Silence {
		missing, silence = "missing", actions
	}
	s.made[a.Page] = awscloudwatch.NewCfnAlarm(s.k, jsii.String(logical(a)), &awscloudwatch.CfnAlarmProps{
		AlarmName:        jsii.String(string(a.Class) + "-" + *awscdk.Stack_Of(s.k).StackName() + "-" + a.Page),
		AlarmDescription: jsii.String(a.description()),
		Namespace:        jsii.String(namespace), MetricName: jsii.String(a.Metric.Name), Statistic: jsii.String(a.Metric.Statistic), Dimensions: labels,
		ComparisonOperator: jsii.String(a.When.Comparison), Threshold: jsii.Number(a.When.Threshold),
		Period: jsii.Number(a.When.Period.Seconds()), DatapointsToAlarm: jsii.Number(float64(a.When.Of)), EvaluationPeriods: jsii.Number(float64(a.When.Out)),
		TreatMissingData: jsii.String(missing), AlarmActions: actions, InsufficientDataActions: silence,
	})
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

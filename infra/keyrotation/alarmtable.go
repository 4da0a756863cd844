package keyrotation

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
)

// Namespace is where the functions' metrics are, and FunctionDimension on each of them.
const (
	Namespace         = "QuiltRotate"
	FunctionDimension = "FunctionName"
	errorType         = "ErrorType"
	step              = "Step"
)

// The functions' metrics that alarms and dashboard look at, as the functions name them. All are sums over the secrets of the stack.
const (
	StepFailed         = "StepFailed"
	StepSucceeded      = "StepSucceeded"
	StepDuration       = "StepDuration"
	SelfHealed         = "SelfHealed"
	NewKeyDiffers      = "NewKeyDiffers"
	SweepSucceeded     = "SweepSucceeded"
	SweepFailed        = "SweepFailed"
	KeysRevoked        = "KeysRevoked"
	KeysHeld           = "KeysHeld"
	Orphans            = "Orphans"
	KeysNeedAttention  = "KeysNeedingAttention"
	BeforeFirstKey     = "StepFailedBeforeFirstKey"
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
	// Excuse explains the alarm: while it holds, nobody is told. nil: none.
	Excuse *Excuse
}

// Excuse is a condition on another metric, or on the same one over a longer time.
type Excuse struct {
	Metric Metric
	When   When
}

// Metric is what is looked at.
type Metric struct {
	Of        string // rotate, revoke, sweeps, queue, restart
	Namespace string // "": the functions' own
	Name      string
	Only      Dimension // the zero Dimension: all
	Statistic string
}

// Dimension narrows a metric of the functions down.
type Dimension struct{ Name, Value string }

// When is the condition: over or under the threshold, in so many of so many periods.
type When struct {
	Comparison awscloudwatch.ComparisonOperator
	Threshold  float64
	Period     time.Duration
	Of, Out    int // Of datapoints out of Out periods
	// Silence takes data that do not come for zero, at once: CloudWatch would wait for some periods more, as long as it finds older data (CloudWatch user guide, "Configuring how
	// CloudWatch alarms treat missing data").
	Silence bool
}

const (
	over  = awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD
	under = awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD

	sum, least, most = "Sum", "Minimum", "Maximum"
)

// never is for what must not happen at all. A sweep comes late now and then, and the alarm must not fall back between two.
func never() When { return When{over, 0, time.Hour, 1, 4, false} }

// onceADay is for what only one sweep a day finds: the alarm must not fall back between two.
func onceADay() When { return When{over, 0, 6 * time.Hour, 1, 5, false} }

// forADay is true in five periods on end: by then, the first of them ended a day ago.
func forADay() When { return When{over, 0, 6 * time.Hour, 5, 5, false} }

func rotates(name string) Metric {
	return Metric{"rotate", "", name, Dimension{}, sum}
}
func sweeps(name, statistic string) Metric { return Metric{"revoke", "", name, Dimension{}, statistic} }
func failedSweeps(fault string) Metric {
	return Metric{"revoke", "", SweepFailed, Dimension{errorType, fault}, sum}
}
func runs(name string) Metric { return Metric{"sweeps", "AWS/States", name, Dimension{}, sum} }
func ofLambda(function, name string) Metric {
	return Metric{function, "AWS/Lambda", name, Dimension{}, sum}
}

// Days that the alarms count in. An orderly rotation always leaves more than wakeDays (see config: lifetime).
const (
	wakeDays    = 7
	morningDays = 14
	heldDays    = 7
)

// Alarms is the table: a fixed number, whatever the number of keys. The functions' logs, and `quilt-rotate status`, say which secret it is.
var Alarms = []Alarm{
	{Wake, "current-key-refused", "The registry refuses the key in AWSCURRENT: its consumers are failing now.", failedSweeps(ErrorCurrentKeyRefused), never(), nil},
	{Wake, "value-overwritten", "Somebody overwrote the value of a secret, so consumers find no key.", failedSweeps(ErrorOverwritten), never(), nil},
	{Wake, "key-expires", "A current key expires in under 7 days: rotation has not worked for long.", sweeps(CurrentKeyDaysLeft, least), When{under, wakeDays, time.Hour, 1, 4, false}, nil},

	{Morning, "rotation-failed", "A step of a rotation failed; the current key still works.", rotates(StepFailed), never(), nil},
	{Morning, "test-rotation-failed", "A new key, or a changed configuration, did not pass its test.", Metric{"rotate", "", StepSucceeded, Dimension{step, "testSecret"}, least}, When{under, 1, time.Hour, 1, 4, false}, nil},
	{Morning, "rotation-overdue", "The date of a secret's next rotation is past.", sweeps(RotationOverdue, sum), never(), nil},
	{Morning, "rotation-off", "Rotation of a secret is switched off.", sweeps(RotationOff, sum), never(), nil},
	{Morning, "pending-too-long", "A version has been pending for over a day, which blocks further rotations.", sweeps(RotationUnderWay, most), forADay(), nil},
	{Morning, "self-healed", "A rotation that could not finish was given up by the function; the next starts afresh.", rotates(SelfHealed), never(), nil},
	{Morning, "new-key-differs", "The registry created a key that is not as it was asked for: its name or its lifetime is another.", rotates(NewKeyDiffers), never(), nil},
	{Morning, "rotate-errors", "The rotate function failed, or ran out of time.", ofLambda("rotate", "Errors"), never(), &beforeFirstKey},
	{Morning, "rotate-throttled", "The rotate function was not run for lack of concurrency.", ofLambda("rotate", "Throttles"), never(), nil},
	{Morning, "revoke-throttled", "The revoke function was not run for lack of concurrency.", ofLambda("revoke", "Throttles"), never(), nil},
	{Morning, "sweep-errors", "Sweeps fail, again and again.", ofLambda("revoke", "Errors"), When{over, 0, 2 * time.Hour, 2, 3, false}, nil},
	{Morning, "sweep-run-stopped", "A run of the sweeps stopped or failed, so secrets may not have been swept.", runs("ExecutionsFailed"), never(), nil},
	{Morning, "no-sweep", "No run of the sweeps has succeeded for 6 hours, so nothing is revoked.", runs("ExecutionsSucceeded"), When{under, 1, 3 * time.Hour, 2, 2, true}, &noSweepYet},
	{Morning, "key-expires-soon", "A current key expires soon: a rotation was missed.", sweeps(CurrentKeyDaysLeft, least), When{under, morningDays, time.Hour, 1, 4, false}, nil},
	{Morning, "held-too-long", "A superseded key has been held for over 7 days after its grace period, since somebody still uses it.", sweeps(OldestSuperseded, most), When{over, heldDays * 24 * 3600, time.Hour, 1, 4, false}, nil},
	{Morning, "few-labels", "A secret has fewer than 6 free staging labels, so it is not rotated any more.", sweeps(FreeLabels, least), When{under, 6, time.Hour, 1, 4, false}, nil},
	{Morning, "issuer-refused", "A sweep needed the issuer, and the issuer was refused.", failedSweeps(ErrorBadIssuer), never(), nil},
	{Morning, "issuer-refused-in-rotation", "A rotation needed the issuer, and the issuer was refused.", Metric{"rotate", "", StepFailed, Dimension{errorType, ErrorBadIssuer}, sum}, never(), nil},
	{Morning, "key-needs-attention", "A key will not be revoked until a person decides what to do with it.", sweeps(KeysNeedAttention, sum), onceADay(), nil},
	{Morning, "orphans", "Keys were found that no version holds: a rotation was cut off in the middle.", sweeps(Orphans, sum), never(), nil},
	{Morning, "not-bootstrapped", "A secret has waited for its first key for a day.", sweeps(NotBootstrapped, sum), forADay(), nil},
	{Morning, "dead-letters", "A run of the sweeps, a message or a restart could not be delivered.", Metric{"queue", "AWS/SQS", "ApproximateNumberOfMessagesVisible", Dimension{}, most}, When{over, 0, 5 * time.Minute, 1, 1, false}, nil},
}

// beforeFirstKey are rotations of a secret that has no key yet. They fail by design, and the alarm not-bootstrapped tells of such a secret.
var beforeFirstKey = Excuse{rotates(BeforeFirstKey), never()}

// noSweepYet is a stack that is new: nothing has been swept for a day. In one that is not, somebody has been told by then. It looks back for no longer than a day: CloudWatch
// looks at longer times only once an hour, when the alarm would have rung.
var noSweepYet = Excuse{runs("ExecutionsSucceeded"), When{under, 1, 6 * time.Hour, 4, 4, true}}

// RestartAlarm is there only with services to restart.
var RestartAlarm = Alarm{Morning, "restart-failed", "Services that got a key at their start could not be redeployed, and still use the old one.",
	Metric{"restart", "AWS/States", "ExecutionsFailed", Dimension{}, sum}, never(), nil}

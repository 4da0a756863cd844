package keyrotation

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
)

// Namespace is the namespace of the functions' metrics. Each of them has the dimension
// FunctionDimension.
const (
	Namespace         = "QuiltRotate"
	FunctionDimension = "FunctionName"
	errorType         = "ErrorType"
	step              = "Step"
)

// Metrics of the functions that the alarms and the dashboard use. A value is for one secret; the
// statistics are over all secrets.
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

// Error types that have an alarm of their own.
const (
	ErrorCurrentKeyRefused = "CurrentKeyRefused"
	ErrorOverwritten       = "Overwritten"
	ErrorBadIssuer         = "BadIssuer"
)

// Class says how soon a person must act. The name of each alarm begins with it, so that a
// subscription can filter.
type Class string

// The classes.
const (
	Wake    Class = "wake"    // now
	Morning Class = "morning" // in the morning
)

// Alarm is one row of the table of alarms.
type Alarm struct {
	Class    Class
	Page     string // of the runbook: docs/runbook/<page>.md
	Sentence string
	Metric   Metric
	When     When
	// Excuse suppresses the alarm while its condition is true. nil: none.
	Excuse *Excuse
}

// Excuse is a condition on another metric, or on the same one over a longer time.
type Excuse struct {
	Metric Metric
	When   When
}

// Metric is a metric of this stack.
type Metric struct {
	Of        string // rotate, revoke, sweeps, queue, restart
	Namespace string // "": Namespace
	Name      string
	Only      Dimension // the zero Dimension: all
	Statistic string
}

// Dimension is a further dimension of a metric of the functions.
type Dimension struct{ Name, Value string }

// When is the condition of an alarm.
type When struct {
	Comparison awscloudwatch.ComparisonOperator
	Threshold  float64
	Period     time.Duration
	Of, Out    int // Of datapoints out of Out periods
	// Silence counts missing data as zero immediately. CloudWatch would otherwise wait some periods
	// more while it finds older data (CloudWatch user guide, "Configuring how CloudWatch alarms
	// treat missing data").
	Silence bool
}

const (
	over  = awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD
	under = awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD

	sum, least, most = "Sum", "Minimum", "Maximum"
)

// never is the condition for events that must not happen at all. It stays true for four hours, so
// that the alarm does not end before the next sweep, even if that sweep is late.
func never() When { return When{over, 0, time.Hour, 1, 4, false} }

// onceADay is the condition for what only one sweep a day finds. It stays true until that sweep
// runs again.
func onceADay() When { return When{over, 0, 6 * time.Hour, 1, 5, false} }

// forADay is the condition for what lasts for a day: five periods in a row, of which the first
// ended a day ago.
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

// Thresholds in days. A successful rotation always leaves more than wakeDays (see package config).
const (
	wakeDays    = 7
	morningDays = 14
	heldDays    = 7
)

// Alarms is the table of alarms. Their number does not depend on the number of secrets; logs,
// events and `quilt-rotate status` say which secret it is.
var Alarms = []Alarm{
	{Wake, "current-key-refused", "The registry refuses a secret's current key, so its consumers fail now.",
		failedSweeps(ErrorCurrentKeyRefused), never(), nil},
	{Wake, "value-overwritten", "The value of a secret was overwritten, so its consumers find no key.",
		failedSweeps(ErrorOverwritten), never(), nil},
	{Wake, "key-expires", "A current key expires in less than 7 days, because its rotations failed.",
		sweeps(CurrentKeyDaysLeft, least), When{under, wakeDays, time.Hour, 1, 4, false}, nil},

	{Morning, "rotation-failed", "A step of a rotation failed, and the current key still works.", rotates(StepFailed),
		never(), nil},
	{Morning, "test-rotation-failed", "The step testSecret failed for a new key or a changed rotation schedule.",
		Metric{"rotate", "", StepSucceeded, Dimension{step, "testSecret"}, least},
		When{under, 1, time.Hour, 1, 4, false}, nil},
	{Morning, "rotation-overdue", "The next rotation of a secret is overdue.", sweeps(RotationOverdue, sum), never(),
		nil},
	{Morning, "rotation-off", "The rotation of a secret is switched off.", sweeps(RotationOff, sum), never(), nil},
	{Morning, "pending-too-long", "A version of a secret has been pending for more than a day, which blocks further " +
		"rotations.", sweeps(RotationUnderWay, most), forADay(), nil},
	{Morning, "self-healed", "The rotate function abandoned a rotation that could not finish, so that the next one " +
		"can start.", rotates(SelfHealed), never(), nil},
	{Morning, "new-key-differs", "The registry created a key with another name or lifetime than requested.",
		rotates(NewKeyDiffers), never(), nil},
	{Morning, "rotate-errors", "The rotate function failed or timed out.", ofLambda("rotate", "Errors"), never(),
		&beforeFirstKey},
	{Morning, "rotate-throttled", "Lambda throttled the rotate function.", ofLambda("rotate", "Throttles"), never(),
		nil},
	{Morning, "revoke-throttled", "Lambda throttled the revoke function.", ofLambda("revoke", "Throttles"), never(),
		nil},
	{Morning, "sweep-errors", "Sweeps of a secret keep failing.", sweeps(SweepFailed, sum),
		When{over, 0, 2 * time.Hour, 2, 3, false}, nil},
	// A failed sweep is not a failed invocation: the function returns its result, and the state
	// machine continues.
	{Morning, "revoke-errors", "The revoke function failed or timed out.", ofLambda("revoke", "Errors"),
		When{over, 0, 2 * time.Hour, 2, 3, false}, nil},
	{Morning, "sweep-run-stopped", "A run of sweeps stopped or failed, so some secrets may not have been swept.",
		runs("ExecutionsFailed"), never(), nil},
	{Morning, "no-sweep", "No run of sweeps has succeeded for 6 hours, so no key is revoked.",
		runs("ExecutionsSucceeded"), When{under, 1, 3 * time.Hour, 2, 2, true}, &noSweepYet},
	{Morning, "key-expires-soon", "A current key expires soon, because a rotation was missed.",
		sweeps(CurrentKeyDaysLeft, least), When{under, morningDays, time.Hour, 1, 4, false}, nil},
	{Morning, "held-too-long", "A superseded key is still used more than 7 days after its grace period, so it is not " +
		"revoked.", sweeps(OldestSuperseded, most), When{over, heldDays * 24 * 3600, time.Hour, 1, 4, false}, nil},
	{Morning, "few-labels", "A secret has fewer than 6 free staging labels, so its next rotation fails.",
		sweeps(FreeLabels, least), When{under, 6, time.Hour, 1, 4, false}, nil},
	{Morning, "issuer-refused", "A sweep needed an issuing credential that the registry refuses.",
		failedSweeps(ErrorBadIssuer), never(), nil},
	{Morning, "issuer-refused-in-rotation", "A rotation needed an issuing credential that the registry refuses.",
		Metric{"rotate", "", StepFailed, Dimension{errorType, ErrorBadIssuer}, sum}, never(), nil},
	{Morning, "key-needs-attention", "A key is not revoked until a person decides what to do with it.",
		sweeps(KeysNeedAttention, sum), onceADay(), nil},
	{Morning, "orphans", "A sweep found keys that no version holds, because a rotation was interrupted.",
		sweeps(Orphans, sum), never(), nil},
	{Morning, "not-bootstrapped", "A secret has had no first key for a day.", sweeps(NotBootstrapped, sum), forADay(),
		nil},
	{Morning, "dead-letters", "A run of sweeps, a message or a restart could not be delivered.",
		Metric{"queue", "AWS/SQS", "ApproximateNumberOfMessagesVisible", Dimension{}, most},
		When{over, 0, 5 * time.Minute, 1, 1, false}, nil},
}

// beforeFirstKey is true when the rotation of a secret without a first key failed. That is
// expected; the alarm not-bootstrapped reports such a secret.
var beforeFirstKey = Excuse{rotates(BeforeFirstKey), never()}

// noSweepYet is true in a new stack, in which no run has succeeded for a day. In an older stack,
// the alarm was raised before that. It looks back only one day, because CloudWatch evaluates longer
// times only once an hour.
var noSweepYet = Excuse{runs("ExecutionsSucceeded"), When{under, 1, 6 * time.Hour, 4, 4, true}}

// RestartAlarm exists only with services to restart.
var RestartAlarm = Alarm{Morning, "restart-failed", "ECS services could not be redeployed and still use the old key.",
	Metric{"restart", "AWS/States", "ExecutionsFailed", Dimension{}, sum}, never(), nil}

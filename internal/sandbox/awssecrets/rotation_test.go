package awssecrets_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/sandbox/awssecrets"
)

const aRotation = "create set test finish"

var errStep = errors.New("the step failed")

// failing fails one step, as often as n says.
func failing(step string, n int32) func(event) error {
	var failed atomic.Int32
	return func(e event) error {
		if e.Step == step && failed.Add(1) <= n {
			return errStep
		}
		return nil
	}
}

// A rotation that succeeds calls the four steps with the documented event and takes AWSPENDING off
// itself.
func TestRotationSucceeds(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	r.after = func(e event) error {
		if e.Step == "finishSecret" { // the function leaves both labels; the service cleans up after it
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT,AWSPENDING")
		}
		return nil
	}
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	s.events(awssecrets.RotationStarted, awssecrets.RotationSucceeded)
	if got := r.steps(); got != aRotation {
		t.Errorf("steps were %s", got)
	}
	for _, e := range r.calls {
		if e.SecretId != awssecrets.ARN("us-east-1", "123456789012", name) || e.ClientRequestToken != token(2) ||
			len(e.RotationToken) != 36 || e.RotationToken != r.calls[0].RotationToken {
			t.Errorf("the event was %+v", e)
		}
	}
	d := s.describe()
	if !aws.ToBool(d.RotationEnabled) || aws.ToString(d.RotationLambdaARN) != function || d.LastRotatedDate == nil {
		t.Errorf("after a rotation the secret is %+v", d)
	}
}

// The next rotation has another RotationToken, uses the stored function, and is not blocked by the
// last one.
func TestRotationFollowsRotation(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	s.ok(s.rotate(3, func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN = nil }))
	s.ok(s.wait())
	s.stages("2:AWSPREVIOUS 3:AWSCURRENT")
	if r.calls[0].RotationToken == r.calls[4].RotationToken {
		t.Error("two rotations have the same RotationToken")
	}
}

// Between RotateSecret and createSecret the pending version has an id and no value.
func TestPendingVersionIsEmptyAtFirst(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	r.before = func(e event) error {
		if e.Step != "createSecret" {
			return nil
		}
		s.stages("1:AWSCURRENT 2:AWSPENDING")
		for _, read := range []func() (string, error){
			func() (string, error) { return s.get("AWSPENDING", 0) },
			func() (string, error) { return s.get("", 2) },
			func() (string, error) { return s.get("AWSPENDING", 2) },
		} {
			_, err := read()
			var notFound *types.ResourceNotFoundException
			if !errors.As(err, &notFound) {
				return fmt.Errorf("the empty version reads as %w", err)
			}
		}
		return nil
	}
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
}

// RotateSecret returns before its first step, and the same request again is no other rotation.
func TestRotateSecretIsAsynchronous(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	gate := make(chan struct{})
	r.before = func(event) error { <-gate; return nil }
	s.ok(s.rotate(2, nil))
	s.ok(s.rotate(2, nil))
	s.refused(s.rotate(3, nil), "InvalidRequestException", "A previous rotation isn't complete. That rotation will "+
		"be reattempted.")
	s.stages("1:AWSCURRENT 2:AWSPENDING")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.WaitRotation(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a rotation that runs: %v", err)
	}
	close(gate)
	s.ok(s.wait())
	if got := r.steps(); got != aRotation {
		t.Errorf("steps were %s", got)
	}
}

// A step that fails makes the service repeat the whole rotation with the same tokens.
func TestFailedRotationIsRepeatedWhole(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	r.before = failing("testSecret", 2)
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	if got := r.steps(); got != "create set test create set test "+aRotation {
		t.Errorf("steps were %s", got)
	}
	for _, e := range r.calls {
		if e.ClientRequestToken != token(2) || e.RotationToken != r.calls[0].RotationToken {
			t.Errorf("a repetition has other tokens: %+v", e)
		}
	}
	s.events(awssecrets.RotationStarted, awssecrets.RotationFailed, awssecrets.RotationFailed,
		awssecrets.RotationSucceeded)
	for _, e := range s.Events() {
		if e.Name == awssecrets.RotationFailed && e.Message != "Error when executing lambda "+function+
			" during testSecret step" {
			t.Errorf("the failure says %q", e.Message)
		}
	}
}

// A finishSecret that fails after the move, or returns without it, is repeated too.
func TestFinishSecretIsJudgedByAWSCURRENT(t *testing.T) {
	t.Run("fails after the move", func(t *testing.T) {
		s, r := rotating(t, awssecrets.Options{})
		r.after = failing("finishSecret", 1)
		s.ok(s.rotate(2, nil))
		s.ok(s.wait())
		if got := r.steps(); got != aRotation+" "+aRotation {
			t.Errorf("steps were %s", got)
		}
		s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	})
	t.Run("returns without it", func(t *testing.T) {
		s, r := rotating(t, awssecrets.Options{RotationTries: 1})
		r.after = func(e event) error {
			if e.Step == "finishSecret" {
				return s.move("AWSCURRENT", 2, 1)
			}
			return nil
		}
		s.ok(s.rotate(2, nil))
		if err := s.wait(); err == nil || !strings.Contains(err.Error(), "during finishSecret step") {
			t.Errorf("the rotation ended with %v", err)
		}
		s.stages("1:AWSCURRENT 2:AWSPENDING,AWSPREVIOUS")
	})
}

// stuck is a service whose rotation to version 2 has used up its tries.
func stuck(t *testing.T, step string) (*service, *rotator, *atomic.Bool) {
	t.Helper()
	s, r := rotating(t, awssecrets.Options{RotationTries: 2})
	var healed atomic.Bool
	r.before = func(e event) error {
		if e.Step == step && !healed.Load() {
			return errStep
		}
		return nil
	}
	s.ok(s.rotate(2, nil))
	err := s.wait()
	var failure *awssecrets.StepError
	if !errors.As(err, &failure) || failure.Step != step || !strings.Contains(string(failure.Answer), errStep.Error()) {
		t.Fatalf("the stuck rotation ended with %v", err)
	}
	return s, r, &healed
}

// A rotation that failed too often keeps AWSPENDING, which blocks the next; the refused call goes
// on with the stuck one.
func TestStuckRotationBlocksAndIsReattempted(t *testing.T) {
	s, r, healed := stuck(t, "testSecret")
	s.stages("1:AWSCURRENT 2:AWSPENDING")
	if got := r.steps(); got != "create set test create set test" {
		t.Fatalf("steps were %s", got)
	}
	healed.Store(true)
	s.refused(s.rotate(3, func(in *secretsmanager.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(9)}
	}), "InvalidRequestException", "A previous rotation isn't complete")
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	if rules := s.describe().RotationRules; rules != nil {
		t.Errorf("the refused call stored %v", rules)
	}
}

// The service goes on with a stuck rotation in a later window.
func TestStuckRotationIsRetriedLater(t *testing.T) {
	s, _, healed := stuck(t, "createSecret")
	s.stages("1:AWSCURRENT 2:AWSPENDING") // an empty version this time
	healed.Store(true)
	s.ok(s.Retry(name))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	if err := s.Retry(name); err == nil {
		t.Error("a rotation that succeeded was retried")
	}
}

// Taking AWSPENDING off is the documented way to unstick a rotation.
func TestStuckRotationIsFreedByRemovingAWSPENDING(t *testing.T) {
	s, _, healed := stuck(t, "testSecret")
	healed.Store(true)
	s.ok(s.move("AWSPENDING", 2, 0))
	s.stages("1:AWSCURRENT")
	if err := s.Retry(name); err == nil {
		t.Error("a rotation without AWSPENDING was retried")
	}
	s.ok(s.rotate(3, nil))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 3:AWSCURRENT")
}

// A rotation that takes the place of one that lost AWSPENDING does not hide that one's last step,
// which still runs.
func TestTheStepOfAFormerRotationIsWaitedFor(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	gate, in := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	r.before = func(event) error {
		if first.CompareAndSwap(false, true) {
			close(in)
			<-gate
		}
		return nil
	}
	release := sync.OnceFunc(func() { close(gate) })
	defer release()
	s.ok(s.rotate(2, nil))
	<-in
	s.ok(s.move("AWSPENDING", 2, 0))
	s.ok(s.rotate(3, nil))
	for deadline := time.Now().Add(5 * time.Minute); r.steps() != "create "+aRotation; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the second rotation's steps were %s", r.steps())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.WaitRotation(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting while a former rotation's step runs: %v", err)
	}
	release()
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSPENDING 3:AWSCURRENT") // the late step has put its value
}

// AWSPENDING on the current version is the good end of a rotation and blocks nothing.
func TestAWSPENDINGOnTheCurrentVersionDoesNotBlock(t *testing.T) {
	s, _ := rotating(t, awssecrets.Options{})
	s.ok(s.move("AWSPENDING", 0, 1))
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
}

// AWSPENDING that somebody set by hand blocks too, and there is no rotation to go on with.
func TestAWSPENDINGByHandBlocks(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	s.ok(s.put(2, "v2", "AWSPENDING"))
	s.refused(s.rotate(3, nil), "InvalidRequestException", "A previous rotation isn't complete")
	s.ok(s.wait())
	if got := r.steps(); got != "" {
		t.Errorf("steps were %s", got)
	}
}

// A version made by hand while a rotation runs makes the service abandon it: no label, no further
// step, no retry.
func TestNewVersionByHandAbandonsTheRotation(t *testing.T) {
	byHand := map[string]func(*service) error{
		"PutSecretValue":                func(s *service) error { return s.put(3, "v3") },
		"PutSecretValue, another label": func(s *service) error { return s.put(3, "v3", "AWSCURRENT", "mine") },
		"UpdateSecret": func(s *service) error {
			_, err := s.client.UpdateSecret(s.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String(name), ClientRequestToken: aws.String(token(3)), SecretString: aws.String("v3"),
			})
			return err
		},
	}
	for what, do := range byHand {
		t.Run(what, func(t *testing.T) {
			s, r := rotating(t, awssecrets.Options{})
			r.after = func(e event) error {
				if e.Step == "setSecret" {
					return do(s)
				}
				return nil
			}
			s.ok(s.rotate(2, nil))
			if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
				t.Errorf("the rotation ended with %v", err)
			}
			if got := r.steps(); got != "create set" {
				t.Errorf("steps were %s", got)
			}
			if id, held := s.describe().VersionIdsToStages[token(2)]; held {
				t.Errorf("the abandoned version has %v", id)
			}
			s.events(awssecrets.RotationStarted, awssecrets.RotationAbandoned)
			s.ok(s.rotate(4, nil))
		})
	}
}

// A rotation that is stuck is under way too: a version made by hand abandons it, and the next
// rotation is free.
func TestNewVersionByHandAbandonsAStuckRotation(t *testing.T) {
	s, _, healed := stuck(t, "testSecret")
	healed.Store(true)
	s.ok(s.put(3, "v3"))
	s.stages("1:AWSPREVIOUS 3:AWSCURRENT")
	s.ok(s.rotate(4, nil))
	s.ok(s.wait())
	s.stages("3:AWSPREVIOUS 4:AWSCURRENT")
}

// A step that was running when its rotation was abandoned acts on what is then: its put lands.
func TestAbandonedStepActsOnWhatIs(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	r.before = func(e event) error {
		if e.Step == "createSecret" {
			return s.put(3, "v3")
		}
		return nil
	}
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
		t.Errorf("the rotation ended with %v", err)
	}
	s.stages("1:AWSPREVIOUS 2:AWSPENDING 3:AWSCURRENT")
}

// A function that takes AWSPENDING off the pending version ends its rotation: no further step, no
// retry.
func TestRemovingAWSPENDINGEndsTheRotation(t *testing.T) {
	for what, test := range map[string]struct {
		err   error
		event string
	}{"and fails": {errStep, awssecrets.RotationFailed}, "and succeeds": {nil, awssecrets.RotationAbandoned}} {
		t.Run(what, func(t *testing.T) {
			s, r := rotating(t, awssecrets.Options{})
			r.after = func(e event) error {
				s.ok(s.move("AWSPENDING", 2, 0))
				return test.err
			}
			s.ok(s.rotate(2, nil))
			if err := s.wait(); err == nil {
				t.Error("the rotation succeeded")
			}
			if got := r.steps(); got != "create" {
				t.Errorf("steps were %s", got)
			}
			s.stages("1:AWSCURRENT")
			s.events(awssecrets.RotationStarted, test.event)
		})
	}
}

// CancelRotateSecret turns rotation off, stops after the running step and leaves AWSPENDING, which
// then blocks.
func TestCancelLeavesAWSPENDING(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	cancel := func() (*secretsmanager.CancelRotateSecretOutput, error) {
		return s.client.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{
			SecretId: aws.String(name)})
	}
	_, err := cancel()
	s.refused(err, "InvalidRequestException")
	if on := s.describe().RotationEnabled; on != nil {
		t.Errorf("before any rotation RotationEnabled is %v", *on)
	}
	var cancelled atomic.Pointer[secretsmanager.CancelRotateSecretOutput]
	r.after = func(e event) error {
		out, err := cancel()
		cancelled.Store(out)
		return err
	}
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
		t.Errorf("the rotation ended with %v", err)
	}
	if got := aws.ToString(cancelled.Load().VersionId); got != token(2) {
		t.Errorf("the cancelled version is %q", got)
	}
	if d := s.describe(); d.RotationEnabled == nil || *d.RotationEnabled || d.NextRotationDate != nil {
		t.Errorf("after a cancel the secret is %+v", d)
	}
	s.stages("1:AWSCURRENT 2:AWSPENDING")
	s.refused(s.rotate(3, nil), "InvalidRequestException", "A previous rotation isn't complete")
	if got := r.steps(); got != "create" {
		t.Errorf("steps were %s", got)
	}
}

// RotateImmediately=false tries testSecret on a temporary copy of the current value, and leaves
// nothing.
func TestRotateLaterOnlyTests(t *testing.T) {
	for what, test := range map[string]struct {
		err  error
		last string
	}{"passes": {nil, awssecrets.TestRotationSucceeded}, "fails": {errStep, awssecrets.TestRotationFailed}} {
		t.Run(what, func(t *testing.T) {
			s, r := rotating(t, awssecrets.Options{})
			r.before = func(event) error {
				s.stages("1:AWSCURRENT 2:AWSPENDING")
				if v, err := s.get("AWSPENDING", 2); err != nil || v != "v1" {
					return fmt.Errorf("the temporary version holds %q, %w", v, err)
				}
				return test.err
			}
			s.ok(s.rotate(2, func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }))
			if err := s.wait(); (err == nil) != (test.err == nil) {
				t.Errorf("the test ended with %v", err)
			}
			if got := r.steps(); got != "test" {
				t.Errorf("steps were %s", got)
			}
			s.stages("1:AWSCURRENT")
			if _, err := s.get("", 2); err == nil {
				t.Error("the temporary version is still there")
			}
			s.events(awssecrets.TestRotationStarted, test.last)
			if d := s.describe(); !aws.ToBool(d.RotationEnabled) || d.LastRotatedDate != nil {
				t.Errorf("after a test the secret is %+v", d)
			}
		})
	}
}

// A RotationToken that is not the rotation's is refused; leaving it out is not.
func TestRotationTokenIsCheckedWhenGiven(t *testing.T) {
	s := start(t, awssecrets.Options{})
	s.create()
	rotationToken, err := s.StartPending(name, token(2))
	s.ok(err)
	put := func(rotationToken *string) error {
		_, err := s.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: aws.String(name), ClientRequestToken: aws.String(token(2)), SecretString: aws.String("v2"),
			VersionStages: []string{"AWSPENDING"}, RotationToken: rotationToken,
		})
		return err
	}
	s.refused(put(aws.String(token(7))), "InvalidParameterException")
	s.refused(put(aws.String("short")), "InvalidParameterException")
	s.ok(put(&rotationToken))
	s.ok(put(nil))
	s.stages("1:AWSCURRENT 2:AWSPENDING")
}

// A test can play the service: the pending version it starts is a rotation's, but nothing is
// invoked.
func TestPendingVersionOfATest(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	_, err := s.StartPending(name, token(2))
	s.ok(err)
	s.stages("1:AWSCURRENT 2:AWSPENDING")
	if !aws.ToBool(s.describe().RotationEnabled) {
		t.Error("rotation is off")
	}
	if _, err := s.StartPending(name, token(3)); err == nil {
		t.Error("a second rotation was started")
	}
	s.refused(s.rotate(3, nil), "InvalidRequestException", "A previous rotation isn't complete")
	if err := s.FinishPending(name); err == nil {
		t.Error("a rotation was finished before its version was current")
	}
	s.ok(s.put(2, "v2", "AWSPENDING"))
	s.ok(s.move("AWSCURRENT", 1, 2))
	s.ok(s.FinishPending(name))
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	if s.describe().LastRotatedDate == nil {
		t.Error("a finished rotation has no date")
	}
	if got := r.steps(); got != "" {
		t.Errorf("steps were %s", got)
	}
}

// Retry invokes the functions for a rotation that a test began, too.
func TestRetryDrivesARotationOfATest(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	s.ok(s.rotate(2, nil)) // configures the function
	s.ok(s.wait())
	_, err := s.StartPending(name, token(3))
	s.ok(err)
	s.ok(s.Retry(name))
	s.ok(s.wait())
	s.stages("2:AWSPREVIOUS 3:AWSCURRENT")
	if got := r.steps(); got != aRotation+" "+aRotation {
		t.Errorf("steps were %s", got)
	}
	if err := s.Retry("absent"); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("an absent secret was retried: %v", err)
	}
}

// A RotateSecret that the service refuses changes nothing.
func TestRefusedRotateSecretChangesNothing(t *testing.T) {
	rules := func(days int64, expression, duration string) func(*secretsmanager.RotateSecretInput) {
		return func(in *secretsmanager.RotateSecretInput) {
			in.RotationRules = &types.RotationRulesType{}
			if days != 0 {
				in.RotationRules.AutomaticallyAfterDays = aws.Int64(days)
			}
			if expression != "" {
				in.RotationRules.ScheduleExpression = aws.String(expression)
			}
			if duration != "" {
				in.RotationRules.Duration = aws.String(duration)
			}
		}
	}
	tests := map[string]struct {
		change func(*secretsmanager.RotateSecretInput)
		code   string
	}{
		"an unknown function": {func(in *secretsmanager.RotateSecretInput) {
			in.RotationLambdaARN = aws.String(function + "2")
		}, "ResourceNotFoundException"},
		"no function": {func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN = nil },
			"InvalidRequestException"},
		"a version's token": {func(in *secretsmanager.RotateSecretInput) {
			in.ClientRequestToken = aws.String(token(1))
		}, "InvalidRequestException"},
		"a short token": {func(in *secretsmanager.RotateSecretInput) {
			in.ClientRequestToken = aws.String("t")
		}, "InvalidParameterException"},
		"both kinds of rules":   {rules(1, "rate(1 day)", ""), "InvalidParameterException"},
		"1001 days":             {rules(1001, "", ""), "InvalidParameterException"},
		"a duration alone":      {rules(0, "", "3h"), "InvalidParameterException"},
		"3 hours":               {rules(0, "rate(3 hours)", ""), "InvalidParameterException"},
		"1000 days by rate":     {rules(0, "rate(1000 days)", ""), "InvalidParameterException"},
		"weeks":                 {rules(0, "rate(1 week)", ""), "InvalidParameterException"},
		"no expression":         {rules(0, "daily", ""), "InvalidParameterException"},
		"five cron fields":      {rules(0, "cron(0 4 ? * SUN)", ""), "InvalidParameterException"},
		"minutes":               {rules(0, "cron(30 4 ? * SUN *)", ""), "InvalidParameterException"},
		"a year":                {rules(0, "cron(0 4 ? * SUN 2026)", ""), "InvalidParameterException"},
		"two days":              {rules(0, "cron(0 4 1 * SUN *)", ""), "InvalidParameterException"},
		"no day":                {rules(0, "cron(0 4 ? * ? *)", ""), "InvalidParameterException"},
		"hour 24":               {rules(0, "cron(0 24 ? * SUN *)", ""), "InvalidParameterException"},
		"every 3 hours":         {rules(0, "cron(0 */3 * * ? *)", ""), "InvalidParameterException"},
		"3 hours over midnight": {rules(0, "cron(0 1,22 * * ? *)", ""), "InvalidParameterException"},
		"the sixth Sunday":      {rules(0, "cron(0 4 ? * SUN#6 *)", ""), "InvalidParameterException"},
		"a backward range":      {rules(0, "cron(0 4 ? * FRI-MON *)", ""), "InvalidParameterException"},
		"into the next day":     {rules(0, "cron(0 22 ? * SUN *)", "3h"), "InvalidParameterException"},
		"into the next window":  {rules(0, "rate(4 hours)", "5h"), "InvalidParameterException"},
		"no hours":              {rules(0, "rate(1 day)", "0h"), "InvalidParameterException"},
		"a duration in minutes": {rules(0, "rate(1 day)", "9m"), "InvalidParameterException"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			s, r := rotating(t, awssecrets.Options{})
			before := s.describe().LastChangedDate
			s.clock.Advance(time.Minute)
			s.refused(s.rotate(2, test.change), test.code)
			s.stages("1:AWSCURRENT")
			d := s.describe()
			if d.RotationEnabled != nil || d.RotationLambdaARN != nil || d.RotationRules != nil ||
				!d.LastChangedDate.Equal(*before) {
				t.Errorf("the refused call left %+v", d)
			}
			if got := r.steps(); got != "" {
				t.Errorf("steps were %s", got)
			}
		})
	}
}

// A secret that is deleted under a rotation ends it.
func TestDeletingTheSecretEndsItsRotation(t *testing.T) {
	s, r := rotating(t, awssecrets.Options{})
	r.after = func(event) error {
		_, err := s.client.DeleteSecret(context.Background(),
			&secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
		return err
	}
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
		t.Errorf("the rotation ended with %v", err)
	}
	if got := r.steps(); got != "create" {
		t.Errorf("steps were %s", got)
	}
}

// Close ends the contexts of running functions and waits for them; a closed service starts no
// rotation.
func TestCloseWaitsForFunctions(t *testing.T) {
	entered, f := make(chan struct{}), &waiting{}
	f.entered = entered
	s := start(t, awssecrets.Options{Functions: f})
	s.create()
	s.ok(s.rotate(2, nil))
	<-entered
	s.Close()
	if !f.left.Load() {
		t.Error("Close returned while a function ran")
	}
	if err := s.rotate(3, nil); err == nil {
		t.Error("a closed service rotates")
	}
	if err := s.Retry(name); err == nil {
		t.Error("a closed service retries")
	}
}

// waiting is a function that runs until its context ends.
type waiting struct {
	entered chan struct{}
	left    atomic.Bool
}

func (w *waiting) Invoke(ctx context.Context, _ string, _ []byte) ([]byte, string, error) {
	close(w.entered)
	<-ctx.Done()
	w.left.Store(true)
	return nil, "", ctx.Err()
}

// A step has a limited time, as Lambda's functions do.
func TestStepHasALimitedTime(t *testing.T) {
	f := &waiting{entered: make(chan struct{})}
	s := start(t, awssecrets.Options{Functions: f, LambdaTimeout: time.Millisecond, RotationTries: 1})
	s.create()
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the step ended with %v", err)
	}
}

// The observer gets every event once, in order, and may call the service.
func TestObserverGetsEveryEvent(t *testing.T) {
	var s *service
	var seen []string
	done := make(chan struct{})
	options := awssecrets.Options{OnEvent: func(e awssecrets.Event) {
		if _, err := s.Snapshot(e.SecretARN); err != nil {
			t.Errorf("the observer cannot look: %v", err)
		}
		seen = append(seen, e.Name)
		if e.Name == awssecrets.RotationSucceeded {
			close(done)
		}
	}}
	r := &rotator{}
	options.Functions = r
	s = start(t, options)
	r.service = s
	s.create()
	s.ok(s.rotate(2, nil))
	<-done
	want := "Secret Label Updated, RotationStarted, Secret Label Updated, RotationSucceeded"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("the observer saw %s, want %s", got, want)
	}
}

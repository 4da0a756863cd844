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

const allSteps = "create set test finish"

var errStep = errors.New("the step failed")

// failing returns a hook that fails the step for the first n times.
func failing(step string, n int32) func(event) error {
	var failed atomic.Int32
	return func(e event) error {
		if e.Step == step && failed.Add(1) <= n {
			return errStep
		}
		return nil
	}
}

// The service, not the function, removes AWSPENDING after the four steps.
func TestRotationSucceeds(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	r.after = func(e event) error {
		if e.Step == "finishSecret" { // the function leaves both labels; the service removes AWSPENDING
			s.stages("1:AWSPREVIOUS 2:AWSCURRENT,AWSPENDING")
		}
		return nil
	}
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	s.events(awssecrets.RotationStarted, awssecrets.RotationSucceeded)
	if got := r.steps(); got != allSteps {
		t.Errorf("the steps were %q, want %q", got, allSteps)
	}
	for _, e := range r.calls {
		if e.SecretId != awssecrets.ARN("us-east-1", "123456789012", name) || e.ClientRequestToken != token(2) ||
			len(e.RotationToken) != 36 || e.RotationToken != r.calls[0].RotationToken {
			t.Errorf("unexpected event %+v", e)
		}
	}
	d := s.describe()
	if !aws.ToBool(d.RotationEnabled) || aws.ToString(d.RotationLambdaARN) != function || d.LastRotatedDate == nil {
		t.Errorf("after a rotation the secret is %+v", d)
	}
}

// The next rotation has a different RotationToken and uses the stored function.
func TestSecretCanBeRotatedAgain(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	s.ok(s.rotate(3, func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN = nil }))
	s.ok(s.wait())
	s.stages("2:AWSPREVIOUS 3:AWSCURRENT")
	if r.calls[0].RotationToken == r.calls[4].RotationToken {
		t.Error("two rotations have the same RotationToken")
	}
}

// Between RotateSecret and createSecret, the pending version has an id but no value.
func TestPendingVersionIsEmptyAtFirst(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
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
				return fmt.Errorf("got %w for the empty version, want ResourceNotFoundException", err)
			}
		}
		return nil
	}
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
}

// RotateSecret returns before the first step. The same request again starts no second rotation.
func TestRotateSecretIsAsynchronous(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
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
		t.Errorf("WaitRotation returned %v while the rotation runs, want context.Canceled", err)
	}
	close(gate)
	s.ok(s.wait())
	if got := r.steps(); got != allSteps {
		t.Errorf("the steps were %q, want %q", got, allSteps)
	}
}

// If a step fails, the service repeats the whole rotation with the same tokens.
func TestFailedRotationIsRepeatedFromTheFirstStep(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	r.before = failing("testSecret", 2)
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	if got := r.steps(); got != "create set test create set test "+allSteps {
		t.Errorf("the steps were %q, want %q", got, "create set test create set test "+allSteps)
	}
	for _, e := range r.calls {
		if e.ClientRequestToken != token(2) || e.RotationToken != r.calls[0].RotationToken {
			t.Errorf("a repeated step has different tokens: %+v", e)
		}
	}
	s.events(awssecrets.RotationStarted, awssecrets.RotationFailed, awssecrets.RotationFailed,
		awssecrets.RotationSucceeded)
	for _, e := range s.Events() {
		if e.Name == awssecrets.RotationFailed && e.Message != "Error when executing lambda "+function+
			" during testSecret step" {
			t.Errorf("the message of RotationFailed is %q", e.Message)
		}
	}
}

// finishSecret is also repeated if it fails after it moved AWSCURRENT, or succeeds without moving
// it.
func TestFinishSecretMustMoveAWSCURRENT(t *testing.T) {
	t.Run("fails after the move", func(t *testing.T) {
		s, r := startWithRotator(t, awssecrets.Options{})
		r.after = failing("finishSecret", 1)
		s.ok(s.rotate(2, nil))
		s.ok(s.wait())
		if got := r.steps(); got != allSteps+" "+allSteps {
			t.Errorf("the steps were %q, want %q", got, allSteps+" "+allSteps)
		}
		s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	})
	t.Run("succeeds without the move", func(t *testing.T) {
		s, r := startWithRotator(t, awssecrets.Options{RotationTries: 1})
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

// stuck returns a service whose rotation to version 2 has failed in all attempts.
func stuck(t *testing.T, step string) (*service, *rotator, *atomic.Bool) {
	t.Helper()
	s, r := startWithRotator(t, awssecrets.Options{RotationTries: 2})
	var fixed atomic.Bool
	r.before = func(e event) error {
		if e.Step == step && !fixed.Load() {
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
	return s, r, &fixed
}

// A stuck rotation keeps AWSPENDING and blocks the next rotation. The refused call continues the
// stuck rotation.
func TestStuckRotationBlocksAndIsReattempted(t *testing.T) {
	s, r, fixed := stuck(t, "testSecret")
	s.stages("1:AWSCURRENT 2:AWSPENDING")
	if got := r.steps(); got != "create set test create set test" {
		t.Fatalf("the steps were %q, want %q", got, "create set test create set test")
	}
	fixed.Store(true)
	s.refused(s.rotate(3, func(in *secretsmanager.RotateSecretInput) {
		in.RotationRules = &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(9)}
	}), "InvalidRequestException", "A previous rotation isn't complete")
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	if rules := s.describe().RotationRules; rules != nil {
		t.Errorf("the refused call stored the rules %v", rules)
	}
}

// The service continues a stuck rotation in a later window.
func TestStuckRotationIsRetriedLater(t *testing.T) {
	s, _, fixed := stuck(t, "createSecret")
	s.stages("1:AWSCURRENT 2:AWSPENDING") // an empty version this time
	fixed.Store(true)
	s.ok(s.Retry(name))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	if err := s.Retry(name); err == nil {
		t.Error("Retry succeeded after the rotation succeeded")
	}
}

// Removing AWSPENDING is the documented way to end a stuck rotation.
func TestStuckRotationIsFreedByRemovingAWSPENDING(t *testing.T) {
	s, _, fixed := stuck(t, "testSecret")
	fixed.Store(true)
	s.ok(s.move("AWSPENDING", 2, 0))
	s.stages("1:AWSCURRENT")
	if err := s.Retry(name); err == nil {
		t.Error("Retry succeeded for a rotation without AWSPENDING")
	}
	s.ok(s.rotate(3, nil))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 3:AWSCURRENT")
}

// WaitRotation must also wait for the last step of a rotation that was replaced.
func TestWaitRotationWaitsForAReplacedRotation(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	gate, entered := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	r.before = func(event) error {
		if first.CompareAndSwap(false, true) {
			close(entered)
			<-gate
		}
		return nil
	}
	release := sync.OnceFunc(func() { close(gate) })
	defer release()
	s.ok(s.rotate(2, nil))
	<-entered
	s.ok(s.move("AWSPENDING", 2, 0))
	s.ok(s.rotate(3, nil))
	for deadline := time.Now().Add(5 * time.Minute); r.steps() != "create "+allSteps; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the steps were %s; the second rotation does not end", r.steps())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.WaitRotation(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitRotation returned %v while a step of the replaced rotation runs", err)
	}
	release()
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSPENDING 3:AWSCURRENT") // the late step has stored its value
}

// After a successful rotation, AWSPENDING may stay on the current version. It must not block the
// next rotation.
func TestAWSPENDINGOnTheCurrentVersionDoesNotBlock(t *testing.T) {
	s, _ := startWithRotator(t, awssecrets.Options{})
	s.ok(s.move("AWSPENDING", 0, 1))
	s.ok(s.rotate(2, nil))
	s.ok(s.wait())
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
}

// If AWSPENDING was set outside a rotation, it blocks too, and there is no rotation to continue.
func TestAWSPENDINGWithoutARotationBlocks(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	s.ok(s.put(2, "v2", "AWSPENDING"))
	s.refused(s.rotate(3, nil), "InvalidRequestException", "A previous rotation isn't complete")
	s.ok(s.wait())
	if got := r.steps(); got != "" {
		t.Errorf("the steps were %q, want %q", got, "")
	}
}

// The service abandons a rotation if a version is created outside the rotation: no label, no
// further step, no retry.
func TestManualVersionAbandonsTheRotation(t *testing.T) {
	writes := map[string]func(*service) error{
		"PutSecretValue":                func(s *service) error { return s.put(3, "v3") },
		"PutSecretValue, another label": func(s *service) error { return s.put(3, "v3", "AWSCURRENT", "mine") },
		"UpdateSecret": func(s *service) error {
			_, err := s.client.UpdateSecret(s.Context(), &secretsmanager.UpdateSecretInput{
				SecretId: aws.String(name), ClientRequestToken: aws.String(token(3)), SecretString: aws.String("v3"),
			})
			return err
		},
	}
	for what, do := range writes {
		t.Run(what, func(t *testing.T) {
			s, r := startWithRotator(t, awssecrets.Options{})
			r.after = func(e event) error {
				if e.Step == "setSecret" {
					return do(s)
				}
				return nil
			}
			s.ok(s.rotate(2, nil))
			if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
				t.Errorf("the rotation ended with %v, want ErrAbandoned", err)
			}
			if got := r.steps(); got != "create set" {
				t.Errorf("the steps were %q, want %q", got, "create set")
			}
			if labels, held := s.describe().VersionIdsToStages[token(2)]; held {
				t.Errorf("the abandoned version has the labels %v", labels)
			}
			s.events(awssecrets.RotationStarted, awssecrets.RotationAbandoned)
			s.ok(s.rotate(4, nil))
		})
	}
}

// A version that is created outside a stuck rotation also abandons it, and the next rotation is not
// blocked.
func TestManualVersionAbandonsAStuckRotation(t *testing.T) {
	s, _, fixed := stuck(t, "testSecret")
	fixed.Store(true)
	s.ok(s.put(3, "v3"))
	s.stages("1:AWSPREVIOUS 3:AWSCURRENT")
	s.ok(s.rotate(4, nil))
	s.ok(s.wait())
	s.stages("3:AWSPREVIOUS 4:AWSCURRENT")
}

// A step that was running when its rotation was abandoned can still store its value.
func TestStepOfAnAbandonedRotationCanStillWrite(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	r.before = func(e event) error {
		if e.Step == "createSecret" {
			return s.put(3, "v3")
		}
		return nil
	}
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
		t.Errorf("the rotation ended with %v, want ErrAbandoned", err)
	}
	s.stages("1:AWSPREVIOUS 2:AWSPENDING 3:AWSCURRENT")
}

// If a function removes AWSPENDING from the pending version, the rotation ends: no further step, no
// retry.
func TestRemovingAWSPENDINGEndsTheRotation(t *testing.T) {
	for what, test := range map[string]struct {
		err   error
		event string
	}{
		"the step fails":    {errStep, awssecrets.RotationFailed},
		"the step succeeds": {nil, awssecrets.RotationAbandoned},
	} {
		t.Run(what, func(t *testing.T) {
			s, r := startWithRotator(t, awssecrets.Options{})
			r.after = func(e event) error {
				s.ok(s.move("AWSPENDING", 2, 0))
				return test.err
			}
			s.ok(s.rotate(2, nil))
			if err := s.wait(); err == nil {
				t.Error("the rotation succeeded, want an error")
			}
			if got := r.steps(); got != "create" {
				t.Errorf("the steps were %q, want %q", got, "create")
			}
			s.stages("1:AWSCURRENT")
			s.events(awssecrets.RotationStarted, test.event)
		})
	}
}

// CancelRotateSecret turns rotation off and stops after the running step. AWSPENDING stays and
// blocks the next rotation.
func TestCancelLeavesAWSPENDING(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	cancel := func() (*secretsmanager.CancelRotateSecretOutput, error) {
		return s.client.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{
			SecretId: aws.String(name)})
	}
	_, err := cancel()
	s.refused(err, "InvalidRequestException")
	if on := s.describe().RotationEnabled; on != nil {
		t.Errorf("RotationEnabled is %v before the first rotation, want none", *on)
	}
	var cancelled atomic.Pointer[secretsmanager.CancelRotateSecretOutput]
	r.after = func(e event) error {
		out, err := cancel()
		cancelled.Store(out)
		return err
	}
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
		t.Errorf("the rotation ended with %v, want ErrAbandoned", err)
	}
	if got := aws.ToString(cancelled.Load().VersionId); got != token(2) {
		t.Errorf("CancelRotateSecret returned version %q", got)
	}
	if d := s.describe(); d.RotationEnabled == nil || *d.RotationEnabled || d.NextRotationDate != nil {
		t.Errorf("after CancelRotateSecret the secret is %+v", d)
	}
	s.stages("1:AWSCURRENT 2:AWSPENDING")
	s.refused(s.rotate(3, nil), "InvalidRequestException", "A previous rotation isn't complete")
	if got := r.steps(); got != "create" {
		t.Errorf("the steps were %q, want %q", got, "create")
	}
}

// RotateImmediately=false runs testSecret on a temporary copy of the current value, which is
// removed afterwards.
func TestRotateImmediatelyFalseOnlyRunsTestSecret(t *testing.T) {
	for what, test := range map[string]struct {
		err  error
		last string
	}{"passes": {nil, awssecrets.TestRotationSucceeded}, "fails": {errStep, awssecrets.TestRotationFailed}} {
		t.Run(what, func(t *testing.T) {
			s, r := startWithRotator(t, awssecrets.Options{})
			r.before = func(event) error {
				s.stages("1:AWSCURRENT 2:AWSPENDING")
				if v, err := s.get("AWSPENDING", 2); err != nil || v != "v1" {
					return fmt.Errorf("the temporary version has the value %q, %w", v, err)
				}
				return test.err
			}
			s.ok(s.rotate(2, func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }))
			if err := s.wait(); (err == nil) != (test.err == nil) {
				t.Errorf("the test ended with %v", err)
			}
			if got := r.steps(); got != "test" {
				t.Errorf("the steps were %q, want %q", got, "test")
			}
			s.stages("1:AWSCURRENT")
			if _, err := s.get("", 2); err == nil {
				t.Error("the temporary version still exists")
			}
			s.events(awssecrets.TestRotationStarted, test.last)
			if d := s.describe(); !aws.ToBool(d.RotationEnabled) || d.LastRotatedDate != nil {
				t.Errorf("after a test the secret is %+v", d)
			}
		})
	}
}

// A wrong RotationToken is refused. The RotationToken is optional.
func TestWrongRotationTokenIsRefused(t *testing.T) {
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

// StartPending and FinishPending let a test act as the service. No function is invoked.
func TestStartPendingAndFinishPending(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	_, err := s.StartPending(name, token(2))
	s.ok(err)
	s.stages("1:AWSCURRENT 2:AWSPENDING")
	if !aws.ToBool(s.describe().RotationEnabled) {
		t.Error("StartPending left rotation off")
	}
	if _, err := s.StartPending(name, token(3)); err == nil {
		t.Error("StartPending succeeded while a version is pending")
	}
	s.refused(s.rotate(3, nil), "InvalidRequestException", "A previous rotation isn't complete")
	if err := s.FinishPending(name); err == nil {
		t.Error("FinishPending succeeded before the version was current")
	}
	s.ok(s.put(2, "v2", "AWSPENDING"))
	s.ok(s.move("AWSCURRENT", 1, 2))
	s.ok(s.FinishPending(name))
	s.stages("1:AWSPREVIOUS 2:AWSCURRENT")
	if s.describe().LastRotatedDate == nil {
		t.Error("a finished rotation has no LastRotatedDate")
	}
	if got := r.steps(); got != "" {
		t.Errorf("the steps were %q, want %q", got, "")
	}
}

// Retry also invokes the functions for a rotation that a test started.
func TestRetryContinuesARotationOfStartPending(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	s.ok(s.rotate(2, nil)) // sets the function
	s.ok(s.wait())
	_, err := s.StartPending(name, token(3))
	s.ok(err)
	s.ok(s.Retry(name))
	s.ok(s.wait())
	s.stages("2:AWSPREVIOUS 3:AWSCURRENT")
	if got := r.steps(); got != allSteps+" "+allSteps {
		t.Errorf("the steps were %q, want %q", got, allSteps+" "+allSteps)
	}
	if err := s.Retry("absent"); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("Retry of a secret that does not exist returned %v", err)
	}
}

// A refused RotateSecret must change nothing.
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
		"the token of a version": {func(in *secretsmanager.RotateSecretInput) {
			in.ClientRequestToken = aws.String(token(1))
		}, "InvalidRequestException"},
		"a short token": {func(in *secretsmanager.RotateSecretInput) {
			in.ClientRequestToken = aws.String("t")
		}, "InvalidParameterException"},
		"both types of rules":   {rules(1, "rate(1 day)", ""), "InvalidParameterException"},
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
		"a reversed range":      {rules(0, "cron(0 4 ? * FRI-MON *)", ""), "InvalidParameterException"},
		"into the next day":     {rules(0, "cron(0 22 ? * SUN *)", "3h"), "InvalidParameterException"},
		"into the next window":  {rules(0, "rate(4 hours)", "5h"), "InvalidParameterException"},
		"no hours":              {rules(0, "rate(1 day)", "0h"), "InvalidParameterException"},
		"a duration in minutes": {rules(0, "rate(1 day)", "9m"), "InvalidParameterException"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			s, r := startWithRotator(t, awssecrets.Options{})
			before := s.describe().LastChangedDate
			s.clock.Advance(time.Minute)
			s.refused(s.rotate(2, test.change), test.code)
			s.stages("1:AWSCURRENT")
			d := s.describe()
			if d.RotationEnabled != nil || d.RotationLambdaARN != nil || d.RotationRules != nil ||
				!d.LastChangedDate.Equal(*before) {
				t.Errorf("after the refused call the secret is %+v", d)
			}
			if got := r.steps(); got != "" {
				t.Errorf("the steps were %q, want %q", got, "")
			}
		})
	}
}

// If the secret is deleted, its rotation ends.
func TestDeletingTheSecretEndsItsRotation(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{})
	r.after = func(event) error {
		_, err := s.client.DeleteSecret(context.Background(),
			&secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
		return err
	}
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, awssecrets.ErrAbandoned) {
		t.Errorf("the rotation ended with %v, want ErrAbandoned", err)
	}
	if got := r.steps(); got != "create" {
		t.Errorf("the steps were %q, want %q", got, "create")
	}
}

// Close cancels the contexts of running functions and waits for them. A closed service starts no
// rotation.
func TestCloseWaitsForFunctions(t *testing.T) {
	entered, f := make(chan struct{}), &blockingFunction{}
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
		t.Error("RotateSecret succeeded after Close")
	}
	if err := s.Retry(name); err == nil {
		t.Error("Retry succeeded after Close")
	}
}

// A blockingFunction runs until its context ends.
type blockingFunction struct {
	entered chan struct{}
	left    atomic.Bool
}

func (w *blockingFunction) Invoke(ctx context.Context, _ string, _ []byte) ([]byte, string, error) {
	close(w.entered)
	<-ctx.Done()
	w.left.Store(true)
	return nil, "", ctx.Err()
}

// A step has a time limit, like a function on Lambda.
func TestStepHasATimeLimit(t *testing.T) {
	f := &blockingFunction{entered: make(chan struct{})}
	s := start(t, awssecrets.Options{Functions: f, LambdaTimeout: time.Millisecond, RotationTries: 1})
	s.create()
	s.ok(s.rotate(2, nil))
	if err := s.wait(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the step ended with %v, want context.DeadlineExceeded", err)
	}
}

// OnEvent receives every event once and in order, and may call the service.
func TestOnEventReceivesEveryEvent(t *testing.T) {
	var s *service
	var seen []string
	done := make(chan struct{})
	options := awssecrets.Options{OnEvent: func(e awssecrets.Event) {
		if _, err := s.Snapshot(e.SecretARN); err != nil {
			t.Errorf("Snapshot in OnEvent: %v", err)
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
		t.Errorf("the events are %s, want %s", got, want)
	}
}

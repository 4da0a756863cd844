package operations_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

// everyMember is a schedule with all members that UpdateSchedule accepts, and one member that this
// program does not know.
const everyMember = `{"ActionAfterCompletion": "NONE", "Description": "sweeps", "EndDate": 1.9e9, "FlexibleTimeWindow": {"MaximumWindowInMinutes": 5, "Mode": "FLEXIBLE"},
	"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1", "ScheduleExpression": "rate(1 hour)", "ScheduleExpressionTimezone": "UTC", "StartDate": 1.7e9, "State": "ENABLED",
	"Target": {"Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:sweeps", "RoleArn": "arn:aws:iam::123456789012:role/schedule", "Input": "{}",
		"RetryPolicy": {"MaximumRetryAttempts": 3}, "NewerMember": {"of": "tomorrow"}}}`

// withSchedule deploys a rotate function with a schedule for its sweeps, and publishes it as a
// stack does.
func withSchedule(t *testing.T) *sandboxtest.Rig {
	t.Helper()
	r := sandboxtest.New(t)
	arn, err := r.Lambda.Add(awslambda.Config{
		Name: "stack-rotate", Environment: map[string]string{settings.EnvRegistryURL: r.RegistryURL},
		Tags:    map[string]string{settings.TagRevokeFunction: "stack-revoke", settings.TagSchedule: "sweeps"},
		Handler: nothing{},
	})
	if err == nil {
		err = r.Schedules.Add("sweeps", everyMember)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Parameters.Put("/quilt-rotate/stack/rotate-function-arn", arn)
	r.Parameters.Put("/quilt-rotate/stack/revoke-function-arn", arn+"-revoke")
	return r
}

type nothing struct{}

func (nothing) Invoke(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

// changedMembers returns the names of the schedule's members that changed, except the state.
func changedMembers(t *testing.T, r *sandboxtest.Rig) []string {
	t.Helper()
	var want map[string]json.RawMessage
	if err := json.Unmarshal([]byte(everyMember), &want); err != nil {
		t.Fatal(err)
	}
	now := r.Schedules.Members("sweeps")
	compact := func(value json.RawMessage) string {
		var document any
		_ = json.Unmarshal(value, &document)
		return fmt.Sprint(document)
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(want)), func(name string) bool {
		return name == "State" ||
			compact(want[name]) == compact(now[name])
	})
}

func TestEveryCrashOfAPauseOfAllSweepsKeepsTheSchedule(t *testing.T) {
	// UpdateSchedule replaces the whole schedule. The process may die at any request, or an answer
	// may be lost. Only the state may change, and running the command again must complete it.
	t.Parallel()
	type fault struct {
		at         int
		after, die bool
	}
	for _, f := range []fault{{die: true}, {after: true, die: true}, {after: true}} {
		for f.at = 1; ; f.at++ {
			r := withSchedule(t)
			seen := 0
			remove := r.Intercept(func(c *wire.Call, next func()) {
				if seen++; seen != f.at {
					next()
					return
				}
				if f.after {
					next()
				}
				if f.die {
					r.KillCaller(c)
				}
				c.Cut()
			})
			p := newOperator(t, r)
			all, err := p.SwitchSweeps(p.ctx, "", true)
			reached := seen >= f.at
			if (err == nil) != (!f.die || !reached) {
				t.Errorf("%+v: got %+v, %v", f, all, err)
			}
			if names := changedMembers(t, r); len(names) > 0 {
				t.Errorf("%+v: the schedule lost %q", f, names)
			}
			remove()
			p = newOperator(t, r)
			if all, err := p.SwitchSweeps(p.ctx, "", true); err != nil || !all.Paused ||
				string(r.Schedules.Members("sweeps")["State"]) != `"DISABLED"` || len(changedMembers(t, r)) > 0 {
				t.Errorf("%+v, second run: got %+v, %v, %s", f, all, err, r.Schedules.Members("sweeps"))
			}
			if all, err := p.SwitchSweeps(p.ctx, "stack-rotate", false); err != nil || all.Paused || !all.Before ||
				string(r.Schedules.Members("sweeps")["State"]) != `"ENABLED"` || len(changedMembers(t, r)) > 0 {
				t.Errorf("%+v, resume: got %+v, %v, %s", f, all, err, r.Schedules.Members("sweeps"))
			}
			if !reached {
				if f.at < 6 {
					t.Fatalf("the command sent only %d requests, want 5 or more", f.at-1)
				}
				break
			}
		}
	}
}

func TestPausingAllSweepsChecksTheScheduleAfterLostAnswers(t *testing.T) {
	// All answers to UpdateSchedule are lost, but it was carried out. The command must succeed.
	t.Parallel()
	r := withSchedule(t)
	defer r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		c.Respond(400, `{"Message": "no"}`, "X-Amzn-Errortype", "ValidationException")
	}, "UpdateSchedule"))()
	p := newOperator(t, r)
	if all, err := p.SwitchSweeps(p.ctx, "", true); err != nil || !all.Paused {
		t.Errorf("got %+v, %v, want a paused schedule", all, err)
	}
}

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

// everyMember is a schedule with all that UpdateSchedule takes, and one member that no release of
// this program knows.
const everyMember = `{"ActionAfterCompletion": "NONE", "Description": "sweeps", "EndDate": 1.9e9, "FlexibleTimeWindow": {"MaximumWindowInMinutes": 5, "Mode": "FLEXIBLE"},
	"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1", "ScheduleExpression": "rate(1 hour)", "ScheduleExpressionTimezone": "UTC", "StartDate": 1.7e9, "State": "ENABLED",
	"Target": {"Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:sweeps", "RoleArn": "arn:aws:iam::123456789012:role/schedule", "Input": "{}",
		"RetryPolicy": {"MaximumRetryAttempts": 3}, "NewerMember": {"of": "tomorrow"}}}`

// withSchedule deploys a rotate function whose sweeps that schedule starts, and publishes it as a
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

// lost are the members of the schedule that are not as they were, but for the state.
func lost(t *testing.T, r *sandboxtest.Rig) []string {
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
	// Protects all secrets of a stack: UpdateSchedule replaces the whole schedule, so whatever
	// request the process dies at, or whose answer is lost, nothing but the state changes, and
	// running the command again finishes.
	t.Parallel()
	type mishap struct {
		at         int
		after, die bool
	}
	for _, m := range []mishap{{die: true}, {after: true, die: true}, {after: true}} {
		for m.at = 1; ; m.at++ {
			r := withSchedule(t)
			seen := 0
			remove := r.Intercept(func(c *wire.Call, next func()) {
				if seen++; seen != m.at {
					next()
					return
				}
				if m.after {
					next()
				}
				if m.die {
					r.KillCaller(c)
				}
				c.Cut()
			})
			p := newPerson(t, r)
			all, err := p.SwitchSweeps(p.ctx, "", true)
			reached := seen >= m.at
			if (err == nil) != (!m.die || !reached) {
				t.Errorf("%+v: %+v, %v", m, all, err)
			}
			if names := lost(t, r); len(names) > 0 {
				t.Errorf("%+v: the schedule has lost %q", m, names)
			}
			remove()
			p = newPerson(t, r)
			if all, err := p.SwitchSweeps(p.ctx, "", true); err != nil || !all.Paused ||
				string(r.Schedules.Members("sweeps")["State"]) != `"DISABLED"` || len(lost(t, r)) > 0 {
				t.Errorf("%+v, again: %+v, %v, %s", m, all, err, r.Schedules.Members("sweeps"))
			}
			if all, err := p.SwitchSweeps(p.ctx, "stack-rotate", false); err != nil || all.Paused || !all.Before ||
				string(r.Schedules.Members("sweeps")["State"]) != `"ENABLED"` || len(lost(t, r)) > 0 {
				t.Errorf("%+v, resumed: %+v, %v, %s", m, all, err, r.Schedules.Members("sweeps"))
			}
			if !reached {
				if m.at < 6 {
					t.Fatalf("the command made %d requests only", m.at-1)
				}
				break
			}
		}
	}
}

func TestASwitchIsLookedUpIfItsAnswersAreLost(t *testing.T) {
	// Protects an operator in an incident from a failure that is none: all answers to the switch
	// are lost, and it was carried out.
	t.Parallel()
	r := withSchedule(t)
	defer r.Intercept(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		c.Respond(400, `{"Message": "no"}`, "X-Amzn-Errortype", "ValidationException")
	}, "UpdateSchedule"))()
	p := newPerson(t, r)
	if all, err := p.SwitchSweeps(p.ctx, "", true); err != nil || !all.Paused {
		t.Errorf("%+v, %v", all, err)
	}
}

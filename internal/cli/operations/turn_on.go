package operations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/settings/schedule"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// A rotationPlan is the rotation that an adoption switches on.
type rotationPlan struct {
	function awsclient.Function
	rules    vault.RotationRules
	longest  time.Duration // until the first rotation has ended
}

// planRotation checks the schedule that was given. The plan is nil if nothing is to be switched on:
// rotation is on already, or no stack is deployed yet, whose deployment does it.
func (x *adoption) planRotation(ctx context.Context) (*rotationPlan, error) {
	s := x.secret
	given := vault.RotationRules{Schedule: x.Schedule, Window: x.Window}
	if s.Rotation.Enabled && !x.gone {
		return nil, x.keepsRotation(ctx, given)
	}
	function := x.Function
	if function == "" && !x.gone {
		function = s.Rotation.Function // an adopted secret whose rotation was switched off
	}
	f, err := managed.FindRotateFunction(ctx, x.Cloud, function, x.registry.URL())
	if errors.Is(err, managed.ErrNoStack) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if x.Schedule == "" {
		return nil, terminal.WithHint(fmt.Errorf("no function rotates %s now, and --schedule does not say how often "+
			"it is to be rotated", s.Name), "add --schedule 'rate(30 days)'")
	}
	every, err := schedule.Parse(x.Schedule)
	if err != nil {
		return nil, fmt.Errorf("--schedule: %w", err)
	}
	window, err := every.ParseWindow(x.Window)
	if err != nil {
		return nil, fmt.Errorf("--window: %w", err)
	}
	env, err := settings.LoadRotate(settings.Deployed(f.Environment))
	if err != nil {
		return nil, fmt.Errorf("the function %s: %w", f.Name, err)
	}
	tags := maps.Clone(s.Tags)
	maps.Copy(tags, x.missing)
	rules, err := env.ForSecret(tags)
	if err != nil {
		return nil, err
	}
	const day = 24 * time.Hour
	if least := int(every.MinLifetime(window) / day); rules.ExpiresInDays < least {
		fix := fmt.Sprintf("rotate more often, or add --expires-in-days %d", least)
		if least > settings.MaxExpiresInDays {
			fix = "rotate more often"
		}
		return nil, terminal.WithHint(fmt.Errorf("keys live %d days, which is too short for one missed rotation: "+
			"twice the interval, the window and 7 days are %d", rules.ExpiresInDays, least), fix)
	}
	f.ARN = vault.UnqualifiedFunction(f.ARN) // the permissions of the functions are for secrets that name it so
	return &rotationPlan{f, given, every.Longest + window}, nil
}

// keepsRotation refuses options that ask for another rotation than the one that is on, and a
// rotation that names the function in a way that gives the functions no permission.
func (x *adoption) keepsRotation(ctx context.Context, given vault.RotationRules) error {
	s, have, function := x.secret, x.secret.Rotation, vault.UnqualifiedFunction(x.secret.Rotation.Function)
	if x.Function != "" {
		f, err := managed.FindRotateFunction(ctx, x.Cloud, x.Function, x.registry.URL())
		if err != nil {
			return err
		}
		function = vault.UnqualifiedFunction(f.ARN)
	}
	var wrong string
	leave, option := "leave the option out, or ", "--rotation-lambda-arn "+function
	switch {
	case have.Function != vault.UnqualifiedFunction(have.Function):
		wrong, leave = "but it names a version or an alias, and the functions may only serve secrets that name the "+
			"function itself: "+have.Function, ""
	case have.Function != function:
		wrong = "by another function: " + have.Function
	case x.Schedule != "" && !sameRules(have.Rules, given):
		wrong, option = "with another schedule or window: "+have.Rules.String(),
			`--rotation-rules '{"ScheduleExpression": "...", "Duration": "2h"}'`
	default:
		return nil
	}
	return terminal.WithHint(fmt.Errorf("rotation of %s is on already, %s", s.Name, wrong),
		leave+"change it in the tool that owns the secret, or: "+
			"aws secretsmanager rotate-secret --secret-id "+s.Name+" --no-rotate-immediately "+option)
}

// sameRules compares what an operator gives. Beside a schedule, AutomaticallyAfterDays says
// nothing: Secrets Manager calculates it (API reference, DescribeSecret).
func sameRules(have, given vault.RotationRules) bool {
	same := have.Schedule == given.Schedule || have.Schedule == "" && given.Schedule == fmt.Sprintf("rate(%d days)",
		have.AfterDays)
	return same && (given.Window == "" || have.Window == given.Window)
}

// switchOn switches rotation on, which rotates nothing. Whether it is on is looked up before and
// after: another run of the same command may have done it, and its test of the configuration
// refuses ours for a moment; and the answer may be lost.
func (x *adoption) switchOn(ctx context.Context, plan *rotationPlan) error {
	s := x.secret
	before := s.Rotation.Function
	err := finish(ctx, func(ctx context.Context) error {
		isOn := func() bool {
			return s.Rotation.Enabled && s.Rotation.Function == plan.function.ARN && sameRules(s.Rotation.Rules,
				plan.rules)
		}
		if err := s.Look(ctx); err != nil || isOn() {
			return err
		}
		if s.Rotation.Enabled && !(x.gone && s.Rotation.Function == before) {
			return terminal.WithHint(fmt.Errorf("somebody else switched rotation of %s on at the same time, with %s",
				s.Name, s.Rotation.Function), "see what rotates it: quilt-rotate status "+s.Name)
		}
		err := x.Cloud.SwitchRotationOn(ctx, s.ARN, plan.function.ARN, plan.rules)
		if errors.Is(err, awsclient.ErrRotationUnderWay) {
			err = underWayError(s)
		}
		described, lookErr := x.Cloud.Vault.Await(ctx, s.ARN,
			func(now vault.Secret) bool { return now.Rotation.Enabled && now.Rotation.Function == plan.function.ARN })
		if lookErr != nil {
			return errors.Join(err, lookErr)
		}
		if s.Secret = described; isOn() {
			return nil
		}
		return err
	})
	if err == nil {
		x.Tell.Tell(terminal.Done, "switched rotation on: "+plan.rules.Schedule, "by "+plan.function.Name)
	}
	return err
}

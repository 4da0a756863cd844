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

// A rotationPlan is the rotation that an adoption turns on.
type rotationPlan struct {
	function awsclient.Function
	rules    vault.RotationRules
	longest  time.Duration // longest time until the end of the first rotation
}

// planRotation checks the given schedule. It returns nil if there is nothing to turn on: rotation
// is already on, or no stack is deployed yet, and its deployment will turn rotation on.
func (x *adoption) planRotation(ctx context.Context) (*rotationPlan, error) {
	s := x.secret
	given := vault.RotationRules{Schedule: x.Schedule, Window: x.Window}
	if s.Rotation.Enabled && !x.gone {
		return nil, x.keepsRotation(ctx, given)
	}
	function := x.Function
	if function == "" && !x.gone {
		function = s.Rotation.Function // an adopted secret whose rotation was turned off
	}
	f, err := managed.FindRotateFunction(ctx, x.Cloud, function, x.registry.URL())
	if errors.Is(err, managed.ErrNoStack) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if x.Schedule == "" {
		return nil, terminal.WithHint(fmt.Errorf("no function rotates %s, so a schedule is required", s.Name),
			"add --schedule 'rate(30 days)'")
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
		return nil, terminal.WithHint(fmt.Errorf("keys are valid for %d days, which is too short for one missed "+
			"rotation: twice the interval, plus the window, plus 7 days is %d days", rules.ExpiresInDays, least), fix)
	}
	f.ARN = vault.UnqualifiedFunction(f.ARN) // the functions have permission only for secrets with this ARN
	return &rotationPlan{f, given, every.Longest + window}, nil
}

// keepsRotation returns an error if the options differ from the rotation that is on, or if that
// rotation names a version or an alias of the function, for which the functions have no permission.
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
		wrong, leave =
			"but it names a version or an alias of the function, and the functions have permission only for "+
				"secrets that name the function itself: "+have.Function, ""
	case have.Function != function:
		wrong = "by another function: " + have.Function
	case x.Schedule != "" && !sameRules(have.Rules, given):
		wrong, option = "with another schedule or window: "+have.Rules.String(),
			`--rotation-rules '{"ScheduleExpression": "...", "Duration": "2h"}'`
	default:
		return nil
	}
	return terminal.WithHint(fmt.Errorf("rotation of %s is already on, %s", s.Name, wrong),
		leave+"change it in the tool that owns the secret, or: "+
			"aws secretsmanager rotate-secret --secret-id "+s.Name+" --no-rotate-immediately "+option)
}

// sameRules compares only what the operator gives. If there is a schedule, AutomaticallyAfterDays
// is ignored, because Secrets Manager calculates it (API reference, DescribeSecret).
func sameRules(have, given vault.RotationRules) bool {
	same := have.Schedule == given.Schedule || have.Schedule == "" && given.Schedule == fmt.Sprintf("rate(%d days)",
		have.AfterDays)
	return same && (given.Window == "" || have.Window == given.Window)
}

// switchOn turns rotation on and does not rotate the secret. It reads the state before and after
// the call: another run of the same command may have turned rotation on, whose test of the
// configuration makes our call fail for a moment, and the answer may be lost.
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
			return terminal.WithHint(fmt.Errorf("somebody else turned rotation of %s on at the same time, with %s",
				s.Name, s.Rotation.Function), "to see what rotates it: quilt-rotate status "+s.Name)
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
		x.Progress.Report(terminal.Done, "turned rotation on: "+plan.rules.Schedule, "by "+plan.function.Name)
	}
	return err
}

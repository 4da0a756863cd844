package operations

import (
	"context"
	"errors"
	"fmt"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/terminal"
)

// Revoked is the result of [Operator.Revoke]: what a sweep did or would do.
type Revoked struct {
	Secret string `json:"secret"`
	ARN    string `json:"arn"`
	revocation.Result
	Planned bool                `json:"dryRun"`           // this is a plan, and nothing was changed
	Failed  *revocation.Failure `json:"failed,omitempty"` // error of the function; then its result is not known
}

// revokedOf adds the name of the secret to a result, which has only the ARN. If the function
// returned no result, the name stays empty.
func revokedOf(s *managed.Secret, result revocation.Result, planned bool) Revoked {
	r := Revoked{Result: result, Planned: planned}
	if result.Secret != "" {
		r.Secret, r.ARN = s.Name, s.ARN
	}
	return r
}

// RevokeOptions are the options of [Operator.Revoke].
type RevokeOptions struct {
	DryRun bool
	Ask    bool                    // show the plan and ask for confirmation
	Show   func(revocation.Result) // shows a plan to a person
}

// Revoke invokes the revoke function, which sweeps the secret.
//
// The function does all the work and may stop anywhere. Ctrl-C ends only the wait: the sweep
// continues at AWS. The function also makes the plan that is shown. The sweep makes a new plan, so
// it takes changes since then into account.
func (d *Operator) Revoke(ctx context.Context, s *managed.Secret, o RevokeOptions) (Revoked, error) {
	if o.DryRun || o.Ask {
		d.Progress.Doing("planning a sweep")
		plan, err := s.Sweep(ctx, true)
		d.Progress.Doing("")
		if err != nil {
			return revokedOf(s, plan, true), left(err, "nothing was changed")
		}
		o.Show(plan)
		if o.DryRun || plan.WouldFail != nil && len(plan.Actions) == 0 {
			return revokedOf(s, plan, true), WouldFail(plan)
		}
		if !acts(plan) {
			return revokedOf(s, plan, true), nil
		}
		if err := d.confirmSweep(ctx, plan); err != nil {
			return revokedOf(s, plan, true), left(err, "nothing was changed")
		}
	}
	d.Progress.Doing("sweeping")
	result, err := s.Sweep(ctx, false)
	d.Progress.Doing("")
	r := revokedOf(s, result, false)
	if failed, ok := errors.AsType[*awsclient.FunctionError](err); ok {
		r.Secret, r.ARN, r.Failed = s.Name, s.ARN, &revocation.Failure{ErrorType: failed.Type, Error: failed.Message}
	}
	return r, left(err, "the sweep continues at AWS without this command; to see the result: quilt-rotate status "+
		s.Name)
}

func (d *Operator) confirmSweep(ctx context.Context, plan revocation.Result) error {
	n := 0
	for _, a := range plan.Actions {
		if a.Action == revocation.Revoke || a.Action == revocation.RevokeOrphan {
			n++
		}
	}
	what := "this updates labels and revokes no key"
	if n > 0 {
		what = fmt.Sprintf("this permanently revokes keys: %d", n)
	}
	return d.Confirm(ctx, what, "revoke")
}

// acts reports whether the plan changes anything.
func acts(plan revocation.Result) bool {
	if plan.Outcome != revocation.Swept {
		return false
	}
	for _, a := range plan.Actions {
		if a.Action != revocation.Report && a.Action != revocation.Hold {
			return true
		}
	}
	return false
}

// WouldFail returns the error that a sweep would fail with, with the page of the runbook as a hint.
// It returns nil if the sweep would not fail.
func WouldFail(plan revocation.Result) error {
	if plan.WouldFail == nil {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("a sweep would fail now: %s: %s", plan.WouldFail.ErrorType,
		plan.WouldFail.Error), awsclient.Runbook(plan.WouldFail.ErrorType))
}

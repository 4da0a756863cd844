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

// Revoked is what a sweep did, or would do.
type Revoked struct {
	Secret string `json:"secret"`
	ARN    string `json:"arn"`
	revocation.Result
	Planned bool                `json:"dryRun"`           // nothing was changed: this is a plan
	Failed  *revocation.Failure `json:"failed,omitempty"` // the error of the function, whose result is not known then
}

// revokedOf adds the name of the secret to a result, which has only its ARN. If the function gave
// no result, it names none.
func revokedOf(s *managed.Secret, result revocation.Result, planned bool) Revoked {
	r := Revoked{Result: result, Planned: planned}
	if result.Secret != "" {
		r.Secret, r.ARN = s.Name, s.ARN
	}
	return r
}

// RevokeOptions are how a sweep is run.
type RevokeOptions struct {
	DryRun bool
	Ask    bool                    // show the plan, and ask before anything is done
	Show   func(revocation.Result) // shows a plan to a person
}

// Revoke invokes the function that sweeps the secret: it revokes the keys that may be revoked.
//
// All the work is the function's, which may stop anywhere. A Ctrl-C ends only the wait: the sweep
// continues at AWS. The plan that is shown is made by the same code as the sweep, which looks again
// and takes into account what has changed since.
func (d *Operator) Revoke(ctx context.Context, s *managed.Secret, o RevokeOptions) (Revoked, error) {
	if o.DryRun || o.Ask {
		d.Tell.Doing("planning a sweep")
		plan, err := s.Sweep(ctx, true)
		d.Tell.Doing("")
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
	d.Tell.Doing("sweeping")
	result, err := s.Sweep(ctx, false)
	d.Tell.Doing("")
	r := revokedOf(s, result, false)
	if failed, ok := errors.AsType[*awsclient.FunctionError](err); ok {
		r.Secret, r.ARN, r.Failed = s.Name, s.ARN, &revocation.Failure{ErrorType: failed.Type, Error: failed.Message}
	}
	return r, left(err, "the sweep continues at AWS without this command; see what it did: quilt-rotate status "+s.Name)
}

func (d *Operator) confirmSweep(ctx context.Context, plan revocation.Result) error {
	n := 0
	for _, a := range plan.Actions {
		if a.Action == revocation.Revoke || a.Action == revocation.RevokeOrphan {
			n++
		}
	}
	what := "this updates labels, and revokes no key"
	if n > 0 {
		what = fmt.Sprintf("this permanently revokes keys: %d", n)
	}
	return d.Confirm(ctx, what, "revoke")
}

// acts reports whether the plan has anything to do.
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

// WouldFail is the error that a sweep would fail with, with its page of the runbook; nil if it
// would not fail.
func WouldFail(plan revocation.Result) error {
	if plan.WouldFail == nil {
		return nil
	}
	return terminal.WithHint(fmt.Errorf("a sweep would fail now: %s: %s", plan.WouldFail.ErrorType,
		plan.WouldFail.Error), awsclient.Runbook(plan.WouldFail.ErrorType))
}

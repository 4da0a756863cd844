package operations

import (
	"context"
	"errors"
	"fmt"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/revocation"
)

// Revoked tells what a sweep did, or what it would do.
type Revoked struct {
	Secret string `json:"secret"`
	ARN    string `json:"arn"`
	revocation.Result
	Planned bool                `json:"dryRun"`           // nothing was done: this is what would be
	Failed  *revocation.Failure `json:"failed,omitempty"` // what the function failed with; its result is not known then
}

// revokedOf names the secret as people do; the function's result has its ARN alone. It names none where the function gave no result.
func revokedOf(s *managed.Secret, result revocation.Result, planned bool) Revoked {
	r := Revoked{Result: result, Planned: planned}
	if result.Secret != "" {
		r.Secret, r.ARN = s.Name, s.ARN
	}
	return r
}

// RevokeOptions say which sweep is made.
type RevokeOptions struct {
	DryRun bool
	Ask    bool                    // show the plan, and demand a confirmation before anything is done
	Show   func(revocation.Result) // shows a plan to a person
}

// Revoke has the function sweep the secret: what may be revoked is revoked.
//
// All the work is the function's, which may be cut off anywhere. A Ctrl-C ends only the wait: the sweep goes on at AWS. The plan that is shown is
// made on the sweep's own path; the sweep itself looks again, so what has changed meanwhile is done right and not as shown.
func (d *Operator) Revoke(ctx context.Context, s *managed.Secret, o RevokeOptions) (Revoked, error) {
	if o.DryRun || o.Ask {
		d.Tell.Doing("looking at what a sweep would do")
		plan, err := s.Sweep(ctx, managed.Preview)
		d.Tell.Doing("")
		if err != nil {
			return revokedOf(s, plan, true), left(err, "nothing was done")
		}
		o.Show(plan)
		if o.DryRun || plan.WouldFail != nil && len(plan.Actions) == 0 {
			return revokedOf(s, plan, true), WouldFail(plan)
		}
		if !acts(plan) {
			return revokedOf(s, plan, true), nil
		}
		if err := d.confirmSweep(ctx, plan); err != nil {
			return revokedOf(s, plan, true), left(err, "nothing was done")
		}
	}
	d.Tell.Doing("the function sweeps")
	result, err := s.Sweep(ctx, managed.Ordinary)
	d.Tell.Doing("")
	r := revokedOf(s, result, false)
	if failed, ok := errors.AsType[*awsclient.FunctionError](err); ok {
		r.Secret, r.ARN, r.Failed = s.Name, s.ARN, &revocation.Failure{ErrorType: failed.Type, Error: failed.Message}
	}
	return r, left(err, "the sweep goes on at AWS without this command; see what it did: quilt-rotate status "+s.Name)
}

func (d *Operator) confirmSweep(ctx context.Context, plan revocation.Result) error {
	n := 0
	for _, a := range plan.Actions {
		if a.Action == revocation.Revoke || a.Action == revocation.RevokeOrphan {
			n++
		}
	}
	what := "this revokes no key, and keeps the labels up to date"
	if n > 0 {
		what = fmt.Sprintf("this revokes %d of the registry's keys for good", n)
	}
	return d.Confirm(ctx, what, "revoke")
}

// acts tells whether the plan has anything to do.
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

// WouldFail is what a sweep would fail with, as an error with its page of the runbook; nil where it would not.
func WouldFail(plan revocation.Result) error {
	if plan.WouldFail == nil {
		return nil
	}
	return hint.With(fmt.Errorf("a sweep would fail now: %s: %s", plan.WouldFail.ErrorType, plan.WouldFail.Error), awsclient.Runbook(plan.WouldFail.ErrorType))
}

package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Vault is what a run needs of Secrets Manager. [vault.Vault] implements it. All methods only read.
type Vault interface {
	List(ctx context.Context, token string, atMost int) (secrets []vault.Secret, next string, err error)
	Describe(ctx context.Context, secretID string) (vault.Secret, error)
}

// Runner decides the steps of runs. It is safe for concurrent use and keeps no state.
type Runner struct {
	Vault    Vault
	Settings settings.Revoke
	Log      *slog.Logger
}

// The answer of a step goes into the state of the state machine, which has room for 256 KiB.
const (
	maxARNBytes      = 120_000
	maxRotationBytes = 120_000
	maxARNLength     = 600 // a name of 512 characters, and the rest of the ARN
	maxListing       = time.Minute
)

// Next returns what the run does next. It lists or describes secrets if the answer needs it.
func (r *Runner) Next(ctx context.Context, step Step) (Answer, error) {
	limited := step.Limit >= 0 && step.Limit <= DefaultLimit
	if !strings.HasPrefix(step.RotateFunction, "arn:") || !limited || step.Time.IsZero() {
		return Answer{}, fault.New[fault.BadEvent](
			`the step must have "rotateFunction" (an ARN), "time", and a "limit" from 0 to %d`, DefaultLimit)
	}
	a := Answer{Secrets: []string{}, Rotations: []Rotation{}, State: step.State.add(step.Results)}
	for _, o := range step.Results {
		if o.Error != "" {
			r.Log.ErrorContext(ctx, "the sweep did not answer", "secret", o.Secret, "error", o.Error, "run", step.Run)
		}
	}
	v := a.State.judge()
	if v.do == "" {
		v.do = Sweep
		if err := r.list(ctx, step, &a); err != nil {
			return Answer{}, err
		}
	}
	switch a.Do = v.do; a.Do {
	case Continue:
		a.State.Pages = 0
	case Rotate:
		if a.Rotations = r.rotations(ctx, step, a.State.Rotate); len(a.Rotations) == 0 {
			a.Do = Done
		}
	case Stop:
		a.Event = r.stopped(step, a.State, v)
	}
	if a.Do != Sweep && a.Do != Continue { // the run is over
		a.Lost = a.State.Lost
		a.State = State{Swept: a.State.Swept, Failed: a.State.Failed}
	}
	r.Log.InfoContext(ctx, "run of sweeps", "do", a.Do, "secrets", len(a.Secrets), "swept", a.State.Swept,
		"failed", a.State.Failed, "rotations", len(a.Rotations), "run", step.Run)
	return a, nil
}

// list reads the next secrets to sweep. It adds pages of Secrets Manager's list as a whole, and
// stops when another page may not fit. If few of the secrets are managed, it stops after maxListing
// with what it has found.
func (r *Runner) list(ctx context.Context, step Step, a *Answer) error {
	limit := cmp.Or(step.Limit, DefaultLimit)
	if a.State.Swept == 0 {
		limit = min(limit, firstPage)
	}
	size, length, start := min(limit, vault.MaxListed), 0, time.Now()
	fits := func() bool { return len(a.Secrets)+size <= limit && length+size*maxARNLength <= maxARNBytes }
	for fits() && time.Since(start) < maxListing {
		secrets, next, err := r.Vault.List(ctx, a.State.NextToken, size)
		if err != nil {
			return err
		}
		for _, s := range secrets {
			if Sweeps(s, step.RotateFunction, r.Settings.RegistryURL) {
				a.Secrets, length = append(a.Secrets, s.ARN), length+len(s.ARN)
			}
		}
		if a.State.NextToken = next; next == "" {
			a.State.Listed = true
			break
		}
	}
	a.State.Pages++
	a.State.Sent = len(a.Secrets)
	return nil
}

// Sweeps reports whether runs at that registry sweep a secret. They do so if it is not a replica,
// and the function rotates it or its tag names the registry. A secret with an error in its
// configuration is swept, too, because its sweep fails and so reports the error. Such errors are
// another registry in the tag, a tag that is not a URL, and a rotation by an alias or a version of
// the function, for which there is no permission.
//
// Secrets Manager keeps the function of a secret whose rotation was switched off. Such a secret is
// swept while it has labels of ours, so that its keys are revoked. A retired secret has no such
// labels.
func Sweeps(s vault.Secret, rotateFunction, registryURL string) bool {
	registry, err := settings.RegistryOf(s.Tags)
	ours := err == nil && registry == registryURL
	if vault.UnqualifiedFunction(s.Rotation.Function) == rotateFunction {
		ours = ours || s.Rotation.Enabled
		for _, v := range s.Versions {
			ours = ours || len(v.Keys)+len(v.Marks) > 0
		}
	}
	return ours && s.ReplicaOf() == ""
}

// rotations returns the calls of RotateSecret. The sweeps of a run may take an hour, so each secret
// is described again. If that fails, or the answer is full, the next run finds the secret again.
func (r *Runner) rotations(ctx context.Context, step Step, needs []revocation.Need) []Rotation {
	all, size := []Rotation{}, 0
	for _, need := range needs {
		rotation, err := r.rotation(ctx, step, need)
		if err != nil {
			r.Log.WarnContext(ctx, "the secret needs a rotation but could not be described",
				"secret", need.SecretID, "error", err)
		}
		if rotation == nil {
			continue
		}
		text, _ := json.Marshal(rotation)
		if size += len(text); size > maxRotationBytes {
			break
		}
		all = append(all, *rotation)
	}
	return all
}

// rotation returns the call for a secret, or nil if the secret may no longer be rotated. A pending
// version that had no value may have one now. Then it has a key label, and the secret is not
// rotated. (If the value arrives after that, the version has lost AWSPENDING and is never promoted.
// Its key has a label, so a sweep revokes the key.)
func (r *Runner) rotation(ctx context.Context, step Step, need revocation.Need) (*Rotation, error) {
	secret, err := r.Vault.Describe(ctx, need.SecretID)
	if err != nil {
		return nil, err
	}
	policy, err := r.Settings.ForSecret(secret.Tags)
	if err != nil || !revocation.MayRotate(secret, policy, step.RotateFunction) {
		return nil, err
	}
	rotation := &Rotation{SecretID: secret.ARN, Token: Token(need, step.Time), Reason: need.Reason}
	if pending, ok := secret.Holder(vault.Pending); ok && !pending.Has(vault.Current) {
		if pending.ID != need.Pending || len(pending.Keys) > 0 {
			return nil, nil
		}
		rotation.RemovePending = pending.ID
	}
	why := "the registry refuses the current key"
	if need.Reason == revocation.NeedExpires {
		why = "the current key expires soon"
	}
	rotation.Event = notice.New(notice.Detail{
		Secret: notice.NewSecret(secret.ARN, secret), Registry: r.Settings.RegistryURL,
		Findings: []notice.Finding{notice.OnNeed}, NeedsPerson: true, Run: step.Run, Time: step.Time,
		Message: fmt.Sprintf("the secret is rotated now, because %s. See docs/runbook/on-need.md", why),
	})
	return rotation, nil
}

func (r *Runner) stopped(step Step, s State, v verdict) *notice.Event {
	var first string
	if len(s.Rotate) > 0 {
		first = "; the first of those that need a rotation is " + s.Rotate[0].SecretID
	}
	return notice.New(notice.Detail{
		Registry: r.Settings.RegistryURL, Findings: []notice.Finding{notice.Stopped},
		NeedsPerson: true, Run: step.Run, Time: step.Time,
		Message: fmt.Sprintf("%s: %d swept, %d failed, %d need a rotation%s. See docs/runbook/sweep-run-stopped.md",
			v.message, s.Swept, s.Failed, len(s.Rotate), first),
	})
}

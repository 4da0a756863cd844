// Package sweeps does what the state machine of a deployment does (infra/keyrotation): it asks the
// revoke function for the next step of a run, has it sweep the secrets of that step, and calls
// RotateSecret in the end. Tests and the benchmark drive runs with it.
package sweeps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/fleet"
	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
)

// defaultConcurrency is how many secrets the deployment sweeps at the same time.
const defaultConcurrency = 20

// Machine drives runs.
type Machine struct {
	Revoke         func(ctx context.Context, payload []byte) ([]byte, error)
	Secrets        *secretsmanager.Client // with the state machine's role
	RotateFunction string                 // its ARN
	Limit          int                    // secrets in a page; 0: the function's default
	Concurrency    int                    // secrets that are swept at the same time; 0: as in the deployment
}

// Report is what a run came to.
type Report struct {
	Do       fleet.Do // Done, Rotate or Stop
	Pages    int
	Outcomes map[revocation.Outcome]int
	Rotated  []fleet.Rotation // RotateSecret accepted these
	Refused  []error          // and these not
	Events   []notice.Event
}

// Run goes through all secrets once. It fails if a step fails, as the execution does. A sweep that
// fails is an outcome.
func (m *Machine) Run(ctx context.Context, name string, at time.Time) (Report, error) {
	report := Report{Outcomes: map[revocation.Outcome]int{}}
	step := fleet.Step{RotateFunction: m.RotateFunction, Time: at, Run: name, Limit: m.Limit,
		Results: []fleet.Outcome{}}
	for {
		var answer fleet.Answer
		if err := m.ask(ctx, map[string]any{"next": step}, &answer); err != nil {
			return report, err
		}
		report.Do, step.State = answer.Do, answer.State
		report.add(answer.Event)
		switch answer.Do {
		case fleet.Sweep:
			report.Pages++
			step.Results = m.sweep(ctx, name, at, answer.Secrets, &report)
		case fleet.Continue: // a new execution has no results
			step.Results = []fleet.Outcome{}
		case fleet.Rotate:
			for _, r := range answer.Rotations {
				m.rotate(ctx, r, &report)
			}
			return report, nil
		default:
			return report, nil
		}
	}
}

func (r *Report) add(event *notice.Event) {
	if event != nil {
		r.Events = append(r.Events, *event)
	}
}

// ask invokes the function.
func (m *Machine) ask(ctx context.Context, event, answer any) error {
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	text, err := m.Revoke(ctx, payload)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

// sweep sweeps the secrets, several at a time. An invocation that fails is an outcome, too.
func (m *Machine) sweep(ctx context.Context, run string, at time.Time, secrets []string,
	report *Report) []fleet.Outcome {
	answers := make([]revocation.Answer, len(secrets))
	var group errgroup.Group
	group.SetLimit(cmp.Or(m.Concurrency, defaultConcurrency))
	for i, arn := range secrets {
		group.Go(func() error {
			event := map[string]any{"secretId": arn, "time": at, "run": run, "rotateFunction": m.RotateFunction}
			if m.ask(ctx, event, &answers[i]) != nil {
				answers[i] = revocation.Answer{Outcome: revocation.Failed}
			}
			return nil
		})
	}
	_ = group.Wait() // no sweep fails
	outcomes := []fleet.Outcome{}
	for _, a := range answers {
		report.Outcomes[a.Outcome]++
		report.add(a.Event)
		outcomes = append(outcomes, fleet.Outcome{Outcome: a.Outcome, Rotate: a.Rotate})
	}
	return outcomes
}

// rotate starts a rotation on need. The event follows, so that there is none about a rotation that
// was refused.
func (m *Machine) rotate(ctx context.Context, r fleet.Rotation, report *Report) {
	var err error
	if r.RemovePending != "" {
		_, err = m.Secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &r.SecretID, VersionStage: aws.String(vault.Pending), RemoveFromVersionId: &r.RemovePending,
		})
	}
	if err == nil {
		_, err = m.Secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &r.SecretID,
			ClientRequestToken: &r.Token})
	}
	if err != nil {
		report.Refused = append(report.Refused, errors.Join(errors.New(r.SecretID), err))
		return
	}
	report.Rotated = append(report.Rotated, r)
	report.add(r.Event)
}

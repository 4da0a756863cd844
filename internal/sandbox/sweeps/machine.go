// Package sweeps does what the state machine of a deployment does (infra/keyrotation). It asks the
// revoke function for the next step of a run, lets it sweep the secrets of that step, and finally
// calls RotateSecret. Tests and the benchmark use it to run sweeps.
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

// defaultConcurrency is the number of secrets that the deployment sweeps at the same time.
const defaultConcurrency = 20

// A Machine runs sweeps in place of the state machine.
type Machine struct {
	Revoke         func(ctx context.Context, payload []byte) ([]byte, error)
	Secrets        *secretsmanager.Client // client with the state machine's role
	RotateFunction string                 // ARN of the rotate function
	Limit          int                    // number of secrets in a page; 0: the function's default
	Concurrency    int                    // number of secrets that are swept at the same time; 0: as in the deployment
}

// A Report is the result of a run.
type Report struct {
	Do       fleet.Do // Done, Rotate or Stop
	Pages    int
	Outcomes map[revocation.Outcome]int
	Rotated  []fleet.Rotation // the rotations that RotateSecret accepted
	Refused  []error          // the errors of the rotations that it refused
	Events   []notice.Event
}

// Run sweeps all secrets once. It returns an error if a step fails, as the execution of the state
// machine does. A sweep that fails is an outcome, not an error.
func (m *Machine) Run(ctx context.Context, name string, at time.Time) (Report, error) {
	report := Report{Outcomes: map[revocation.Outcome]int{}}
	step := fleet.Step{RotateFunction: m.RotateFunction, Time: at, Run: name, Limit: m.Limit,
		Results: []fleet.Outcome{}}
	for {
		var answer fleet.Answer
		if err := m.invoke(ctx, map[string]any{"next": step}, &answer); err != nil {
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

// invoke invokes the revoke function.
func (m *Machine) invoke(ctx context.Context, event, answer any) error {
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

// sweep sweeps the secrets, several at a time. An invocation that fails is an outcome, not an
// error.
func (m *Machine) sweep(ctx context.Context, run string, at time.Time, secrets []string,
	report *Report) []fleet.Outcome {
	answers := make([]revocation.Answer, len(secrets))
	var group errgroup.Group
	group.SetLimit(cmp.Or(m.Concurrency, defaultConcurrency))
	for i, arn := range secrets {
		group.Go(func() error {
			event := map[string]any{"secretId": arn, "time": at, "run": run, "rotateFunction": m.RotateFunction}
			if m.invoke(ctx, event, &answers[i]) != nil {
				answers[i] = revocation.Answer{Outcome: revocation.Failed}
			}
			return nil
		})
	}
	_ = group.Wait() // no sweep returns an error
	outcomes := []fleet.Outcome{}
	for _, a := range answers {
		report.Outcomes[a.Outcome]++
		report.add(a.Event)
		outcomes = append(outcomes, fleet.Outcome{Outcome: a.Outcome, Rotate: a.Rotate})
	}
	return outcomes
}

// rotate starts a rotation on need. It adds the event afterwards, so that a refused rotation has no
// event.
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

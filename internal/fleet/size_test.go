package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// endless is an account of secrets with the longest names, or shorter ones, and the most tags that
// there can be.
type endless struct {
	asked []int
	name  int // its length; 0: 512
}

const ofRotate = "arn:aws:lambda:us-east-1:123456789012:function:rotate"

func (e *endless) secret(arn string) vault.Secret {
	tags := map[string]string{}
	for i := range 50 {
		tags[fmt.Sprint(strings.Repeat("k", 120), i)] = strings.Repeat("v", 256)
	}
	now := time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)
	return vault.Secret{ARN: arn, Name: "x", Now: now, Tags: tags, Rotation: vault.Rotation{Enabled: true,
		Function: ofRotate}}
}

func (e *endless) List(_ context.Context, _ string, atMost int) (secrets []vault.Secret, next string, err error) {
	e.asked = append(e.asked, atMost)
	for i := range atMost {
		secrets = append(secrets,
			e.secret(fmt.Sprintf("arn:aws:secretsmanager:us-east-1:123456789012:secret:%s%03d-AbCdEf",
				strings.Repeat("n", cmp.Or(e.name, 512)-3), i)))
	}
	return secrets, "more", nil
}

func (e *endless) Describe(_ context.Context, secretID string) (vault.Secret, error) {
	return e.secret(secretID), nil
}

func TestAnswersFitIntoTheStateMachine(t *testing.T) {
	// A state can carry 256 KiB. A page must fit, whatever the names and tags are.
	account := &endless{}
	r := &Runner{Vault: account, Settings: settings.Revoke{Common: settings.Common{RegistryURL: "https://r"}},
		Log: slog.New(slog.DiscardHandler)}
	step := Step{RotateFunction: ofRotate, Time: time.Now(), Run: "run"}
	next := func(state State) (Answer, int) {
		t.Helper()
		step.State = state
		answer, err := r.Next(t.Context(), step)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		return answer, len(text)
	}
	if answer, _ := next(State{}); len(answer.Secrets) != 100 {
		t.Errorf("the brake decides after %d secrets for the first time", len(answer.Secrets))
	}
	if answer, size := next(State{Swept: 100}); answer.Do != Sweep || len(answer.Secrets) < 100 || size > 130_000 {
		t.Errorf("%d secrets in %d bytes", len(answer.Secrets), size)
	}
	step.Limit = 2
	if answer, _ := next(State{}); len(answer.Secrets) != 2 || account.asked[len(account.asked)-1] != 2 {
		t.Errorf("%d secrets with the limit 2", len(answer.Secrets))
	}
	state := State{Listed: true, Swept: 10000}
	for i := range 150 {
		state.Rotate = append(state.Rotate, revocation.Need{SecretID: fmt.Sprint("arn:", i),
			Reason: revocation.NeedExpires})
	}
	if answer, size := next(state); answer.Do != Rotate || len(answer.Rotations) < 4 || size > 130_000 {
		t.Errorf("%q, %d rotations in %d bytes", answer.Do, len(answer.Rotations), size)
	}
}

func TestASecretWhoseSweepDidNotAnswerIsLogged(t *testing.T) {
	// A function that crashed or timed out logs no error and sends no event, so the log line must
	// have the secret's name.
	var log strings.Builder
	r := &Runner{Vault: &endless{}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	var step Step
	text := `{"rotateFunction": "` + ofRotate +
		`", "time": "2026-11-27T18:00:00Z", "state": {"sent": 1, "listed": true},
		"results": [{"outcome": "failed", "secretId": "arn:x", "error": "States.Timeout"}]}`
	if err := json.Unmarshal([]byte(text), &step); err != nil {
		t.Fatal(err)
	}
	answer, err := r.Next(t.Context(), step)
	if err != nil || answer.State.Failed != 1 || !strings.Contains(log.String(), "secret=arn:x error=States.Timeout") {
		t.Errorf("%+v, %v: %s", answer, err, log.String())
	}
}

func TestStepsFitIntoTheStateMachine(t *testing.T) {
	// If many keys expire in one run, the input of each step must still fit into a state, whatever
	// the names are. Here each secret needs a rotation, has an event and has a stuck version.
	const most = 256 << 10
	for _, length := range []int{3, 10, 20, 60, 140, 300, 512} {
		account := &endless{name: length}
		r := &Runner{Vault: account, Settings: settings.Revoke{Common: settings.Common{RegistryURL: "https://r"}},
			Log: slog.New(slog.DiscardHandler)}
		step := Step{RotateFunction: ofRotate, Time: time.Now(), Run: strings.Repeat("r", 80)}
		for page, needs := 1, 0; ; page++ {
			answer, err := r.Next(t.Context(), step)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := json.Marshal([]any{step.State, answer})
			if len(text) > most {
				t.Errorf("names of %d: the answer %d has %d bytes with the former state", length, page, len(text))
			}
			if answer.Do == Stop {
				break
			}
			step.State, step.Results = answer.State, nil
			for _, arn := range answer.Secrets {
				o := Outcome{Outcome: revocation.Swept, Event: &Put{true}}
				if needs++; page > 2 || needs <= maxRotations {
					o.Rotate = &revocation.Need{SecretID: arn, Reason: revocation.NeedExpires,
						Pending: strings.Repeat("p", 36)}
				}
				step.Results = append(step.Results, o)
			}
			if text, _ := json.Marshal(step); len(text) > most {
				t.Errorf("names of %d: the step after page %d has %d bytes", length, page, len(text))
			}
		}
	}
}

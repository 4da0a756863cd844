package operations_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

func TestEveryCrashOfAPauseLeavesTheSweepsPaused(t *testing.T) {
	// A new pause replaces another one, in a label or in the tag of older releases. The process may
	// die before or after any request. The sweeps must be paused at all times, and after another
	// run only the new pause must be left.
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			if !pauseWithCrash(t, at, after) {
				if at < 4 {
					t.Fatalf("the command sent only %d requests, want 3 or more", at-1)
				}
				break
			}
		}
	}
}

// paused reports whether the secret has a label or a tag of a pause. No pause ends during this
// test.
func paused(out *secretsmanager.DescribeSecretOutput) bool {
	for id, stages := range out.VersionIdsToStages {
		if len(vault.NewVersion(id, stages).Pauses) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(out.Tags, func(tag types.Tag) bool { return *tag.Key == settings.TagPauseUntil })
}

// pauseWithCrash lets the process die at the request with the number. It reports whether the
// command sent that many requests.
func pauseWithCrash(t *testing.T, at int, after bool) (reached bool) {
	r := sandboxtest.New(t)
	s := r.Secret("prod/pipeline")
	if err := s.MoveLabel(vault.PauseLabel(r.Clock.Now().Add(8*time.Hour)), s.Holder(vault.Current).ID,
		""); err != nil {
		t.Fatal(err)
	}
	s.Tag(settings.TagPauseUntil, r.Clock.Now().Add(9*time.Hour).Format(time.RFC3339))
	seen := 0
	remove := r.Intercept(func(c *wire.Call, next func()) {
		if seen++; seen == at && !after {
			r.KillCaller(c)
			c.Cut()
			return
		}
		next()
		if out, err := r.Hands.DescribeSecret(t.Context(),
			&secretsmanager.DescribeSecretInput{SecretId: &s.ARN}); err != nil || !paused(out) {
			t.Errorf("after request %d, %s, the sweeps are not paused: %v", seen, c.Operation, err)
		}
		if seen == at {
			r.KillCaller(c)
			c.Cut()
		}
	})
	for range 2 {
		p := newOperator(t, r)
		secret, err := p.secret(s.Name)
		if err == nil {
			_, err = p.Pause(p.ctx, secret, 4*time.Hour, "incident")
		}
		reached = seen >= at
		if err == nil {
			break
		}
		if !reached {
			t.Fatalf("request %d, after %t: %v", at, after, err)
		}
	}
	remove()
	p := newOperator(t, r)
	secret, err := p.secret(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	until := managed.PausedUntil(secret.Secret)
	if until == nil || until.Sub(r.Clock.Now()).Round(time.Minute) != 4*time.Hour ||
		secret.Tags[settings.TagPauseUntil] != "" {
		t.Errorf("request %d, after %t: the sweeps are paused until %v, with the tags %v; want 4 hours from now", at,
			after, until, secret.Tags)
	}
	if _, err := p.Resume(p.ctx, secret); err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Snapshot().Versions {
		if slices.ContainsFunc(v.Stages,
			func(l string) bool { return len(vault.NewVersion(v.ID, []string{l}).Pauses) > 0 }) {
			t.Errorf("resume leaves the labels %v", v.Stages)
		}
	}
	return reached
}

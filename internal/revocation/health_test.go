package revocation_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

// TestTheCurrentKeyIsTheOneThatFits has a label that a person moved to the current version. The
// alarm for a key that expires soon must use the real current key.
func TestTheCurrentKeyIsTheOneThatFits(t *testing.T) {
	r := sandboxtest.New(t)
	s, _, fresh := due(t, r)
	current, _ := r.Registry.KeyBySecret(fresh.Reveal())
	other := current
	for other.ID >= current.ID { // the sandbox sorts labels, so the other one comes first
		_, secret := r.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
		other, _ = r.Registry.KeyBySecret(secret)
	}
	must(t, s.MoveLabel(vault.KeyLabel(other.ID), s.Holder(vault.Current).ID, ""))
	if health := s.MustSweep().Health; health.CurrentKeyID != current.ID {
		t.Errorf("the current key is %s, want %s\n%s", health.CurrentKeyID, current.ID, s.Labels())
	}
}

// TestMetricsOfTheRotationItself checks the metrics of alarms for a rotation that is overdue,
// switched off or stuck.
func TestMetricsOfTheRotationItself(t *testing.T) {
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	expect := func(state string, overdue, off, underWay, age float64) {
		t.Helper()
		s.MustSweep()
		got := metrics(t, r)
		for name, want := range map[string]float64{MetricRotationOverdue: overdue, MetricRotationOff: off,
			MetricRotationUnderWay: underWay, MetricCurrentKeyAge: age * 24 * 3600} {
			figure, there := got[name]
			if tolerance := map[string]float64{MetricCurrentKeyAge: 60}[name]; !there || figure < want-tolerance ||
				figure > want+tolerance {
				t.Errorf("%s: %s is %v (there: %t), want %v", state, name, figure, there, want)
			}
		}
	}
	expect("in order", 0, 0, 0, 0)
	event := s.Begin(sandboxtest.Token(1))
	expect("under way", 0, 0, 1, 0)
	must(t, s.MoveLabel("AWSPENDING", "", event.ClientRequestToken))
	r.Clock.Advance(29 * 24 * time.Hour)
	expect("not due yet", 0, 0, 0, 29)
	r.Clock.Advance(3 * 24 * time.Hour)
	expect("overdue", 1, 0, 0, 32)
	_, err := r.Hands.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &s.ARN})
	must(t, err)
	expect("switched off", 0, 1, 0, 32)
}

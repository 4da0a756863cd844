package rotation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

func TestFinishSecretCutsOverAndLeavesAWSPENDING(t *testing.T) {
	// AWSCURRENT moves to the pending version. Secrets Manager itself removes AWSPENDING.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	old := s.Holder(vault.Current)
	event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
	trace := r.Trace()

	must(t, s.Step(event, rotation.Finish))

	now := s.Holder(vault.Current)
	if now.ID != event.ClientRequestToken || !holds(now, vault.Pending) || !holds(version(t, s, old.ID),
		vault.Previous) {
		t.Errorf("after finishSecret\n%s", s.Labels())
	}
	if n := sandboxtest.Count(trace.Take(), "UpdateSecretVersionStage"); n != 1 {
		t.Errorf("finishSecret wrote %d labels, want one", n)
	}
	must(t, r.Secrets.FinishPending(s.ARN))
}

func TestTheLogLineOfTheCutOverNamesTheReplacedVersionAndItsKey(t *testing.T) {
	// Auditors ask which key was replaced. The order of versions does not show it after a rollback.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
	old := s.Holder(vault.Current) // createSecret has labelled it
	r.Output.Take()

	must(t, s.Step(event, rotation.Finish))

	lines := r.Output.Lines("step done")
	want := fmt.Sprintf(`"replacedVersion":%q,"replacedKeyId":%q`, old.ID, vault.NewVersion(old.ID, old.Stages).Key())
	if len(lines) != 1 || !strings.Contains(lines[0], want) {
		t.Errorf("the log lines lack %s:\n%s", want, strings.Join(lines, "\n"))
	}
}

func TestEveryStepOfACurrentVersionIsDone(t *testing.T) {
	// If the version is already current, each step does nothing.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Finish)
	for _, cleaned := range []bool{false, true} {
		if cleaned {
			must(t, r.Secrets.FinishPending(s.ARN))
		}
		before := stateOf(s)
		trace := r.Trace()
		for _, step := range []rotation.Step{rotation.Create, rotation.Set, rotation.Test, rotation.Finish} {
			must(t, s.Step(event, step))
		}
		for _, q := range trace.Take() {
			if q.Operation != "DescribeSecret" {
				t.Errorf("a step sent %s", q.Operation)
			}
		}
		before.unchanged(t)
		before.noKeyCreated(t)
	}
}

func TestEditDuringRotationIsKept(t *testing.T) {
	// If somebody edits the secret during the rotation, finishSecret refuses, and the next rotation
	// starts again.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	first := s.Holder(vault.Current)
	edited := s.Put(`{"QUILT_API_KEY":"` + s.CurrentKey().Reveal() + `","edited":true}`)
	must(t, s.MoveLabel(vault.Current, first.ID, edited))
	event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
	// an edit by PutSecretValue ends the rotation at once; one by label does not
	must(t, s.MoveLabel(vault.Current, edited, first.ID))

	err := s.Step(event, rotation.Finish)

	wantFault(t, err, "Edited", s.ARN, "the edit is kept", "quilt-rotate rotate "+s.Name)
	if s.Holder(vault.Current).ID != edited {
		t.Errorf("the edit is lost\n%s", s.Labels())
	}
	if _, stuck := s.Snapshot().Holder(vault.Pending); stuck || !metric(r, rotation.MetricSelfHealed) {
		t.Errorf("AWSPENDING must be removed, and the metric must show it\n%s", s.Labels())
	}
	s.MustRotate()
	if v := s.Holder(vault.Current); v.Value != `{"QUILT_API_KEY":"`+s.CurrentKey().Reveal()+`","edited":true}` {
		t.Error("the next rotation lost the edit")
	}
}

func TestCutOverFailsAfterAnEdit(t *testing.T) {
	// The cut-over is a compare-and-swap, so it fails if somebody edited the secret just before.
	t.Parallel()
	for name, edit := range map[string]func(s *sandboxtest.Secret, first string){
		"by a new value": func(s *sandboxtest.Secret, _ string) {
			s.Put(`{"QUILT_API_KEY":"` + s.CurrentKey().Reveal() + `","edited":true}`)
		},
		"by a rollback": func(s *sandboxtest.Secret, first string) {
			_ = s.MoveLabel(vault.Current, first, s.Holder(vault.Current).ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			first := s.Holder(vault.Current).ID
			s.MustRotate()
			event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
			r.Intercept(sandboxtest.On(sandboxtest.Nth(0, sandboxtest.Before(func() { edit(s, first) })),
				"UpdateSecretVersionStage"))

			wantFault(t, s.Step(event, rotation.Finish), "CutOverFailed", s.ARN, "AWSCURRENT")

			if s.Holder(vault.Current).ID == event.ClientRequestToken || !s.Valid(s.CurrentKey()) {
				t.Errorf("the edit is lost\n%s", s.Labels())
			}
		})
	}
}

func TestALostAnswerToTheCutOverIsSuccess(t *testing.T) {
	// If the label was moved but the answer was lost, the step succeeds, because DescribeSecret
	// shows the label. The first answer of DescribeSecret may be outdated.
	t.Parallel()
	for _, lag := range []int{0, 1} {
		t.Run(fmt.Sprintf("lag %d", lag), func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			r.MaxLag = time.Second
			s := r.Secret("quilt/pipeline")
			event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
			r.Intercept(sandboxtest.On(sandboxtest.Nth(0, sandboxtest.LoseAnswer), "UpdateSecretVersionStage"))
			r.Intercept(sandboxtest.On(sandboxtest.Nth(1, sandboxtest.After(func() { r.Secrets.SetReadLag(lag) })),
				"UpdateSecretVersionStage"))

			must(t, s.Step(event, rotation.Finish))

			if s.Holder(vault.Current).ID != event.ClientRequestToken {
				t.Errorf("AWSCURRENT did not move\n%s", s.Labels())
			}
		})
	}
}

func TestFinishSecretRefusesAKeyThatDoesNotLogIn(t *testing.T) {
	// A pending key that was revoked or expired after testSecret must not become current.
	t.Parallel()
	for name, kill := range map[string]func(r *sandboxtest.Rig, id string){
		"revoked": func(r *sandboxtest.Rig, id string) { r.Registry.Delete(id) },
		"expired": func(r *sandboxtest.Rig, id string) { r.Registry.Expire(id) },
		"revoked, me: null": func(r *sandboxtest.Rig, id string) {
			r.Registry.Delete(id)
			r.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.NullMe = true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
			kill(r, keyID(t, s, s.KeyIn(version(t, s, event.ClientRequestToken))))
			before := stateOf(s)
			trace := r.Trace()

			wantFault(t, s.Step(event, rotation.Finish), "PendingKeyRefused", s.ARN, "does not log in")

			before.unchanged(t)
			onlyReads(t, trace.Take())
			// The service tries again, from the start: createSecret heals, and the next rotation
			// works.
			wantFault(t, s.Step(event, rotation.Create), "PendingKeyDead")
			s.MustRotate()
		})
	}
}

func TestTwoFinishesAtOnce(t *testing.T) {
	// Of two concurrent runs only one moves the label. The other one finds that it is done, and
	// succeeds.
	t.Parallel()
	r := sandboxtest.New(t)
	for i := range 8 {
		s := r.Secret(fmt.Sprintf("quilt/%d", i))
		event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
		for _, err := range atOnce(2, func(int) error { return r.NewProcess().Step(event.As(rotation.Finish)) }) {
			must(t, err)
		}
		if s.Holder(vault.Current).ID != event.ClientRequestToken {
			t.Errorf("AWSCURRENT did not move\n%s", s.Labels())
		}
	}
}

func TestStalledFinishSecretAfterAWSPENDINGWasRemoved(t *testing.T) {
	// A finishSecret may continue long after its caller gave up. The key that it makes current
	// still works, even if AWSPENDING was removed and a sweep ran in the meantime. After another
	// rotation it changes nothing.
	t.Parallel()
	for _, rotated := range []bool{false, true} {
		r := sandboxtest.New(t)
		s := r.Secret("quilt/pipeline")
		event := runTo(t, s, sandboxtest.Token(1), rotation.Test)
		gate := sandboxtest.NewGate(t)
		remove := r.Intercept(sandboxtest.On(sandboxtest.Nth(0, gate.Stall), "UpdateSecretVersionStage"))
		done := make(chan error)
		go func() { done <- r.NewProcess().Step(event.As(rotation.Finish)) }()
		<-gate.Arrived
		remove()
		unstick(t, s)
		s.MustSweep()
		if swept := s.MustSweep(); len(swept.Actions) != 1 || swept.Actions[0].Reason != revocation.MayBePromoted {
			t.Errorf("the sweep must leave a key that may still be promoted, and it did %v", swept.Actions)
		}
		if rotated {
			s.MustRotate()
		}
		gate.Open()
		err := <-done

		switch {
		case !rotated:
			must(t, err)
			if s.Holder(vault.Current).ID != event.ClientRequestToken {
				t.Errorf("AWSCURRENT did not move\n%s", s.Labels())
			}
		default:
			wantFault(t, err, "CutOverFailed")
		}
		if !s.Valid(s.CurrentKey()) {
			t.Errorf("the current key does not log in\n%s", s.Labels())
		}
		s.MustSweep()
		s.MustRotate()
	}
}

func TestFinishSecretBeforeThereIsAValue(t *testing.T) {
	// A version without a value must not become current.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := s.Begin(sandboxtest.Token(1))
	before := stateOf(s)
	wantFault(t, s.Step(event, rotation.Set), "BadValue", s.ARN, "has no value")
	must(t, s.Step(event, rotation.Test)) // a test run of a version without a value tests the current key
	wantFault(t, s.Step(event, rotation.Finish), "BadValue", s.ARN, "has no value")
	before.unchanged(t)
	must(t, s.Step(event, rotation.Create))
	must(t, s.Step(event, rotation.Finish))
}

package status

import (
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/vault"
)

var now = time.Date(2026, 11, 22, 18, 15, 0, 0, time.UTC)

// healthy returns the status of a secret without problems.
func healthy() Status {
	next := now.Add(20 * 24 * time.Hour)
	return Status{
		Secret: "prod/pipeline", ARN: "arn", Time: now, marked: true, Rotation: Rotation{On: true, Next: &next},
		Versions: []revocation.VersionInfo{{Version: "0f9a1b2c-1111", Stages: []string{vault.Current},
			Value: revocation.Holds,
			KeyInfo: revocation.KeyInfo{
				KeyID: "k2", Fingerprint: "qk_new...new", ExpiresAt: now.Add(60 * 24 * time.Hour),
			}}},
		Sweep: &Sweep{Outcome: revocation.Swept, Actions: []revocation.Taken{}, RegistryTime: now,
			Health: &revocation.Health{FreeLabels: 18}},
	}
}

func TestASecretThatIsOKHasNoProblem(t *testing.T) {
	if got := problems(healthy()); len(got) > 0 {
		t.Errorf("got the problems %+v, want none", got)
	}
}

func TestProblemsNameWhatToRun(t *testing.T) {
	// Each problem must have its next step.
	ago := now.Add(-3 * time.Hour)
	for name, c := range map[string]struct {
		change func(*Status)
		severe bool
		says   string
		hint   string
	}{
		"a sweep that would fail": {func(s *Status) {
			s.Sweep.WouldFail = &revocation.Failure{ErrorType: "Overwritten", Error: "it is blank"}
		}, true, "would fail: Overwritten: it is blank", "docs/runbook"},
		"no first key": {func(s *Status) { s.Sweep.Outcome = revocation.NotBootstrapped }, true,
			"first key", "bootstrap prod/pipeline"},
		"rotation is off": {func(s *Status) { s.Rotation.On = false }, true, "switched off",
			"retire prod/pipeline"},
		"rotation off, and no tag or label": {func(s *Status) { s.Rotation.On, s.marked = false, false }, true,
			"switched off", "delete-secret --secret-id prod/pipeline"},
		"rotation overdue": {func(s *Status) { s.Rotation.Overdue = true }, true,
			"overdue since 2026-12-12 18:15 UTC", "rotate prod/pipeline"},
		"a stuck rotation": {func(s *Status) {
			s.Rotation.UnderWay, s.Rotation.UnderWaySince = true,
				&ago
		}, true, "since 2026-11-22 15:15 UTC", "unstick prod/pipeline"},
		"a replica that failed": {func(s *Status) { s.Replicas = []Replica{{"eu-west-1", "Failed"}} },
			false, "eu-west-1 is Failed", "describe-secret"},
		"the key expires soon": {
			func(s *Status) { s.Versions[0].ExpiresAt = now.Add(10 * 24 * time.Hour) }, false, "expires on 2026-12-02",
			"rotate prod/pipeline"},
		"the key expires within a day": {func(s *Status) { s.Versions[0].ExpiresAt = now.Add(time.Hour) }, true,
			"expires on 2026-11-22", "rotate prod/pipeline"},
		"few labels": {func(s *Status) { s.Sweep.Health.FreeLabels = 4 }, true,
			"free staging labels: 4", "quilt-rotate revoke prod/pipeline, then: quilt-rotate rotate prod/pipeline"},
		"few labels in a rotation": {func(s *Status) { s.Sweep.Health.FreeLabels, s.Rotation.UnderWay = 4, true }, true,
			"free staging labels: 4",
			"quilt-rotate unstick prod/pipeline, then: quilt-rotate revoke prod/pipeline, then: quilt-rotate rotate " +
				"prod/pipeline"},
		"overdue in a rotation": {func(s *Status) {
			s.Rotation.UnderWay, s.Rotation.Overdue, s.Rotation.Next = true,
				true, &ago
		}, true, "overdue", "unstick prod/pipeline, then: quilt-rotate rotate"},
	} {
		s := healthy()
		c.change(&s)
		got := problems(s)
		if len(got) != 1 || got[0].Severe != c.severe || !strings.Contains(got[0].Text, c.says) ||
			!strings.Contains(got[0].Hint, c.hint) {
			t.Errorf("%s: got the problems %+v, want one with %q", name, got, c.says)
		}
	}
}

func TestARotationThatHasJustStartedIsNoProblem(t *testing.T) {
	s, since := healthy(), now.Add(-time.Minute)
	s.Rotation.UnderWay, s.Rotation.UnderWaySince = true, &since
	if got := problems(s); len(got) > 0 {
		t.Errorf("got the problems %+v, want none", got)
	}
}

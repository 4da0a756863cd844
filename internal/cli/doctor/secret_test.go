package doctor

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// healthy returns a secret without findings of the checks that send no request.
func healthy() *examined {
	p := &examined{examination: &examination{}, name: "prod/pipeline", secret: &managed.Secret{Secret: vault.Secret{
		ARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/pipeline-AbCdEf", Name: "prod/pipeline",
		Now: now,
		Rotation: vault.Rotation{Enabled: true, Function: "arn:function", Next: now.AddDate(0, 0, 30),
			Rules: vault.RotationRules{Schedule: "rate(30 days)", Window: "4h"}},
		Tags:     map[string]string{settings.TagGrace: "24h", settings.TagRegistry: "https://registry.example.com"},
		Versions: map[string]vault.Version{"v1": vault.NewVersion("v1", []string{vault.Current, "quilt-key:key-1"})},
	}}}
	p.rotation = settings.Rotation{ExpiresInDays: 90}
	p.sweeping = &settings.Revocation{Grace: 24 * time.Hour, Quiet: 25 * time.Hour}
	p.key = quilt.APIKey{ID: "key-1", ExpiresAt: now.AddDate(0, 0, 90), RegistryTime: now}
	return p
}

func labelled(n int) vault.Version {
	stages := []string{vault.Current}
	for i := 1; i < n; i++ {
		stages = append(stages, fmt.Sprintf("quilt-key:key-%d", i))
	}
	return vault.NewVersion("v1", stages)
}

func TestFindings(t *testing.T) {
	// Each fault must be reported, and nothing else.
	for name, c := range map[string]struct {
		look   func(*examined, context.Context) finding
		change func(*examined)
		status Status
		detail string
	}{
		"labels": {(*examined).labels, nil, OK, "2 of 20"},
		"fourteen labels": {(*examined).labels, func(p *examined) { p.secret.Versions["v1"] = labelled(14) },
			OK, "14 of 20"},
		"fifteen labels": {(*examined).labels, func(p *examined) { p.secret.Versions["v1"] = labelled(15) },
			Failed, "15 of 20"},
		"a label of a newer release": {(*examined).labels,
			func(p *examined) { p.secret.Versions["v2"] = vault.NewVersion("v2", []string{"quilt-next:x"}) }, Failed,
			"quilt-next:x"},

		"rotation": {(*examined).rotates, nil, OK, "rate(30 days), window 4h"},
		"rotation after days": {(*examined).rotates,
			func(p *examined) { p.secret.Rotation.Rules = vault.RotationRules{AfterDays: 1} }, OK, "every day"},
		"rotation is off": {(*examined).rotates, func(p *examined) { p.secret.Rotation.Enabled = false }, Failed,
			"switched off"},
		"rotation by hand only": {(*examined).rotates,
			func(p *examined) { p.secret.Rotation.Rules = vault.RotationRules{} }, Failed, "no rotation schedule"},
		"rotation overdue": {(*examined).rotates, func(p *examined) {
			p.secret.Rotation.Next = now.AddDate(0, 0,
				-3)
		}, Failed, "overdue by 3 days"},
		"rotation due in the current window": {(*examined).rotates,
			func(p *examined) { p.secret.Rotation.Next = now.Add(-3 * time.Hour) }, OK, "rate"},

		"lifetime": {(*examined).lifetime, nil, OK,
			"valid for 90 days; one missed rotation needs 68 days (2 × 30 days + window 4h + 7 days)"},
		"the shortest sufficient lifetime": {(*examined).lifetime, func(p *examined) { p.rotation.ExpiresInDays = 68 },
			OK, "valid for 68 days; one missed rotation needs 68 days"},
		"lifetime too short by a day": {(*examined).lifetime, func(p *examined) { p.rotation.ExpiresInDays = 67 },
			Failed, "needs 68 days"},
		"invalid lifetime": {(*examined).lifetime,
			func(p *examined) { p.secret.Rotation.Rules.Schedule = "rate(200 days)" }, Failed, "needs 408 days"},
		"rotations before the grace period is over": {(*examined).lifetime,
			func(p *examined) { p.secret.Rotation.Rules.Schedule = "rate(2 days)" }, Warning, "more than two keys"},
		"a schedule of unknown format": {(*examined).lifetime,
			func(p *examined) { p.secret.Rotation.Rules.Schedule = "at(noon)" }, Skipped, "at(noon)"},
		"lifetime without a known revoke function": {(*examined).lifetime, func(p *examined) { p.sweeping = nil },
			OK, "90 days"},

		"next rotation": {(*examined).rotatedInTime, nil, OK, "60 days before"},
		"next rotation after the key expires": {(*examined).rotatedInTime,
			func(p *examined) { p.key.ExpiresAt = now.AddDate(0, 0, 29) }, Failed,
			"after the key expires on 2026-12-23"},
		"next rotation right before the key expires": {(*examined).rotatedInTime,
			func(p *examined) { p.key.ExpiresAt = now.AddDate(0, 0, 32) }, Warning, "only 2 days before"},
		"no next rotation": {(*examined).rotatedInTime,
			func(p *examined) { p.secret.Rotation.Next = time.Time{} }, Failed, "no rotation is scheduled"},

		"tags": {(*examined).tags, nil, OK, "2 tags set"},
		"invalid tags of both functions": {(*examined).tags,
			func(p *examined) { p.secret.Tags[settings.TagField] = "qk_0123456789abcdefghijk" }, Failed,
			"must not be a key"},
		"invalid tag of services": {(*examined).tags,
			func(p *examined) { p.secret.Tags[settings.TagRestart] = "one" },
			Failed, settings.TagRestart},
		"an alias of the function": {(*examined).rotateFunction, func(p *examined) {
			p.secret.Rotation.Function = "arn:aws:lambda:us-east-1:123456789012:function:rotate:live"
			p.function = awsclient.Function{Name: "rotate", State: "Active", Timeout: time.Minute,
				Environment: map[string]string{settings.EnvRegistryURL: "https://r.example"}}
		}, Failed, "names a version or an alias"},
		"no tags": {(*examined).tags, func(p *examined) {
			p.secret.Tags, p.secret.Versions, p.sweeping = nil, nil,
				nil
		},
			Warning, "is not managed"},
		"a tag that pauses": {(*examined).tags, func(p *examined) {
			p.secret.Tags[settings.TagPauseUntil] = now.Add(time.Hour).Format(time.RFC3339)
		}, Warning, "paused until 2026-11-24 13:00 UTC"},
		"a label that pauses": {(*examined).tags, func(p *examined) {
			p.secret.Versions["x"] = vault.NewVersion("x", []string{vault.PauseLabel(now.Add(time.Hour))})
		}, Warning, "paused until 2026-11-24 13:00 UTC"},
		"a label of a pause that has ended": {(*examined).tags, func(p *examined) {
			p.secret.Versions["x"] = vault.NewVersion("x", []string{vault.PauseLabel(now)})
		}, OK, "set"},

		"no rotation is under way": {(*examined).pending, nil, OK, "no rotation"},
		"AWSPENDING on the current version": {(*examined).pending, func(p *examined) {
			p.secret.Versions["v1"] = vault.NewVersion("v1", []string{vault.Current, vault.Pending})
		}, OK, "no rotation"},
		"replicas in sync": {(*examined).replicas,
			func(p *examined) { p.secret.Replicas = []vault.Replica{{Region: "eu-west-1", Status: vault.InSync}} }, OK,
			"in sync: eu-west-1"},
		"a replica that is not in sync": {(*examined).replicas,
			func(p *examined) { p.secret.Replicas = []vault.Replica{{Region: "eu-west-1", Status: "InProgress"}} },
			Failed, "eu-west-1 is InProgress"},
	} {
		t.Run(name, func(t *testing.T) {
			p := healthy()
			if c.change != nil {
				c.change(p)
			}
			f := c.look(p, t.Context())
			if f.status != c.status || !strings.Contains(f.detail, c.detail) {
				t.Errorf("got %+v, want %s: %q", f, c.status, c.detail)
			}
			if (f.fix == "") != (f.status == OK || f.status == Skipped) {
				t.Errorf("got the status %s with the fix %q", f.status, f.fix)
			}
			if strings.Contains(f.detail, "0123456789") {
				t.Error("the finding contains a key")
			}
		})
	}
}

func TestFunctionRequirements(t *testing.T) {
	// A function that is throttled, has a short timeout, or is not active cannot rotate.
	n := func(i int) *int { return &i }
	for name, c := range map[string]struct {
		function awsclient.Function
		status   Status
	}{
		"as deployed":     {awsclient.Function{State: "Active", Timeout: time.Minute}, OK},
		"without a state": {awsclient.Function{Timeout: time.Minute}, OK},
		"pending":         {awsclient.Function{State: "Pending", Timeout: time.Minute}, Failed},
		"short timeout":   {awsclient.Function{State: "Active", Timeout: 29 * time.Second}, Failed},
		"too little concurrency": {awsclient.Function{State: "Active", Timeout: time.Minute, Reserved: n(9)},
			Failed},
		"enough concurrency": {awsclient.Function{State: "Active", Timeout: time.Minute, Reserved: n(10)}, OK},
		"reserved concurrency of 0": {awsclient.Function{State: "Active", Timeout: time.Minute, Reserved: n(0)},
			Failed},
	} {
		if f := runs(c.function); f.status != c.status {
			t.Errorf("%s: got %+v, want %s", name, f, c.status)
		}
	}
}

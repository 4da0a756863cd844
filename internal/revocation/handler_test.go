package revocation_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// TestEventsThatAreRefused has events that could mean something else than intended, above all a
// misspelled "dryRun".
func TestEventsThatAreRefused(t *testing.T) {
	refused := map[string]string{
		"nothing":                     ``,
		"white space":                 ` `,
		"null":                        `null`,
		"text":                        `"arn"`,
		"number":                      `1`,
		"array":                       `[{"secretId":"a"}]`,
		"empty object":                `{}`,
		"no secret":                   `{"dryRun":true}`,
		"empty secret":                `{"secretId":""}`,
		"blank secret":                `{"secretId":" \t"}`,
		"secret is null":              `{"secretId":null}`,
		"secret is a number":          `{"secretId":1}`,
		"secret is an array":          `{"secretId":["a"]}`,
		"Force":                       `{"secretId":"a","Force":true}`,
		"dryRun with a space":         `{"secretId":"a","dryRun ":true}`,
		"secretId with a long s":      `{"ſecretId":"a"}`, // which encoding/json takes for an s
		"SecretId":                    `{"SecretId":"a"}`,
		"secretID":                    `{"secretID":"a"}`,
		"unknown field":               `{"secretId":"a","only":true}`,
		"unknown field that is null":  `{"secretId":"a","only":null}`,
		"dryRun is null":              `{"secretId":"a","dryRun":null}`,
		"dryRun is text":              `{"secretId":"a","dryRun":"true"}`,
		"dryRun is a number":          `{"secretId":"a","dryRun":1}`,
		"dryrun":                      `{"secretId":"a","dryrun":true}`,
		"DryRun":                      `{"secretId":"a","DryRun":true}`,
		"dry-run":                     `{"secretId":"a","dry-run":true}`,
		"time is null":                `{"secretId":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf","time":null}`,
		"time is no time":             `{"secretId":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf","time":"noon"}`,
		"time is a number":            `{"secretId":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf","time":1795600000}`,
		"time not replaced":           `{"secretId":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf","time":"<aws.scheduler.scheduled-time>"}`,
		"dryRun twice":                `{"secretId":"a","dryRun":true,"dryRun":false}`,
		"schedule's own event":        `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`,
		"rotation's event":            `{"Step":"createSecret","SecretId":"a","ClientRequestToken":"b"}`,
		"secret twice":                `{"secretId":"a","secretId":"a"}`,
		"two values":                  `{"secretId":"a"}{"secretId":"b"}`,
		"something after":             `{"secretId":"a"} x`,
		"cut off":                     `{"secretId":"a"`,
		"no JSON":                     `{secretId:"a"}`,
		"a key in the secret's place": `{"secretId":"qk_0123456789abcdefghij"}`,
		"a key in a field's name":     `{"secretId":"a","qk_0123456789abcdef":1}`,
	}
	sentences := map[string]bool{}
	for name, event := range refused {
		request, err := ParseEvent([]byte(event))
		if err == nil {
			t.Errorf("%s is taken for %+v: %s", name, request, event)
			continue
		}
		wantFault(t, err, "BadEvent", `{"secretId": "<ARN>", "dryRun": false, "time": "<RFC 3339>"}`)
		sentences[err.Error()] = true
	}
	if len(sentences) != 1 {
		t.Errorf("the sentence is not the same for each, so it may quote the event: %v", sentences)
	}
}

// TestEventsThatAreAccepted has the events of the schedule and of people who invoke the function by
// hand.
func TestEventsThatAreAccepted(t *testing.T) {
	for event, want := range map[string]Request{
		`{"secretId":"a"}`: {SecretID: "a"},
		" {\n \"dryRun\" : true, \"secretId\":\"a\" }\n":  {SecretID: "a", DryRun: true},
		`{"secretId":"a","dryRun":false}`:                 {SecretID: "a"},
		`{"\u0073ecretId":"\u0061"}`:                      {SecretID: "a"},
		`{"secretId":"a","run":"r","rotateFunction":"f"}`: {SecretID: "a", Run: "r", RotateFunction: "f"},
		`{"secretId":"a","time":"2026-11-22T18:15:00Z"}`: {SecretID: "a", Time: time.Date(2026, 11, 22, 18, 15, 0, 0,
			time.UTC)},
	} {
		if got, err := ParseEvent([]byte(event)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s is taken for %+v (%v), want %+v", event, got, err, want)
		}
	}
}

// TestForceIsRefusedByName sends "force", which an older release accepted for a leaked key. An
// ordinary sweep would leave the key valid, so the error says what to run instead.
func TestForceIsRefusedByName(t *testing.T) {
	for _, event := range []string{`{"secretId":"a","force":true}`, `{"force":false,"secretId":"a"}`,
		`{"secretId":"a","force":null}`, `{"secretId":"a","force":false,"force":true}`} {
		_, err := ParseEvent([]byte(event))
		wantFault(t, err, "BadEvent", `"force"`, "quilt-rotate emergency", "quilt-rotate retire")
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"secretId":"a","dryRun":true}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		// A field with another spelling must not start a dry run.
		if request, err := ParseEvent(event); err == nil && request.DryRun && !strings.Contains(string(event), "true") {
			t.Errorf("%q is taken for a dry run", event)
		}
	})
}

// TestABadEventTouchesNothing checks that a refused event sends no request and is reported once.
func TestABadEventTouchesNothing(t *testing.T) {
	r := sandboxtest.New(t)
	trace := r.Trace()
	_, err := r.Process().Revoke([]byte(`{"secretId":"a","Force":true}`))
	wantFault(t, err, "BadEvent")
	if n := len(trace.Take()); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	if len(r.Output.Lines(`"level":"ERROR"`, `"errorType":"BadEvent"`)) != 1 ||
		len(r.Output.Lines(`"SweepFailed":1`, `"ErrorType":"BadEvent"`)) != 1 {
		t.Errorf("log and metrics do not report it:\n%s", r.Output)
	}
}

// TestResult checks the form of the function's answer, which is an interface for programs.
func TestResult(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, fresh := rotated(t, r)
	crash(t, s, 7)
	must(t, s.MoveLabel(vault.Pending, "", sandboxtest.Token(7)))
	swept(t, s, "mark superseded done", "report orphan-too-young")
	since := r.Clock.Now()
	r.Clock.Advance(25 * time.Hour)
	use(t, r, old)
	payload, _ := json.Marshal(map[string]any{"secretId": s.ARN})
	answer, err := r.Process().Revoke(payload)
	must(t, err)
	oldKey, _ := r.Registry.KeyBySecret(old.Reveal())
	freshKey, _ := r.Registry.KeyBySecret(fresh.Reveal())
	text := strings.NewReplacer(
		s.ARN, "ARN", s.Holder(vault.Previous).ID, "OLD-VERSION", oldKey.ID, "OLD-KEY", freshKey.ID, "NEW-KEY",
		old.Fingerprint(), "OLD-FINGERPRINT",
		oldKey.ExpiresAt.Truncate(time.Second).Format(time.RFC3339), "OLD-EXPIRY", since.Format("2006-01-02"), "DAY",
	).Replace(string(answer))
	text = regexp.MustCompile(`"lastUsedAt":"[^"]+"`).ReplaceAllString(text, `"lastUsedAt":"WHEN"`)
	text = regexp.MustCompile(`"until":"(OLD-EXPIRY|[^"]+)"`).ReplaceAllString(text, `"until":"WHEN"`)
	text = regexp.MustCompile(`"keyId":"[0-9a-f-]{36}","fingerprint":"[^"]+"`).ReplaceAllString(text,
		`"keyId":"ORPHAN","fingerprint":"ORPHAN-FINGERPRINT"`)
	text = regexp.MustCompile(`Seconds":[1-9][0-9]*`).ReplaceAllString(text, `Seconds":SPAN`)
	want := `{"secret":"ARN","outcome":"swept","actions":[` +
		`{"action":"hold","reason":"still-used","versionId":"OLD-VERSION","keyId":"OLD-KEY","fingerprint":"OLD-FINGERPRINT","owner":"` + sandbox.UserEmail + `","until":"WHEN","lastUsedAt":"WHEN","done":false},` +
		`{"action":"revoke-orphan","reason":"orphaned","keyId":"ORPHAN","fingerprint":"ORPHAN-FINGERPRINT","owner":"` +
		sandbox.UserEmail + `","done":true}],` +
		`"health":{"currentKeyId":"NEW-KEY","currentKeyExpiresInSeconds":SPAN,"currentKeyAgeSeconds":SPAN,"oldestSupersededSeconds":SPAN,"freeLabels":15}}`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// metrics are the figures of the last line of metrics that has them.
func metrics(t *testing.T, r *sandboxtest.Rig) map[string]float64 {
	t.Helper()
	lines := r.Output.Lines(`"CloudWatchMetrics"`, MetricSweepSucceeded)
	if len(lines) == 0 {
		t.Fatalf("no metrics:\n%s", r.Output)
	}
	var line map[string]any
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &line))
	figures := map[string]float64{}
	for name, value := range line {
		if n, ok := value.(float64); ok {
			figures[name] = n
		}
	}
	return figures
}

// TestMetrics checks the metrics of alarms: what was revoked and held, the age of the oldest
// superseded key, and when the current key expires.
func TestMetrics(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := rotated(t, r)
	swept(t, s, "mark superseded done")
	expect := func(want map[string]float64) {
		t.Helper()
		got := metrics(t, r)
		for name, value := range want {
			figure, there := got[name]
			if tolerance := map[string]float64{MetricOldestSuperseded: 30,
				MetricCurrentKeyExpiresIn: 0.01}[name]; !there || figure < value-tolerance || figure > value+tolerance {
				t.Errorf("%s is %v (there: %t), want %v", name, figure, there, value)
			}
		}
	}
	expect(map[string]float64{MetricSweepSucceeded: 1, MetricKeysRevoked: 0, MetricKeysHeld: 0,
		MetricOldestSuperseded: 0, MetricCurrentKeyExpiresIn: 90})
	r.Clock.Advance(25 * time.Hour)
	use(t, r, old)
	swept(t, s, "hold still-used")
	expect(map[string]float64{MetricSweepSucceeded: 1, MetricKeysHeld: 1, MetricOldestSuperseded: 25 * 3600,
		MetricCurrentKeyExpiresIn: 90 - 25.0/24, MetricFreeLabels: 15})
	r.Clock.Advance(26 * time.Hour)
	swept(t, s, "revoke grace-over done")
	expect(map[string]float64{MetricKeysRevoked: 1, MetricKeysHeld: 0, MetricOrphans: 0})
	deleteCurrentKey(s)
	_, err := s.Sweep()
	wantFault(t, err, "CurrentKeyRefused")
	expect(map[string]float64{MetricSweepSucceeded: 0, MetricKeysRevoked: 0})
	if len(r.Output.Lines(`"SweepFailed":1`, `"ErrorType":"CurrentKeyRefused"`)) != 1 {
		t.Errorf("no metric reports the refused current key:\n%s", r.Output)
	}
}

// TestTheWarningOfAHeldKey checks that one line has the fingerprint, owner and last use of a held
// key, so that operators can find the consumer.
func TestTheWarningOfAHeldKey(t *testing.T) {
	r := sandboxtest.New(t)
	s, old, _ := rotated(t, r)
	swept(t, s, "mark superseded done")
	r.Clock.Advance(25 * time.Hour)
	use(t, r, old)
	used, _ := r.Registry.KeyBySecret(old.Reveal())
	r.Output.Take()
	swept(t, s, "hold still-used")
	warnings := r.Output.Lines(`"level":"WARN"`)
	if len(warnings) != 1 {
		t.Fatalf("there are %d warnings, want 1:\n%s", len(warnings), r.Output)
	}
	var line struct {
		Fingerprint, Owner, Secret, Version, Reason string
		LastUsedAt, Until                           time.Time
	}
	must(t, json.Unmarshal([]byte(warnings[0]), &line))
	if line.Fingerprint != old.Fingerprint() || line.Owner != sandbox.UserEmail || line.Secret != s.ARN ||
		line.Reason != "still-used" ||
		line.LastUsedAt.Sub(used.LastUsedAt).Abs() > time.Second || !line.Until.After(r.Clock.Now()) {
		t.Errorf("the warning does not say whom to look for: %s", warnings[0])
	}
}

// TestNothingSecretIsPrinted checks that sweeps print no key, whether they succeed or fail.
func TestNothingSecretIsPrinted(t *testing.T) {
	r := sandboxtest.New(t)
	trace := r.Trace()
	canaries := sandboxtest.NewCanaries()
	s, old, fresh := due(t, r)
	output := ""
	sweep := func() {
		for _, run := range []func() (Result, error){s.Preview, s.Sweep} {
			result, err := run()
			output += sandboxtest.JSONOf(result) + fmt.Sprint(err) + fmt.Sprintf("%+v %#v", result, result)
		}
	}
	for _, key := range []string{old.Reveal(), fresh.Reveal()} {
		for _, event := range []string{`{"secretId":"` + key + `"}`, `{"secretId":"x ` + key + `"}`, `{"` + key +
			`":1}`} {
			_, err := r.Process().Revoke([]byte(event))
			output += fmt.Sprint(err)
		}
		// A registry that quotes what it was sent.
		remove := r.Intercept(sandboxtest.OnService("registry", sandboxtest.Answer(403, `{"message":"no: Bearer `+key+
			`"}`)))
		sweep()
		remove()
	}
	s.Tag("quilt-rotate:issuer", issuerOf(t, r, sandbox.UserName, sandbox.UserPassword))
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) {
		w.KeysMayNotManage = quiltregistry.RefuseForbidden
		w.RevokedKeyLogins = 50
	})
	sweep()
	r.Registry.SetSwitches(func(w *quiltregistry.Switches) { w.RevokedKeyLogins = 0 })
	must(t, s.MoveLabel("quilt-next:1", s.Holder(vault.Current).ID, ""))
	sweep()
	deleteCurrentKey(s)
	sweep()
	s.Put(old.Reveal() + " " + fresh.Reveal())
	sweep()
	canaries.AddFrom(trace.Take())
	for _, k := range []string{old.Reveal(), fresh.Reveal(), sandbox.UserPassword} {
		canaries.Add("a secret", k)
	}
	if canaries.Find("so: "+fresh.Reveal()) == "" {
		t.Fatal("a key would not be found")
	}
	if leak := canaries.Find(r.Output.String() + output); leak != "" {
		t.Errorf("printed: %s", leak)
	}
}

var _ Vault = (*vault.Vault)(nil)

func TestTheLogLineOfAPausedSweepSaysUntilWhenAndWhy(t *testing.T) {
	// A pause is an exception for auditors. Its tag is removed when the pause ends, so the log must
	// have the reason.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	pauseByLabel(time.Hour, vault.Current)(s)
	s.Tag(settings.TagPauseReason, "move to the new cluster, CHG-1")
	r.Output.Take()
	s.MustSweep()
	lines := r.Output.Lines("sweep done")
	if len(lines) != 1 || !strings.Contains(lines[0], `"outcome":"paused"`) ||
		!strings.Contains(lines[0], `"pausedUntil":"`) ||
		!strings.Contains(lines[0], `"pauseReason":"move to the new cluster, CHG-1"`) {
		t.Errorf("the log line of a paused sweep: %q", lines)
	}
}

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

var built scene.Functions

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	hermetic.Clear()
	folder, err := os.MkdirTemp("", "revoke")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		built, err = scene.Build(context.Background(), folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// deployed replaces the function of this process by the built function in the sandbox's Lambda.
type deployed struct {
	*sandboxtest.Rig
	t *testing.T
}

func deploy(t *testing.T, environment map[string]string) deployed {
	t.Helper()
	r := sandboxtest.New(t)
	if _, err := r.AddFunction(sandbox.RevokeFunction, built.Revoke, 30*time.Second, environment); err != nil {
		t.Fatal(err)
	}
	return deployed{r, t}
}

func (d deployed) invoke(event string) (answer string, functionError string) {
	d.t.Helper()
	body, functionError, err := d.Lambda.Invoke(d.t.Context(), sandbox.RevokeFunction, []byte(event))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(body), functionError
}

// swept sweeps the secret and checks the action and the reason.
func (d deployed) swept(s *sandboxtest.Secret, want ...string) {
	d.t.Helper()
	answer, functionError := d.invoke(fmt.Sprintf(`{"secretId":%q}`, s.ARN))
	if functionError != "" {
		d.t.Fatalf("the sweep failed: %s", answer)
	}
	var result revocation.Result
	if err := json.Unmarshal([]byte(answer), &result); err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, a := range result.Actions {
		got = append(got, string(a.Action)+" "+string(a.Reason))
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		d.t.Fatalf("the sweep did %q, want %q\n%s", got, want, s.Labels())
	}
}

// usedMeanwhile lets a consumer use the key when a sweep sends its request to the registry, so that
// the test does not depend on real time.
func (d deployed) usedMeanwhile(key apikey.Key) (stop func()) {
	d.t.Helper()
	c, err := quilt.NewClient(d.RegistryURL, quilt.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	return d.Hooks.Set(func(call *wire.Call, next func()) {
		if call.Operation == "account" {
			if _, err := c.WithKey(key).Me(d.t.Context()); err != nil {
				d.t.Errorf("the key is refused: %v", err)
			}
		}
		next()
	})
}

// TestDurationsMayHaveSeconds checks that durations are not rounded: with durations of a few
// seconds, a key goes through the same states as with days.
func TestDurationsMayHaveSeconds(t *testing.T) {
	d := deploy(t, map[string]string{settings.EnvGrace: "3s", settings.EnvQuiet: "1s", settings.EnvHoldLimit: "30s",
		settings.EnvOrphanAge: "2s"})
	s := d.Secret("quilt/pipeline")
	first := s.CurrentKey()
	s.MustRotate()
	second := s.CurrentKey()

	d.swept(s, "mark superseded")
	d.Clock.Advance(4 * time.Second)
	stop := d.usedMeanwhile(first)
	d.swept(s, "hold still-used")
	stop()
	d.Clock.Advance(3 * time.Second)
	d.swept(s, "revoke grace-over")
	if s.Valid(first) || !s.Valid(second) {
		t.Fatalf("the first key must be revoked, and the second valid\n%s", s.Labels())
	}

	s.MustRotate()
	d.swept(s, "mark superseded")
	d.Clock.Advance(34 * time.Second)
	stop = d.usedMeanwhile(second)
	d.swept(s, "revoke hold-limit-over")
	stop()
	if s.Valid(second) || !s.Valid(s.CurrentKey()) {
		t.Fatalf("the second key must be revoked, and the current one valid\n%s", s.Labels())
	}

	d.Registry.MintKey(sandbox.UserEmail, apikey.Name(s.Name, d.Clock.Now(), s.ARN), 90)
	d.Clock.Advance(4 * time.Second)
	d.swept(s, "revoke-orphan orphaned")
	d.swept(s)
	if n := len(s.Ours()); n != 1 {
		t.Errorf("%d keys are left, want the current one", n)
	}
}

// TestRefusedEventHasAnErrorType checks the name that alarms use.
func TestRefusedEventHasAnErrorType(t *testing.T) {
	d := deploy(t, nil)
	answer, functionError := d.invoke(`{"secretId":"a","Force":true}`)
	if functionError == "" || !strings.Contains(answer, `"errorType":"BadEvent"`) {
		t.Errorf("the answer is %s (%q)", answer, functionError)
	}
}

// TestInvalidEnvironmentEndsTheStart checks that the function does not start, and that all faults
// are reported together.
func TestInvalidEnvironmentEndsTheStart(t *testing.T) {
	d := deploy(t, map[string]string{settings.EnvGrace: "soon", settings.EnvOrphanAge: "-1h"})
	answer, functionError := d.invoke(`{"secretId":"a"}`)
	if functionError == "" {
		t.Fatalf("it started: %s", answer)
	}
	log := ""
	for _, line := range d.Lambda.Logs(sandbox.RevokeFunction) {
		log += line.Text + "\n"
	}
	for _, name := range []string{settings.EnvGrace, settings.EnvOrphanAge} {
		if !strings.Contains(log, name) {
			t.Errorf("the log does not name %s:\n%s", name, log)
		}
	}
}

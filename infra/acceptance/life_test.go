package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

// whatASandboxHas are the parts that need neither CloudFormation nor Step Functions, whose
// deployment make acceptance-local tests.
func whatASandboxHas() (names []string) {
	for _, p := range parts {
		if p.name != "a secret of another stack" && p.name != "the events" {
			names = append(names, p.name)
		}
	}
	return names
}

const schedule = `{"ScheduleExpression":"rate(1 hour)","FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Input":"{}",` +
	`"Arn":"arn:aws:states:us-east-1:123456789012:stateMachine:sweeps","RoleArn":"arn:aws:iam::123456789012:role/s",` +
	`"RetryPolicy":{"MaximumRetryAttempts":%d,"MaximumEventAgeInSeconds":900}}}`

var exhaustive = flag.Bool("exhaustive", false, "go through the whole life, and turn each answer, which takes a "+
	"minute")

func TestTheWholeLifeWhereIAMIsEvaluated(t *testing.T) {
	if !*exhaustive {
		t.Skip("SAMPLED: parts of the life of a key; the whole life: make acceptance-local")
	}
	// As on AWS, denied permissions are refused. So each part passes, also those that deny one
	// permission at a time, and every check that a sandbox can show is answered as assumed.
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.iam.Store(&evaluation{})
	w.patience = time.Minute // no part that passes needs it
	must(t, w.box.Schedules.Add("sweeps", fmt.Sprintf(schedule, 10)))
	w.turnOn()
	r := w.through(whatASandboxHas()...)
	for _, part := range r.Life {
		if allowed := part.Part == "a consumer with quilt3" || part.Part == "rotation on "+
			"need"; part.Outcome == failed ||
			part.Outcome == skipped && !allowed {
			t.Errorf("%s: %s: %s", part.Part, part.Outcome, part.Detail)
		}
	}
	blind := map[string]bool{"quilt3": true, "label-event": true, "request-id": true, "replica-lag": true,
		"step-time-limit": true}
	for _, c := range r.Checks {
		if c.Answer != asAssumed && !blind[c.Name] || c.Answer == different {
			t.Errorf("%s: %s: %s", c.Name, c.Answer, c.Seen)
		}
	}
	for _, k := range w.box.Registry.Keys() {
		if k.Name != "by hand" {
			t.Errorf("the key %s is left at the registry", k.Name)
		}
	}
}

func TestWithoutIAMItsChecksCannotBeSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.patience = 500 * time.Millisecond
	w.turnOn()
	r := w.through("the first test run", "the first key", "a rotation", "a denied permission",
		"steps with a permission denied", "a secret that is not served")
	for _, name := range []string{"roles-sufficient", "rotator-condition", "rotator-condition-in-first-test",
		"stage-condition"} {
		if f := r.of(name); f != (finding{notSeen, notEnforced}) {
			t.Errorf("%s: %v", name, f)
		}
	}
}

// differences turn each answer to a different one, once.
var differences = map[string]struct {
	parts  []string // beside the first test run and the first key
	before func(w *world)
	after  func(w *world) // when the first key is in
}{
	"key-manages-keys": {[]string{"the registry"}, nil, switches(func(s *quiltregistry.Switches) {
		s.KeysMayNotManage = quiltregistry.RefuseForbidden
	})},
	"use-recorded": {[]string{"the registry"}, nil,
		switches(func(s *quiltregistry.Switches) { s.UseNotRecorded = true })},
	"use-granularity": {[]string{"the registry"}, nil,
		switches(func(s *quiltregistry.Switches) { s.UseGranularity = 24 * time.Hour })},
	"new-key-accepted": {[]string{"the registry"}, nil,
		switches(func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 1000 })},
	"name-rules": {[]string{"the registry"}, nil, switches(func(s *quiltregistry.Switches) { s.NameLimit = 20 })},
	"revoked-key-refused": {[]string{"the registry"}, nil,
		switches(func(s *quiltregistry.Switches) { s.RevokedKeyLogins = 3 })},
	"revoke-by-text": {[]string{"the registry"}, nil, answers("apiKeyRevoke", `"secret":"qk_`,
		`{"data":{"apiKeyRevoke":{"__typename":"InvalidInput",`+
			`"errors":[{"path":"secret","message":"no","name":"No"}]}}}`)},
	"revoke-absent-id": {[]string{"the registry"}, nil, answers("apiKeyRevoke", `"id":"`,
		`{"data":null,"errors":[{"message":"no such key"}]}`)},
	"network": {[]string{"the registry"}, nil, func(w *world) {
		var sweeping atomic.Bool
		w.meanwhile(func(c *wire.Call, next func()) {
			if c.Service == "lambda" && strings.Contains(c.Request.URL.Path, "revoke") && c.Operation == "Invoke" {
				sweeping.Store(true)
				next()
				sweeping.Store(false)
				return
			}
			if c.Service == "registry" && sweeping.Load() {
				c.Cut()
				return
			}
			next()
		})
	}},
	"labels-in-one-call": {[]string{"labels"}, func(w *world) {
		w.meanwhile(edit("PutSecretValue", "acceptance:label", "acceptance:lost", ""))
	}, nil},
	"enabled-in-test-run": {nil, func(w *world) {
		w.meanwhile(edit("DescribeSecret", `"RotationEnabled":true`, `"RotationEnabled":false`, "rotate"))
	}, func(w *world) { w.meanwhile(func(_ *wire.Call, next func()) { next() }) }},
	"rotator-condition-in-first-test": {[]string{"a denied permission"}, func(w *world) {
		w.patience = 30 * time.Second // the function tries a test run that is refused again
		w.iam.Store(&evaluation{refuseAlso: func(c *wire.Call) bool { return caller(c) == "rotate" }})
	}, nil},
	"roles-sufficient": {[]string{"the registry", "a rotation", "a denied permission"}, nil, func(w *world) {
		w.iam.Store(&evaluation{refuseAlso: func(c *wire.Call) bool {
			return caller(c) == "revoke" && c.Operation == "GetSecretValue"
		}})
	}},
	"rotator-condition": {[]string{"a rotation", "a denied permission", "a secret that is not served"}, nil,
		func(w *world) { w.iam.Store(&evaluation{strangerAllowed: true}) }},
	"stage-condition": {[]string{"a rotation", "a denied permission", "steps with a permission denied"}, nil,
		func(w *world) { w.iam.Store(&evaluation{stageIgnored: true}) }},
	"pending-after-success": {[]string{"a rotation"}, nil, func(w *world) {
		// Only the program sees it so: the command follows the rotation by its labels.
		w.meanwhile(edit("DescribeSecret", `"AWSPREVIOUS"`, `"AWSPENDING"`, ""))
	}},
	"retries": {[]string{"a rotation that fails"}, nil, nil}, // with one try: see below
	"retry-token": {[]string{"a rotation that fails"}, nil, func(w *world) {
		w.meanwhile(func(c *wire.Call, next func()) {
			next()
			version := []byte(`\"version\":\"`)
			if i := bytes.LastIndex(c.Answer, version); c.Operation == "FilterLogEvents" && caller(c) == "" && i > 0 {
				c.Answer = append(append(append([]byte{}, c.Answer[:i]...), version...),
					append([]byte("another-"), c.Answer[i+len(version):]...)...)
			}
		})
	}},
	"last-rotated-after-failure": {[]string{"a rotation", "a rotation that fails"}, nil, func(w *world) {
		w.meanwhile(func(c *wire.Call, next func()) {
			next()
			if c.Operation == "DescribeSecret" && caller(c) == "" && bytes.Contains(c.Answer,
				[]byte("registry.invalid")) {
				c.Answer = bytes.Replace(c.Answer, []byte(`"LastRotatedDate":1`), []byte(`"LastRotatedDate":2`), 1)
			}
		})
	}},
	"function-after-cancel": {[]string{"the end of a secret"}, nil, func(w *world) {
		var cancelled atomic.Bool
		w.meanwhile(func(c *wire.Call, next func()) {
			next()
			if c.Operation == "CancelRotateSecret" {
				cancelled.Store(true)
			}
			if c.Operation == "DescribeSecret" && caller(c) == "" && cancelled.Load() {
				c.Answer = bytes.ReplaceAll(c.Answer, []byte(`"RotationLambdaARN"`), []byte(`"Other"`))
			}
		})
	}},
	"schedule-retries": {[]string{"the schedule of the sweeps"}, func(w *world) {
		must(w.t, w.box.Schedules.Add("sweeps", fmt.Sprintf(schedule, 185)))
	}, nil},
	"label-event": {[]string{"the events"}, nil,
		events(`{"source":"aws.secretsmanager","detail-type":"Secret Label Updated",` +
			`"resources":["%[1]s"],"detail":{"name":"%[2]s","labelUpdated":"AWSCURRENT"}}`)},
	"request-id": {[]string{"the events"}, nil,
		events(`{"source":"aws.secretsmanager","detail-type":"Secret Label Updated",`+
			`"resources":["%[1]s"],"detail":{"name":"%[2]s","labelUpdated":"AWSCURRENT","versionId":"x"}}`,
			`{"source":"aws.secretsmanager","detail-type":"AWS Service Event via CloudTrail","detail":{"eventName":`+
				`"RotationSucceeded","requestID":"Rotation-%[1]s-0","additionalEventData":{"SecretId":"%[1]s"}}}`)},
	"quilt3": {[]string{"a consumer with quilt3"}, nil, nil}, // with another python3: see below
}

func switches(change func(*quiltregistry.Switches)) func(w *world) {
	return func(w *world) { w.box.Registry.SetSwitches(change) }
}

// answers answers requests with that text in place of the registry.
func answers(operation, with, answer string) func(w *world) {
	return func(w *world) {
		w.meanwhile(func(c *wire.Call, next func()) {
			if c.Operation == operation && bytes.Contains(c.Body, []byte(with)) {
				c.Respond(200, answer, "Content-Type", "application/json")
				return
			}
			next()
		})
	}
}

// events are those that the rule would have written into its log group. %[1]s is the secret's ARN,
// %[2]s its name.
func events(formats ...string) func(w *world) {
	return func(w *world) {
		var list []map[string]any
		for _, format := range formats {
			list = append(list, map[string]any{"timestamp": 1, "message": fmt.Sprintf(format, w.arn, w.service())})
		}
		answer, err := json.Marshal(map[string]any{"events": list})
		must(w.t, err)
		w.meanwhile(func(c *wire.Call, next func()) {
			if c.Operation == "FilterLogEvents" && bytes.Contains(c.Body, []byte("/aws/events/")) {
				c.Respond(200, string(answer), "Content-Type", "application/x-amz-json-1.1")
				return
			}
			next()
		})
	}
}

// neverDifferent are checks that this run can only confirm, or not see.
var neverDifferent = map[string]bool{"step-time-limit": true, "replica-lag": true}

// sample are the checks that make test turns to another answer: one of the registry, one of Secrets
// Manager, and one of a rotation.
var sample = []string{"key-manages-keys", "labels-in-one-call", "retries"}

func TestEachDifferentAnswerIsReported(t *testing.T) {
	t.Parallel()
	if !*exhaustive {
		t.Logf("SAMPLED: %d of %d answers that are turned to another one; all: make acceptance-local", len(sample),
			len(differences))
	}
	for _, c := range checks {
		d, turned := differences[c.Name]
		if turned == neverDifferent[c.Name] {
			t.Errorf("%s: no test turns it to another answer", c.Name)
			continue
		}
		if !turned || c.Name == "quilt3" || !*exhaustive && !slices.Contains(sample, c.Name) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			options := sandbox.Options{}
			if c.Name == "retries" {
				options.RotationTries = 1
			}
			w := newWorld(t, options)
			if d.before != nil {
				d.before(w)
			}
			w.turnOn()
			w.through("the first test run", "the first key")
			if d.after != nil {
				d.after(w)
			}
			if r := w.through(d.parts...); r.of(c.Name).Answer != different {
				t.Errorf("%v\n%+v", r.of(c.Name), r.Life)
			} else if text := string(r.Markdown()); !strings.Contains(text, c.Depends) {
				t.Errorf("the report does not name what depends on it:\n%s", text)
			}
		})
	}
}

func TestARemovalRevokesTheKeysAfterARunThatDiedAnywhere(t *testing.T) {
	// The worst that a killed run leaves on a secret: a policy that denies something, and a tag of
	// another registry. The removal may also run twice.
	t.Parallel()
	w := newWorld(t, sandbox.Options{})
	w.turnOn()
	w.through("the first test run", "the first key", "a rotation")
	key, err := w.cloud.currentKey(t.Context(), w.service())
	must(t, err)
	must(t, w.tag(t.Context(), w.service(), map[string]string{settings.TagRegistry: "https://registry.invalid"}))
	_, err = w.refuse(t.Context())
	must(t, err)
	for range 2 {
		must(t, w.release(t.Context(), w.service()))
	}
	if w.logsIn(t.Context(), key) {
		t.Error("the key still logs in")
	}
	if names, err := w.secrets(t.Context()); err != nil || len(names) != 1 {
		t.Errorf("the secrets of the run are %v (%v)", names, err)
	}
}

func TestAFailureOfQuilt3IsReported(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "python3"), []byte("#!/bin/sh\nexit 5\n"), 0o700))
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	w := newWorld(t, sandbox.Options{})
	w.turnOn()
	if f := w.through("the first test run", "the first key", "a consumer with "+
		"quilt3").of("quilt3"); f.Answer != different {
		t.Errorf("%v", f)
	}
}

package rotation_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

func TestBadEvents(t *testing.T) {
	// An event that is not from Secrets Manager gets a clear error and changes nothing.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	s.MustRotate()
	event := s.Begin(sandboxtest.Token(1))
	before := stateOf(s)
	labels := s.Labels()
	good := func(step, secret, token string) string {
		return fmt.Sprintf(`{"Step":%q,"SecretId":%q,"ClientRequestToken":%q,"RotationToken":"a rotation token"}`, step,
			secret, token)
	}
	notAnEvent := []string{"not a JSON object", "Step, SecretId and ClientRequestToken", "RotateSecret"}
	for _, c := range []struct {
		name, payload, fault string
		words                []string
	}{
		{"nothing", ``, "BadEvent", notAnEvent},
		{"not JSON", `{"Step":`, "BadEvent", notAnEvent},
		{"a text", `"createSecret"`, "BadEvent", notAnEvent},
		{"a number", `1`, "BadEvent", notAnEvent},
		{"an array", `[]`, "BadEvent", notAnEvent},
		{"null", `null`, "BadEvent", []string{"Step", "createSecret, setSecret, testSecret or finishSecret"}},
		{"an empty object", `{}`, "BadEvent", []string{"Step"}},
		{"a number as the step", `{"Step":1,"SecretId":"a","ClientRequestToken":"b"}`, "BadEvent", notAnEvent},
		{"an object as the secret", `{"Step":"createSecret","SecretId":{},"ClientRequestToken":"b"}`, "BadEvent",
			notAnEvent},
		{"an array as the token", `{"Step":"createSecret","SecretId":"a","ClientRequestToken":["b"]}`, "BadEvent",
			notAnEvent},
		{"an unknown step", good("revokeSecret", s.ARN, event.ClientRequestToken), "BadEvent",
			[]string{"revokeSecret", "createSecret, setSecret, testSecret or finishSecret"}},
		{"a step in other letters", good("createsecret", s.ARN, event.ClientRequestToken), "BadEvent",
			[]string{"createsecret"}},
		{"no secret", good("createSecret", "", event.ClientRequestToken), "BadEvent",
			[]string{"SecretId", "RotateSecret"}},
		{"no token", good("createSecret", s.ARN, ""), "BadEvent", []string{"ClientRequestToken", "RotateSecret"}},
		{"an unknown token", good("createSecret", s.ARN, sandboxtest.Token(7)), "UnknownVersion",
			[]string{s.ARN, sandboxtest.Token(7), "RotateSecret"}},
		{"the token of a superseded version", good("createSecret", s.ARN, s.Holder(vault.Previous).ID), "NotPending",
			[]string{s.ARN, "AWSPENDING", "RotateSecret"}},
		{"an unknown secret", good("createSecret", "quilt/no-such-secret", event.ClientRequestToken),
			"SecretsManagerFailed", []string{"quilt/no-such-secret", "ResourceNotFoundException", "check the ARN"}},
		{"another region's secret", good("createSecret", strings.Replace(s.ARN, "us-east-1", "eu-west-1", 1),
			event.ClientRequestToken), "SecretsManagerFailed", []string{"eu-west-1", "check the ARN"}},
		{"an endless secret id", good("createSecret", strings.Repeat("x", 5000), event.ClientRequestToken), "BadEvent",
			nil},
		{"an endless token", good("createSecret", s.ARN, strings.Repeat("x", 5000)), "UnknownVersion", []string{s.ARN}},
		{"an endless step", good(strings.Repeat("x", 5000), s.ARN, event.ClientRequestToken), "BadEvent", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.Process().Rotate([]byte(c.payload))
			wantFault(t, err, c.fault, c.words...)
			before.unchanged(t)
			before.noKeyCreated(t)
			if s.Labels() != labels {
				t.Errorf("labels changed\n%s", s.Labels())
			}
		})
	}
	if leaked := r.Output.Lines("a rotation token"); len(leaked) != 0 {
		t.Errorf("a RotationToken was printed: %s", leaked)
	}
}

func TestAKeyPastedIntoTheEventIsNotPrinted(t *testing.T) {
	// If somebody pastes a key into the wrong field of a test event, neither the log nor the error
	// shows it.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	key := s.CurrentKey().Reveal()
	canaries := sandboxtest.NewCanaries()
	canaries.Add("the key", key)
	for _, field := range []string{"Step", "SecretId", "ClientRequestToken"} {
		event := map[string]string{"Step": "createSecret", "SecretId": s.ARN,
			"ClientRequestToken": sandboxtest.Token(1)}
		for _, text := range []string{key, "x" + key, strings.Repeat("x", 30) + key, strings.Repeat("x", 240) + key} {
			event[field] = text
			_, err := r.Process().Rotate([]byte(sandboxtest.JSONOf(event)))
			if err == nil {
				t.Fatalf("%s: there is no error", field)
			}
			if found := canaries.Find(err.Error() + r.Output.Take()); found != "" {
				t.Errorf("%s pasted into %s is printed: %s", found, field, errorType(err))
			}
		}
	}
}

func TestASecretWhoseNameLooksLikeAKeyIsRotatedAndSwept(t *testing.T) {
	// Such secrets work like all others, and their names are shown in log lines and metrics.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("team/qk_pipeline")
	s.MustRotate()
	if lines := r.Output.Lines("step done"); len(lines) == 0 || !strings.Contains(lines[0], s.ARN) {
		t.Errorf("the log does not name %s:\n%s", s.ARN, r.Output)
	}
	s.MustSweep()
	if text := r.Output.Take(); strings.Contains(text, "[redacted]") || !strings.Contains(text, s.ARN) {
		t.Errorf("the name is taken for a key:\n%s", text)
	}
}

func TestADeletedSecret(t *testing.T) {
	// Nothing changes in a secret that is marked for deletion.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline")
	event := runTo(t, s, sandboxtest.Token(1), rotation.Create)
	_, err := r.Hands.DeleteSecret(context.Background(), &secretsmanager.DeleteSecretInput{SecretId: &s.ARN})
	must(t, err)
	before := stateOf(s)
	for _, step := range steps {
		wantFault(t, s.Step(event, step), "SecretDeleted", s.ARN, "marked for deletion", "restore it")
	}
	before.unchanged(t)
	before.noKeyCreated(t)
}

func TestBadValues(t *testing.T) {
	// If no key is found in the value, the error says why, no key is created, and the value does
	// not change.
	t.Parallel()
	r := sandboxtest.New(t)
	key := r.Secret("quilt/other").CurrentKey().Reveal()
	for i, c := range []struct {
		name, value, tag string
		fault            string
		words            []string
	}{
		{"not JSON", `{"QUILT_API_KEY": `, "", "BadValue", []string{"AWSCURRENT", "not valid JSON", "correct it"}},
		{"text after the object", `{"QUILT_API_KEY":"` + key + `"} x`, "", "BadValue", []string{"not valid JSON"}},
		{"an array", `["` + key + `"]`, "", "BadValue", []string{"neither a JSON object nor a key"}},
		{"a text without qk_", `hunter2`, "", "BadValue", []string{"qk_", "store one of the two"}},
		{"two keys", key + " " + key, "", "BadValue", []string{"qk_"}},
		{"no field holds a key", `{"user":"x","password":"y"}`, "", "BadValue",
			[]string{"no field", "quilt-rotate:field"}},
		{"the tagged field is missing", `{"QUILT_API_KEY":"` + key + `"}`, "elsewhere", "BadValue",
			[]string{`"elsewhere"`, "add it, or correct the tag"}},
		{"a tagged field, and no object", key, "elsewhere", "BadValue", []string{"elsewhere", "not a JSON object"}},
		{"a number", `{"QUILT_API_KEY":7}`, "", "BadValue", []string{"QUILT_API_KEY", "not a string"}},
		{"null", `{"QUILT_API_KEY":null}`, "", "BadValue", []string{"QUILT_API_KEY", "not a string"}},
		{"an object", `{"QUILT_API_KEY":{"key":"` + key + `"}}`, "", "BadValue",
			[]string{"QUILT_API_KEY", "not a string"}},
		{"without qk_", `{"QUILT_API_KEY":"hunter2"}`, "", "BadValue", []string{"QUILT_API_KEY", "qk_"}},
		{"white space inside", `{"QUILT_API_KEY":"qk_a b"}`, "", "BadValue", []string{"QUILT_API_KEY", "white space"}},
		{"two candidates", `{"a":"` + key + `","b":"qk_other"}`, "", "BadValue", []string{"two or more fields",
			"quilt-rotate:field"}},
		{"the field twice", `{"QUILT_API_KEY":"` + key + `","QUILT_API_KEY":"qk_other"}`, "", "BadValue",
			[]string{"more than once", "keep one"}},
		{"the key escaped", `{"QUILT_API_KEY":"\u0071` + key[1:] + `"}`, "", "KeyNotReplaceable",
			[]string{`the field "QUILT_API_KEY" (escaped)`, "no key was created"}},
		{"the key escaped in another field", `{"QUILT_API_KEY":"` + key + `","o":{"url":"https://%71` + key[1:] +
			`@host"}}`, "", "KeyNotReplaceable", []string{`the field "o"."url" (escaped)`}},
		{"the key in a longer word", `{"QUILT_API_KEY":"` + key + `","k":"` + key + `x"}`, "", "KeyNotReplaceable",
			[]string{`the field "k" (part of a longer word)`}},
		{"an invisible character after the key", `{"QUILT_API_KEY":"` + key + "\u200b" + `"}`, "", "BadValue",
			[]string{"U+200B ZERO WIDTH SPACE after the key"}},
		{"a byte order mark", "\ufeff" + `{"QUILT_API_KEY":"` + key + `"}`, "", "BadValue",
			[]string{"starts with the invisible character U+FEFF BYTE ORDER MARK"}},
		{"blank", `{"QUILT_API_KEY":" \t"}`, "", "NotBootstrapped",
			[]string{"QUILT_API_KEY", "quilt-rotate bootstrap"}},
		{"the tagged field is blank", `{"a":"","b":"` + key + `"}`, "a", "NotBootstrapped",
			[]string{`"a"`, "quilt-rotate bootstrap"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := r.BareSecret(fmt.Sprintf("quilt/%d", i), c.value)
			if c.tag != "" {
				s.Tag(settings.TagField, c.tag)
			}
			before := stateOf(s)
			event := s.Begin(sandboxtest.Token(1))
			wantFault(t, s.Step(event, rotation.Create), c.fault, append(c.words, s.ARN)...)
			before.unchanged(t)
			before.noKeyCreated(t)
		})
	}
}

func TestABinaryValue(t *testing.T) {
	// The function does not search for a key in a binary value.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/binary")
	_, err := r.Hands.PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &s.ARN,
		SecretBinary: []byte{0, 1, 2}})
	must(t, err)
	before := stateOf(s)
	event := s.Begin(sandboxtest.Token(1))
	for _, step := range steps {
		wantFault(t, s.Step(event, step), "BadValue", s.ARN, "AWSCURRENT", "binary", "store the key")
	}
	before.unchanged(t)
	before.noKeyCreated(t)
}

func TestASecretThatNeverHadAValue(t *testing.T) {
	// A secret can be created without a value. The error says which command to run.
	t.Parallel()
	r := sandboxtest.New(t)
	name := "quilt/empty"
	out, err := r.Hands.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name})
	must(t, err)
	s := &sandboxtest.Secret{Rig: r, ARN: *out.ARN, Name: name}
	event := s.Begin(sandboxtest.Token(1))
	for _, step := range []rotation.Step{rotation.Create, rotation.Set, rotation.Finish} {
		wantFault(t, s.Step(event, step), "NotBootstrapped", s.ARN, "no value", "quilt-rotate bootstrap "+name)
	}
	if metric(r, rotation.MetricStepFailed) || !metric(r, rotation.MetricBeforeFirstKey) {
		t.Errorf("it counts as a rotation that failed:\n%s", r.Output)
	}
	if len(r.Registry.Keys()) != 0 {
		t.Error("a key was made")
	}
}

func TestAllBadTagsAreNamedTogether(t *testing.T) {
	// An operator must be able to correct all tags at once. A default must not replace the intended
	// setting.
	t.Parallel()
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline", settings.TagExpiresInDays, "366", settings.TagKeyName, "---")
	before := stateOf(s)
	event := s.Begin(sandboxtest.Token(1))
	for _, step := range steps {
		wantFault(t, s.Step(event, step), "BadTags", settings.TagExpiresInDays+" must be a whole number of days from "+
			"1 to 365", settings.TagKeyName+" must have")
	}
	before.unchanged(t)
	before.noKeyCreated(t)
}

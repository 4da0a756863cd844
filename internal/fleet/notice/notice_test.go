package notice_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"quilt-rotate/internal/fleet/notice"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

const pasted = "qk_0123456789abcdefghijklmnopqrstuvwxyz"

func TestNewOrdersFindingsByImportance(t *testing.T) {
	// Rules may look at the detail type only, so the most important finding decides it.
	e := notice.New(notice.Detail{Findings: []notice.Finding{notice.Rotated, notice.Held, notice.Attention,
		notice.Held}, Time: time.Now()})
	if e.DetailType != "Quilt Key Needs Attention" || len(e.Detail.Findings) != 3 ||
		e.Detail.Findings[1] != notice.Held {
		t.Errorf("%+v", e)
	}
}

func TestEventsHoldNoKey(t *testing.T) {
	// Events go to other teams. Somebody may have pasted a key into a tag, or a service may quote
	// one.
	arn := "arn:aws:secretsmanager:us-east-1:123456789012:secret:team/x-AbCdEf"
	e := notice.New(notice.Detail{
		Secret: notice.NewSecret(arn, vault.Secret{Name: "team/x", Tags: map[string]string{"a": pasted, pasted: "b",
			"team": "data", "aws:stack": "s"}}),
		Message: "no " + pasted, Failure: &notice.Failure{ErrorType: "X", Error: "no " + pasted},
		Findings: []notice.Finding{notice.Held},
	})
	text, err := json.Marshal(e)
	if err != nil || strings.Contains(string(text), pasted[3:]) {
		t.Errorf("%s, %v", text, err)
	}
	if tags := e.Detail.Secret.Tags; tags["team"] != "data" || tags["a"] != redact.Scrub(pasted) || len(tags) != 3 {
		t.Errorf("%v", tags)
	}
}

func TestEventsFitEventBridge(t *testing.T) {
	// EventBridge refuses events over 256 KB. Then nobody would get the event.
	tags := map[string]string{}
	for i := range 50 {
		tags[strings.Repeat("k", 126)+string(rune('a'+i/26))+string(rune('a'+i%26))] = strings.Repeat("v", 256)
	}
	e := notice.New(notice.Detail{
		Secret:   notice.NewSecret("arn", vault.Secret{Name: strings.Repeat("n", 512), Tags: tags}),
		Findings: []notice.Finding{notice.Held},
		Message:  strings.Repeat("m", 1e6), Failure: &notice.Failure{Error: strings.Repeat("e", 1e6)},
		Keys: make([]notice.Key, 5000),
	})
	text, err := json.Marshal(e)
	if err != nil || len(text) > 200_000 || e.Detail.More != 4900 {
		t.Errorf("%d bytes, %d more, %v", len(text), e.Detail.More, err)
	}
}

func TestAMessageNamesItsSecret(t *testing.T) {
	// The name of a secret may look like a key. It is not removed from the message.
	secret := notice.NewSecret("arn:aws:secretsmanager:us-east-1:123456789012:secret:team/qk_pipeline-AbCdEf",
		vault.Secret{Name: "team/qk_pipeline"})
	e := notice.New(notice.Detail{Secret: secret, Message: "it failed with " + pasted})
	if want := "team/qk_pipeline: it failed with " + redact.Scrub(pasted); e.Detail.Message != want {
		t.Errorf("the message is %q, want %q", e.Detail.Message, want)
	}
}

func TestASecretThatWasNotDescribedHasItsName(t *testing.T) {
	// The message has the secret's name also if the secret could not be described.
	if s := notice.NewSecret("arn:aws:secretsmanager:us-east-1:123456789012:secret:team/x-y-AbCdEf",
		vault.Secret{}); s.Name != "team/x-y" {
		t.Errorf("the name is %q", s.Name)
	}
}

func TestMessagesFitIntoANotification(t *testing.T) {
	// Rules insert the message into JSON, and EventBridge does not escape it. A quoted error must
	// leave the JSON valid.
	message := notice.New(notice.Detail{Message: "prod/pipeline: the sweep failed: the tag \"grace\" is " +
		"\\bad\nin line 2"}).Detail.Message
	if want := "prod/pipeline: the sweep failed: the tag 'grace' is 'bad in line 2"; message != want {
		t.Errorf("the message is %q, want %q", message, want)
	}
	if text := `{"description": "` + message + `"}`; !json.Valid([]byte(text)) {
		t.Errorf("a notification is no JSON: %s", text)
	}
}

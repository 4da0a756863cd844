package notice

import (
	"encoding/json"
	"testing"
)

func TestMessagesFitIntoANotification(t *testing.T) {
	// Protects rules that insert the message into JSON, which EventBridge does not escape: a quoted error leaves the JSON valid.
	message := New(Detail{Message: "prod/pipeline: the sweep failed: the tag \"grace\" is \\bad\nin line 2"}).Detail.Message
	if want := "prod/pipeline: the sweep failed: the tag 'grace' is 'bad in line 2"; message != want {
		t.Errorf("the message is %q, want %q", message, want)
	}
	if text := `{"description": "` + message + `"}`; !json.Valid([]byte(text)) {
		t.Errorf("a notification is no JSON: %s", text)
	}
}

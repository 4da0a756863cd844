package rotation_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// echo is a service that quotes what it was sent: credential, address and body, as it is and in its
// error's own form.
func echo(status int) wire.Hook {
	return func(c *wire.Call, _ func()) {
		said := c.Request.Header.Get("Authorization") + " " + string(c.Body)
		body, _ := json.Marshal(map[string]any{"__type": "ValidationException", "Message": said, "message": said,
			"errors": []any{map[string]any{"message": said}}})
		c.Respond(status, string(body), "Content-Type", "application/json", "Location",
			"https://elsewhere.example.com/?"+url.QueryEscape(said))
	}
}

// keepAnswers lets the service work, and shows its answer under another status, or cut short.
func keepAnswers(status, length int) wire.Hook {
	return func(c *wire.Call, next func()) {
		next()
		answer := string(c.Answer)
		c.Respond(status, answer[:min(length, len(answer))], "Content-Type", "application/json")
	}
}

// talkative are the ways in which services show what nobody should print.
func talkative() map[string]wire.Hook {
	hooks := map[string]wire.Hook{"lost requests": sandboxtest.LoseRequest, "lost answers": sandboxtest.LoseAnswer}
	for _, status := range []int{200, 307, 400, 401, 500} {
		hooks[fmt.Sprintf("echo with status %d", status)] = echo(status)
		hooks[fmt.Sprintf("the answer with status %d", status)] = keepAnswers(status, 1<<20)
	}
	for _, length := range []int{60, 200} {
		hooks[fmt.Sprintf("%d bytes of the answer", length)] = keepAnswers(200, length)
	}
	return hooks
}

// said is all text that an error shows.
func said(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if step, ok := errors.AsType[*awssecrets.StepError](err); ok {
		text += string(step.Answer)
	}
	return text
}

func TestNoSecretIsEverPrinted(t *testing.T) {
	// No key, value, password or token may be in a log line, a metric, an error or an answer,
	// whatever the services answer.
	t.Parallel()
	for name, hook := range talkative() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sandboxtest.New(t)
			trace := r.Trace()
			var told strings.Builder
			s := r.Secret("quilt/pipeline", settings.TagIssuer, keep(t, r, "quilt/issuer", passwordIssuer))
			_ = keep(t, r, "quilt/wrong", `{"username":"`+sandbox.UserName+`","password":"a wrong password & more"}`)
			for _, operation := range []string{
				"DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage", "account",
				"apiKeyCreate", "login", "me", "apiKeyRevoke", "POST /api/login", "POST /api/token",
			} {
				if strings.HasPrefix(operation, "POST") { // the issuer is needed
					r.Registry.SetSwitches(func(sw *quiltregistry.Switches) {
						sw.KeysMayNotManage = quiltregistry.RefuseInvalidInput
					})
				}
				remove := r.Intercept(sandboxtest.On(hook, operation))
				told.WriteString(said(s.Rotate()))
				remove()
				unstick(t, s)
			}
			s.Tag(settings.TagIssuer, "quilt/wrong")
			told.WriteString(said(s.Rotate()))
			unstick(t, s)
			r.Registry.SetSwitches(func(sw *quiltregistry.Switches) { sw.KeysMayNotManage = "" })
			event := s.Begin(sandboxtest.Token(1))
			for _, step := range steps {
				told.WriteString(said(s.Step(event, step)))
			}

			canaries := sandboxtest.NewCanaries()
			canaries.AddFrom(trace.Take())
			canaries.Add("the issuer's password", sandbox.UserPassword)
			canaries.Add("other people's secret in the value", "other-people's")
			canaries.Add("the RotationToken", event.RotationToken)
			for _, k := range r.Registry.Keys() {
				canaries.Add("a key", k.Secret)
			}
			if found := canaries.Find(r.Output.String()); found != "" {
				t.Errorf("%s is in the functions' output", found)
			}
			if found := canaries.Find(told.String()); found != "" {
				t.Errorf("%s is in an error", found)
			}
			if strings.HasPrefix(name, "echo with status 40") && !strings.Contains(told.String(), "[redacted]") {
				t.Error("no echo got as far as an error: this proves nothing")
			}
			if len(r.Output.String()) < 5000 || len(told.String()) < 200 {
				t.Errorf("%d bytes of output and %d of errors are too few to prove anything", len(r.Output.String()),
					len(told.String()))
			}
		})
	}
}

func TestTheSearchForSecretsFinds(t *testing.T) {
	// The test above must find a secret that is printed whole, in part or encoded.
	t.Parallel()
	r := sandboxtest.New(t)
	trace := r.Trace()
	s := r.Secret("quilt/pipeline")
	s.MustRotate()
	event := s.Begin(sandboxtest.Token(1))
	must(t, s.Step(event, rotation.Create))
	canaries := sandboxtest.NewCanaries()
	canaries.AddFrom(trace.Take())
	canaries.Add("the issuer's password", sandbox.UserPassword)
	if found := canaries.Find(r.Output.Take()); found != "" {
		t.Fatalf("%s is in the functions' output", found)
	}
	key := s.KeyIn(version(t, s, event.ClientRequestToken)).Reveal()
	value := s.Holder(vault.Current).Value
	leaky := slog.New(slog.NewJSONHandler(r.Output, nil))
	for name, leak := range map[string]any{
		"a key": key, "half a key": key[20:35], "a key without its prefix": key[3:], "a value": value,
		"an event":        event,
		"a value's bytes": []byte(value), "a value in hex": hex.EncodeToString([]byte(value)),
		"in large hex":       fmt.Sprintf("%X", value),
		"in base64 for URLs": base64.URLEncoding.EncodeToString([]byte("x" + value)), "a query": url.QueryEscape(value),
		"a password": sandbox.UserPassword, "an error": fmt.Errorf("cannot store %s", value),
		"the RotationToken":     event.RotationToken,
		"a password in a query": url.QueryEscape(sandbox.UserPassword),
		"a password in base64":  []byte(sandbox.UserName + ":" + sandbox.UserPassword),
	} {
		leaky.Info("a leak", "leak", leak)
		if canaries.Find(r.Output.Take()) == "" {
			t.Errorf("the search does not find %s", name)
		}
	}
	leaky.Info("no leak", "fingerprint", s.CurrentKey(), "secret", s.ARN)
	if found := canaries.Find(r.Output.Take()); found != "" {
		t.Errorf("the search finds %s where there is nothing", found)
	}
}

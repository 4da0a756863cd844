package rotation_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

// FuzzEvent checks any bytes as an event. The function must not panic, must fail with a named
// error, must print no secret, and AWSCURRENT must still work.
func FuzzEvent(f *testing.F) {
	const pasted = "qk_PASTEDKEYPASTEDKEYPASTEDKEY"
	r := sandboxtest.New(f)
	s := r.Secret("quilt/pipeline")
	event := s.Begin(sandboxtest.Token(1))
	for _, step := range append(steps, "", "revokeSecret", pasted) {
		for _, secret := range []string{s.ARN, s.Name, "quilt/other", pasted, ""} {
			f.Add([]byte(fmt.Sprintf(`{"Step":%q,"SecretId":%q,"ClientRequestToken":%q,"RotationToken":"t-%s"}`, step,
				secret, event.ClientRequestToken, pasted)))
		}
	}
	for _, payload := range []string{
		"", "null", "[]", "0", `"qk_x"`, "{", `{"Step":{}}`, "\xff\xfe",
		`{"Step":"createSecret","SecretId":"\u0000","ClientRequestToken":"\ud800"}`,
		`{"Step":"createSecret","Step":"finishSecret"}`,
		`{"step":"createSecret","secretid":"quilt/pipeline","clientrequesttoken":"x"}`,
		`{"Step":"createSecret","SecretId":"a","ClientRequestToken":"` + pasted + `"}`,
	} {
		f.Add([]byte(payload))
	}
	canaries := sandboxtest.NewCanaries()
	canaries.Add("the current key", s.CurrentKey().Reveal())
	named := map[string]bool{}
	for _, name := range strings.Fields(
		`BadEvent UnknownVersion NotPending SecretsManagerFailed BadValue PendingKeyDead PendingKeyOld PendingKeyRefused
		RotationOff SecretDeleted StoreFailed CutOverFailed`) {
		named[name] = true
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r.T = t
		r.Output.Take()
		answer, err := r.Process().Rotate(payload)
		if err == nil && string(answer) != "null" || err != nil && !named[errorType(err)] {
			t.Errorf("answer %q, error %s: %v", answer, errorType(err), err)
		}
		text := said(err) + r.Output.Take()
		if found := canaries.Find(text); found != "" || strings.Contains(text, pasted) {
			t.Errorf("%s is printed", cmp.Or(found, "the pasted key"))
		}
		if !s.Valid(s.CurrentKey()) || s.Holder(vault.Current).Value != sandboxtest.ValueWith(s.CurrentKey().Reveal()) {
			t.Errorf("AWSCURRENT does not work\n%s", s.Labels())
		}
	})
}

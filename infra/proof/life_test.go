package proof_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

const (
	region  = sandbox.Region
	account = sandbox.Account
)

// A world is a sandbox with the two built functions, and records what they ask of AWS.
type world struct {
	*sandboxtest.Rig
	t *testing.T

	mu      sync.Mutex
	whose   map[string]conditions // rotator and registry of each secret
	seen    map[request]bool
	calls   int
	mishap  wire.Hook // of requests of the functions
	sweeps  int
	rotated int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Rig: sandboxtest.NewPersistent(t, 3), t: t, whose: map[string]conditions{}, seen: map[request]bool{}}
	for _, name := range []string{sandbox.RotateFunction, sandbox.RevokeFunction} {
		// The SDK adds the application's id to its user agent, which identifies the function.
		_, err := w.AddFunction(name, builtFunction(t, name), time.Minute, map[string]string{"AWS_SDK_UA_APP_ID": name})
		must(t, err)
	}
	w.Hooks.Set(w.watch)
	return w
}

var (
	scope = regexp.MustCompile(`Credential=ASIA[A-Z0-9]+/\d+/[a-z0-9-]+/([a-z0-9-]+)/aws4_request`)
	appID = regexp.MustCompile(`\bapp/([a-z]+)`)
)

// watch records what the functions ask of AWS. Requests of the test itself have other credentials.
func (w *world) watch(c *wire.Call, next func()) {
	if signed := scope.FindStringSubmatch(c.Request.Header.Get("Authorization")); signed != nil {
		w.note(c, signed[1])
	}
	w.mu.Lock()
	mishap := w.mishap
	w.mu.Unlock()
	if mishap == nil || c.Service == "lambda" {
		next()
		return
	}
	mishap(c, next)
}

func (w *world) note(c *wire.Call, service string) {
	caller := appID.FindStringSubmatch(c.Request.Header.Get("User-Agent"))
	if caller == nil {
		w.t.Errorf("%s was called by an unknown user agent: %q", c.Operation, c.Request.Header.Get("User-Agent"))
		return
	}
	var body struct{ SecretId, VersionStage string } //nolint:revive,staticcheck // the wire's names
	_ = json.Unmarshal(c.Body, &body)
	switch {
	case body.SecretId == "": // ListSecrets
		body.SecretId = "*"
	case !strings.HasPrefix(body.SecretId, "arn:"):
		body.SecretId = awssecrets.ARN(region, account, body.SecretId)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	whose := w.whose[body.SecretId]
	if c.Operation == "UpdateSecretVersionStage" { // GetSecretValue has a label too, which no policy looks at
		whose.stage = body.VersionStage
	}
	w.seen[request{caller[1], service + ":" + c.Operation, body.SecretId, whose}] = true
}

// during applies a mishap to requests while f runs.
func (w *world) during(mishap wire.Hook, f func()) {
	w.mu.Lock()
	w.mishap = mishap
	w.mu.Unlock()
	f()
	w.mu.Lock()
	w.mishap = nil
	w.mu.Unlock()
}

// A life is what happens to one secret.
type life struct {
	*sandboxtest.Secret
	w      *world
	issuer bool
}

// begin creates a secret that waits for its first key.
func (w *world) begin(key *config.Key) *life {
	var tags []string
	for name, value := range key.SettingTags() {
		tags = append(tags, name, value)
	}
	w.belongs(key.SecretName(), conditions{rotator: sandboxtest.FunctionARN(sandbox.RotateFunction)})
	return &life{w.BareSecret(key.SecretName(), "{}", tags...), w, key.Issuer != ""}
}

// belongs records the rotator and the registry of a secret, as IAM sees them.
func (w *world) belongs(secret string, whose conditions) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whose[awssecrets.ARN(region, account, secret)] = whose
}

// live runs every branch in which a function asks something of AWS.
func (l *life) live() {
	l.waitForTheFirstKey()
	l.rotateMarkHoldRevoke()
	l.editAndRollBack()
	l.orphan()
	l.selfHeal()
	if l.issuer {
		l.needTheIssuer()
	}
}

// retire sweeps a secret whose rotation is off: the key that was replaced is still revoked.
func (w *world) retire(key *config.Key) {
	w.belongs(key.SecretName(), conditions{registry: registry})
	in := &secretsmanager.CreateSecretInput{Name: aws.String(key.SecretName()), SecretString: aws.String("{}"),
		Tags: []types.Tag{{Key: aws.String(settings.TagRegistry), Value: aws.String(w.RegistryURL)}}}
	for name, value := range key.SettingTags() {
		in.Tags = append(in.Tags, types.Tag{Key: &name, Value: &value})
	}
	made, err := w.Hands.CreateSecret(context.Background(), in)
	must(w.t, err)
	l := &life{&sandboxtest.Secret{Rig: w.Rig, ARN: *made.ARN, Name: *made.Name}, w, key.Issuer != ""}
	l.Bootstrap(sandbox.UserEmail)
	old := l.CurrentKey()
	l.Bootstrap(sandbox.UserEmail) // instead of a rotation: two versions, without labels of a rotation
	l.sweep()
	l.Clock.Advance(50 * time.Hour)
	l.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.KeysMayNotManage = quiltregistry.RefuseForbidden })
	l.sweep()
	l.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.KeysMayNotManage = "" })
	if l.Valid(old) || !l.Valid(l.CurrentKey()) {
		w.t.Errorf("the last sweep must revoke the replaced key and no other\n%s", l.Labels())
	}
}

func (l *life) waitForTheFirstKey() {
	l.sweep()
	if l.Rotate() == nil {
		l.w.t.Error("a secret without a key was rotated")
	}
	id, key := l.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	l.Put(sandboxtest.ValueWith(key)) // without its label, which the rotation adds
	l.rotate()
	if !l.labelled(id) {
		l.w.t.Error("the first key was not labelled")
	}
}

func (l *life) rotateMarkHoldRevoke() {
	old := l.CurrentKey()
	l.rotate()
	l.sweep()
	l.Clock.Advance(24*time.Hour + time.Minute)
	l.use(old)
	l.sweep() // holds the key: it is in use
	l.Clock.Advance(26 * time.Hour)
	l.sweep()
	if l.Valid(old) {
		l.w.t.Errorf("the replaced key was not revoked\n%s", l.Labels())
	}
}

func (l *life) editAndRollBack() {
	current := l.CurrentKey()
	l.Put(strings.Replace(sandboxtest.ValueWith(current.Reveal()), "1.0e+02", "2", 1))
	l.sweep() // moves the label to the version that now has the key
	former := l.Holder(vault.Current).ID
	l.rotate()
	l.sweep()
	must(l.w.t, l.MoveLabel(vault.Current, former, l.Holder(vault.Current).ID))
	l.sweep() // removes the mark
	l.rotate()
	l.settle()
}

func (l *life) orphan() {
	id, _ := l.Registry.MintKey(sandbox.UserEmail, apikey.Name(l.Name, l.Clock.Now(), l.ARN), 90)
	l.Clock.Advance(2 * time.Hour)
	l.sweep()
	for _, ours := range l.Ours() {
		if ours == id {
			l.w.t.Error("the orphan was not revoked")
		}
	}
}

// selfHeal creates pending versions that can never become current, and one without its label.
func (l *life) selfHeal() {
	dying := l.Begin(sandboxtest.Token(11))
	l.step(dying, rotation.Create, "")
	pending, _ := l.Registry.KeyBySecret(l.KeyIn(l.Holder(vault.Pending)).Reveal())
	l.Registry.Delete(pending.ID)
	l.step(dying, rotation.Create, "PendingKeyDead")
	first := l.Holder(vault.Current)
	edit := l.Put(strings.Replace(first.Value, `"tenant"`, `"customer"`, 1))
	must(l.w.t, l.MoveLabel(vault.Current, first.ID, edit))
	edited := l.Begin(sandboxtest.Token(12))
	l.step(edited, rotation.Create, "")
	must(l.w.t, l.MoveLabel(vault.Current, edit, first.ID)) // unlike PutSecretValue, this does not end the rotation
	l.step(edited, rotation.Finish, "Edited")
	l.w.during(sandboxtest.On(sandboxtest.EditAnswer(`"quilt-key:`, `"lost:`), "PutSecretValue"), func() { l.rotate() })
	l.settle()
}

// runOfSweeps is what the state machine asks until it rotates on need a secret whose key is refused
// and whose last rotation was cut off.
func (l *life) runOfSweeps() {
	pending := l.Begin(sandboxtest.Token(13)).ClientRequestToken
	l.Clock.Advance(25 * time.Hour)
	next := func(state string) string {
		return fmt.Sprintf(`{"next":{"rotateFunction":%q,"time":%q,"run":"proof","state":%s}}`,
			sandboxtest.FunctionARN(sandbox.RotateFunction), l.now(), state)
	}
	for _, step := range [][2]string{ // event and answer
		{next(`{}`), `"do":"sweep"`},
		{fmt.Sprintf(`{"secretId":%q,"time":%q,"run":"proof","rotateFunction":%q}`, l.ARN, l.now(),
			sandboxtest.FunctionARN(sandbox.RotateFunction)), fmt.Sprintf(`"pending":%q`, pending)},
		{next(fmt.Sprintf(
			`{"listed":true,"swept":1,"rotate":[{"secretId":%q,"reason":"current-key-refused","pending":%q}]}`, l.ARN,
			pending)), fmt.Sprintf(`"removePending":%q`, pending)},
	} {
		answer, functionError, err := l.Lambda.Invoke(context.Background(), sandbox.RevokeFunction, []byte(step[0]))
		must(l.w.t, err)
		if functionError != "" || !strings.Contains(string(answer), step[1]) {
			l.w.t.Errorf("%s must answer %s: %s", step[0], step[1], answer)
		}
	}
	l.unstick()
}

func (l *life) now() string { return l.Clock.Now().UTC().Format(time.RFC3339) }

// needTheIssuer rotates while the registry refuses keys, and while it does not let keys manage
// keys.
func (l *life) needTheIssuer() {
	for _, k := range l.Registry.Keys() {
		l.Registry.Expire(k.ID)
	}
	l.runOfSweeps()
	l.rotate()
	l.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.KeysMayNotManage = quiltregistry.RefuseForbidden })
	l.sweep()
	l.rotate()
	l.settle()
	l.Registry.SetSwitches(func(s *quiltregistry.Switches) { s.KeysMayNotManage = "" })
}

// mishaps rotates and sweeps repeatedly, with a mishap of the first request, then of the second,
// and so on.
func (l *life) mishaps() {
	refuse := sandboxtest.OnService("secretsmanager", sandboxtest.AWSError(400, "AccessDeniedException", "not allowed"))
	for _, mishap := range []wire.Hook{sandboxtest.LoseAnswer, sandboxtest.Answer(503, ""), refuse} {
		for n := 0; ; n++ {
			var happened atomic.Bool
			l.w.during(sandboxtest.Nth(n, func(c *wire.Call, next func()) {
				happened.Store(true)
				mishap(c, next)
			}), func() {
				_ = l.Rotate()
				for range 2 { // the first sweep marks the replaced key, the second revokes it
					_, _, err := l.Lambda.Invoke(context.Background(), sandbox.RevokeFunction, l.sweepEvent())
					must(l.w.t, err)
					l.Clock.Advance(50 * time.Hour)
				}
			})
			l.unstick()
			if !happened.Load() {
				break
			}
		}
	}
	l.settle()
	l.rotate()
}

// unstick ends a rotation that did not finish.
func (l *life) unstick() {
	if v, ok := l.Snapshot().Holder(vault.Pending); ok && !holds(v, vault.Current) {
		must(l.w.t, l.MoveLabel(vault.Pending, "", v.ID))
	}
}

func (l *life) settle() {
	l.unstick()
	l.Clock.Advance(2 * time.Hour)
	l.sweep()
	l.Clock.Advance(50 * time.Hour)
	l.sweep()
}

func holds(v awssecrets.Version, label string) bool { return slices.Contains(v.Stages, label) }

func (l *life) labelled(keyID string) bool {
	for _, v := range l.Snapshot().Versions {
		if holds(v, vault.KeyLabel(keyID)) {
			return true
		}
	}
	return false
}

func (l *life) rotate() {
	l.w.t.Helper()
	before := l.CurrentKey()
	if err := l.Rotate(); err != nil || l.CurrentKey().Equal(before) {
		l.w.t.Fatalf("the rotation failed: %v\n%s\n%s", err, l.Labels(), l.w.log(sandbox.RotateFunction))
	}
	l.w.rotated++
}

func (l *life) sweepEvent() []byte {
	return fmt.Appendf(nil, `{"secretId":%q}`, l.ARN)
}

func (l *life) sweep() {
	l.w.t.Helper()
	answer, functionError, err := l.Lambda.Invoke(context.Background(), sandbox.RevokeFunction, l.sweepEvent())
	must(l.w.t, err)
	if functionError != "" {
		l.w.t.Fatalf("the sweep failed: %s\n%s\n%s", answer, l.Labels(), l.w.log(sandbox.RevokeFunction))
	}
	l.w.sweeps++
}

// step runs a step of a rotation that the test began, and wants its fault; "": none.
func (l *life) step(event sandboxtest.Event, step rotation.Step, fault string) {
	l.w.t.Helper()
	payload, err := json.Marshal(event.As(step))
	must(l.w.t, err)
	answer, functionError, err := l.Lambda.Invoke(context.Background(), sandbox.RotateFunction, payload)
	must(l.w.t, err)
	if (functionError != "") != (fault != "") || !strings.Contains(string(answer), fault) {
		l.w.t.Fatalf("%s must end with the fault %q: %s\n%s", step, fault, answer, l.Labels())
	}
}

// use logs in with a key, as a consumer does that has it cached.
func (l *life) use(key apikey.Key) {
	client, err := quilt.NewClient(l.RegistryURL, quilt.Options{})
	must(l.w.t, err)
	_, err = client.WithKey(key).Me(context.Background())
	must(l.w.t, err)
}

func (w *world) log(function string) string {
	var text strings.Builder
	lines := w.Lambda.Logs(function)
	for _, line := range lines[max(0, len(lines)-6):] {
		text.WriteString(line.Text + "\n")
	}
	return text.String()
}

// keepIssuer makes the issuer's secret.
func (w *world) keepIssuer(name string) {
	value := fmt.Sprintf(`{"username":%q,"password":%q}`, sandbox.UserName, sandbox.UserPassword)
	_, err := w.Hands.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: &value})
	must(w.t, err)
}

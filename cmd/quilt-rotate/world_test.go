package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/demo/scene"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// A world is a script's sandbox, with the real functions in it.
type world struct {
	*scene.Scene

	mu       sync.Mutex
	requests []sandboxtest.Request
	faults   []wire.Hook
	keys     map[string]string // secrets of keys, by the names that the script gave them
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func (w *world) close() {
	if w.Scene != nil {
		_ = w.Scene.Close()
	}
}

// canaries are what went over the wire and must not be in any output. What the sandbox has for everybody is left out: it is no secret.
func (w *world) canaries() *sandboxtest.Canaries {
	w.mu.Lock()
	defer w.mu.Unlock()
	canaries := sandboxtest.NewCanaries()
	canaries.AddFrom(w.requests)
	for _, secret := range w.keys {
		canaries.Add("a key", secret)
	}
	return canaries
}

// observe sees every request, and puts the script's faults in front of the services.
func (w *world) observe(c *wire.Call, next func()) {
	w.mu.Lock()
	faults := w.faults
	w.mu.Unlock()
	for _, fault := range faults {
		inner := next
		next = func() { fault(c, inner) }
	}
	next()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, sandboxtest.Observed(c))
}

// worldCommands shape the world of a script. Each is described at its method.
var worldCommands = map[string]func(w *world, ts *testscript.TestScript, neg bool, args []string){
	"sandbox":      (*world).start,
	"secret":       (*world).secret,
	"advance":      (*world).advance,
	"key":          (*world).key,
	"alive":        (*world).alive,
	"expire":       (*world).expire,
	"drop":         (*world).drop,
	"edit":         (*world).edit,
	"stick":        (*world).stick,
	"rotated":      (*world).rotated,
	"swept":        (*world).swept,
	"registry":     (*world).switches,
	"refuse":       (*world).refuse,
	"code":         (*world).code,
	"holds":        (*world).holds,
	"made":         (*world).made,
	"tag":          (*world).tag,
	"tagged":       (*world).tagged,
	"lose":         (*world).lose,
	"meanwhile":    (*world).meanwhile,
	"foreign":      (*world).foreign,
	"env-equal":    (*world).envEqual,
	"version":      (*world).version,
	"plain-secret": (*world).plainSecret,
	"issuer":       (*world).issuer,
	"binary":       (*world).binary,
	"key-file":     (*world).keyFile,
}

// sandbox [NAME=VALUE...]: starts the sandbox, and points the script's environment to it. The variables are the revoke function's.
func (w *world) start(ts *testscript.TestScript, _ bool, args []string) {
	environment := map[string]string{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("sandbox takes NAME=VALUE, not %s", arg)
		}
		environment[name] = value
	}
	var err error
	w.Scene, err = scene.Open(scene.Options{Functions: scene.In(folder), RevokeEnvironment: environment})
	ts.Check(err)
	w.Hooks.Set(w.observe)
	for _, variable := range w.Exports() {
		if variable[0] != settings.EnvRegistryURL { // the commands are to find it by themselves
			ts.Setenv(variable[0], variable[1])
		}
	}
	ts.Setenv("REGISTRY", w.RegistryURL)
}

// secret NAME [blank|plain|bare]: a secret with rotation on, as a deployment leaves it, and its first key in it. blank: it waits for its first key. plain:
// the value is the key alone. bare: no tags and no rotation, as before anybody cared for it.
func (w *world) secret(ts *testscript.TestScript, _ bool, args []string) {
	name, kind := args[0], ""
	if len(args) > 1 {
		kind = args[1]
	}
	value, tags := "{}", []types.Tag{
		{Key: aws.String(settings.TagKeyName), Value: aws.String("pipeline-prod")},
		{Key: aws.String(settings.TagGrace), Value: aws.String("24h")},
	}
	if kind != "blank" {
		made, err := w.MakeKey(context.Background(), "first-prod-2026q4")
		ts.Check(err)
		w.keep(name, made.Secret.Reveal())
		value = w.Value(made.Secret)
		if kind == "plain" {
			value = made.Secret.Reveal()
		}
	}
	if kind == "bare" {
		tags = nil
	}
	arn, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value, Tags: tags})
	ts.Check(err)
	if kind != "bare" {
		ts.Check(w.ConfigureRotation(context.Background(), arn))
	}
}

func (w *world) keep(name, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys[name] = secret
}

// advance 25h: the sandbox's clock goes on.
func (w *world) advance(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	w.Clock.Advance(d)
}

// current is the key in AWSCURRENT's value.
func (w *world) current(ts *testscript.TestScript, secret string) quiltregistry.APIKey {
	_, value, err := w.Current(secret)
	ts.Check(err)
	key, ok := w.Registry.KeyBySecret(value.Key().Reveal())
	if !ok {
		ts.Fatalf("the registry does not know the current key of %s", secret)
	}
	return key
}

// key VARIABLE SECRET: puts the id of the secret's current key into the variable.
func (w *world) key(ts *testscript.TestScript, _ bool, args []string) {
	key := w.current(ts, args[1])
	w.keep(key.ID, key.Secret)
	ts.Setenv(args[0], key.ID)
}

// alive ID...: the keys log in. ! alive ID...: none does.
func (w *world) alive(ts *testscript.TestScript, neg bool, args []string) {
	for _, id := range args {
		w.mu.Lock()
		secret, known := w.keys[id]
		w.mu.Unlock()
		if !known {
			ts.Fatalf("the script has not looked at the key %s before", id)
		}
		if w.Registry.Alive(secret) == neg {
			ts.Fatalf("the key %s: logging in is %t", id, neg)
		}
	}
}

// expire SECRET: its current key expires now.
func (w *world) expire(ts *testscript.TestScript, _ bool, args []string) {
	w.Registry.Expire(w.current(ts, args[0]).ID)
}

// drop SECRET: its current key is deleted at the registry, as by a hand.
func (w *world) drop(ts *testscript.TestScript, _ bool, args []string) {
	key := w.current(ts, args[0])
	w.keep(key.ID, key.Secret)
	w.Registry.Delete(key.ID)
}

// edit SECRET VALUE: somebody writes another value, past everything. KEY in it stands for the current key.
func (w *world) edit(ts *testscript.TestScript, _ bool, args []string) {
	value := w.withKey(ts, args[0], args[1])
	_, err := w.SecretsManager().PutSecretValue(context.Background(), &secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

var keyInText = regexp.MustCompile(`\bKEY\b`) // not the end of QUILT_API_KEY

func (w *world) withKey(ts *testscript.TestScript, secret, text string) string {
	if !keyInText.MatchString(text) {
		return text
	}
	return keyInText.ReplaceAllLiteralString(text, w.current(ts, secret).Secret)
}

// stick SECRET: a rotation that never goes on: AWSPENDING on a version without a value.
func (w *world) stick(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Secrets.StartPending(args[0], uuid.NewString())
	ts.Check(err)
}

// rotated SECRET: a rotation, past the command.
func (w *world) rotated(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Rotate(context.Background(), args[0])
	ts.Check(err)
}

// swept SECRET: a sweep, past the command.
func (w *world) swept(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Sweep(context.Background(), args[0], false)
	ts.Check(err)
}

// registry SWITCH [VALUE]: the registry behaves in another way from now on.
func (w *world) switches(ts *testscript.TestScript, _ bool, args []string) {
	value := ""
	if len(args) > 1 {
		value = args[1]
	}
	set, known := map[string]func(*quiltregistry.Switches){
		"sso-only":             func(s *quiltregistry.Switches) { s.SSOOnly = true },
		"keys-may-not-manage":  func(s *quiltregistry.Switches) { s.KeysMayNotManage = value },
		"platform":             func(s *quiltregistry.Switches) { s.PlatformVersion = value },
		"use-not-recorded":     func(s *quiltregistry.Switches) { s.UseNotRecorded = true },
		"refuse-new-keys":      func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 1000 },
		"accept-new-keys":      func(s *quiltregistry.Switches) { s.RefuseNewKeyLogins = 0 },
		"null-me":              func(s *quiltregistry.Switches) { s.NullMe = true },
		"revoked-keys-go-on":   func(s *quiltregistry.Switches) { s.RevokeLingers = 1000 },
		"max-keys":             func(s *quiltregistry.Switches) { s.MaxKeysPerUser = atoi(ts, value) },
		"same-fingerprints-on": func(s *quiltregistry.Switches) { s.DuplicateFingerprints = true },
	}[args[0]]
	if !known {
		ts.Fatalf("there is no switch %s", args[0])
	}
	w.Registry.SetSwitches(set)
}

func atoi(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// refuse OPERATION STATUS CODE [MESSAGE]: AWS, or the registry, refuses an operation from now on; * stands for every one of AWS's. ! refuse: no more.
func (w *world) refuse(ts *testscript.TestScript, neg bool, args []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = nil
	if neg {
		return
	}
	message := "refused by the script"
	if len(args) > 3 {
		message = args[3]
	}
	answer := sandboxtest.AWSError(atoi(ts, args[1]), args[2], message)
	if args[0] == "*" {
		w.faults = []wire.Hook{func(c *wire.Call, next func()) {
			if c.Service == "registry" {
				next()
				return
			}
			answer(c, next)
		}}
		return
	}
	w.faults = []wire.Hook{sandboxtest.On(answer, args[0])}
}

// code FILE [USER]: puts the code into the file that the registry's login page shows the user.
func (w *world) code(ts *testscript.TestScript, _ bool, args []string) {
	address := w.RegistryURL + "/login"
	if len(args) > 1 {
		address += "?user=" + args[1]
	}
	answer, err := http.Get(address) //nolint:gosec // the sandbox's own
	ts.Check(err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	ts.Check(err)
	found := regexp.MustCompile(`<pre id="code">(.+)</pre>`).FindSubmatch(page)
	if found == nil {
		ts.Fatalf("the login page shows no code")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(found[1], '\n'), 0o600))
}

// key-file FILE SECRET: puts the secret's current key into the file.
func (w *world) keyFile(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(" "+w.current(ts, args[1]).Secret+" \n"), 0o600))
}

// holds SECRET VALUE: the current value is that one, to the byte. KEY in it stands for the key that is there.
func (w *world) holds(ts *testscript.TestScript, _ bool, args []string) {
	want := w.withKey(ts, args[0], args[1])
	shot, err := w.Secrets.Snapshot(args[0])
	ts.Check(err)
	if current, _ := shot.Holder(vault.Current); current.Value != want {
		ts.Fatalf("the current value of %s is another one", args[0])
	}
}

// made SECRET N: the registry has so many keys that were made for the secret.
func (w *world) made(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[0])
	ts.Check(err)
	n := 0
	for _, k := range w.Registry.Keys() {
		if mark, ours := apikey.MarkOf(k.Name); ours && mark == apikey.SecretMark(shot.ARN) {
			n++
		}
	}
	if n != atoi(ts, args[1]) {
		ts.Fatalf("the registry has %d keys that were made for %s", n, args[0])
	}
}

// tag SECRET NAME VALUE: the secret has that tag from now on.
func (w *world) tag(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{
		SecretId: &args[0], Tags: []types.Tag{{Key: &args[1], Value: &args[2]}},
	})
	ts.Check(err)
}

// tagged SECRET NAME VALUE: the secret has that tag. ! tagged SECRET NAME: it has no such tag.
func (w *world) tagged(ts *testscript.TestScript, neg bool, args []string) {
	out, err := w.SecretsManager().DescribeSecret(context.Background(), &secretsmanager.DescribeSecretInput{SecretId: &args[0]})
	ts.Check(err)
	have, there := "", false
	for _, tag := range out.Tags {
		if aws.ToString(tag.Key) == args[1] {
			have, there = aws.ToString(tag.Value), true
		}
	}
	if there == neg || !neg && have != args[2] {
		ts.Fatalf("the tag %s of %s is %q", args[1], args[0], have)
	}
}

// lose OPERATION [N]: the answers to the next N requests for the operation are lost, though it is carried out; one where no number is given.
func (w *world) lose(ts *testscript.TestScript, _ bool, args []string) {
	left := 1
	if len(args) > 1 {
		left = atoi(ts, args[1])
	}
	w.addFault(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		w.mu.Lock()
		defer w.mu.Unlock()
		if left > 0 {
			left--
			c.Cut()
		}
	}, args[0]))
}

// meanwhile OPERATION SECRET VALUE: right before the next request for the operation, somebody writes that value, past everything.
func (w *world) meanwhile(ts *testscript.TestScript, _ bool, args []string) {
	var once sync.Once
	w.addFault(sandboxtest.On(func(_ *wire.Call, next func()) {
		once.Do(func() { w.edit(ts, false, args[1:]) })
		next()
	}, args[0]))
}

func (w *world) addFault(fault wire.Hook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(slices.Clone(w.faults), fault)
}

// foreign NAME: a secret that another program rotates.
func (w *world) foreign(ts *testscript.TestScript, _ bool, args []string) {
	w.secret(ts, false, []string{args[0], "bare"})
	_, err := w.Lambda.Add(awslambda.Config{Name: "others", Handler: nothing{}})
	ts.Check(err)
	_, err = w.SecretsManager().RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
		SecretId: &args[0], RotationLambdaARN: aws.String(sandboxtest.FunctionARN("others")), RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	ts.Check(err)
}

// nothing is a function that does nothing.
type nothing struct{}

func (nothing) Invoke(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

// env-equal A B: both texts are the same.
func (w *world) envEqual(ts *testscript.TestScript, neg bool, args []string) {
	if (args[0] == args[1]) == neg {
		ts.Fatalf("%s and %s: equal is %t", args[0], args[1], neg)
	}
}

// version VARIABLE SECRET LABEL: puts the id of the version that has the label into the variable.
func (w *world) version(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := w.Secrets.Snapshot(args[1])
	ts.Check(err)
	v, ok := shot.Holder(args[2])
	if !ok {
		ts.Fatalf("no version of %s has the label %s", args[1], args[2])
	}
	ts.Setenv(args[0], v.ID)
}

// plain-secret NAME VALUE: a secret with nothing but that value.
func (w *world) plainSecret(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0], SecretString: &args[1]})
	ts.Check(err)
}

// issuer NAME [admin]: a secret with the password of the ordinary user, or of the administrator, for an issuer.
func (w *world) issuer(ts *testscript.TestScript, _ bool, args []string) {
	user, password := sandbox.UserName, sandbox.UserPassword
	if len(args) > 1 {
		user, password = sandbox.AdminName, sandbox.AdminPassword
	}
	w.plainSecret(ts, false, []string{args[0], `{"username": "` + user + `", "password": "` + password + `"}`})
}

// binary NAME: a secret whose value is bytes.
func (w *world) binary(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0], SecretBinary: []byte{1, 2, 3}})
	ts.Check(err)
}

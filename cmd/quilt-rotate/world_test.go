package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awsathena"
	"quilt-rotate/internal/sandbox/awskms"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/demo/scene"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

// A world is a script's sandbox, with the real functions in it.
type world struct {
	*scene.Scene
	trail *awsathena.Server

	mu       sync.Mutex
	requests []sandboxtest.Request
	faults   []wire.Hook
	gate     *sandboxtest.Gate
	keys     map[string]string // secrets of keys, by the names that the script gave them
	advice   string            // what the last `status` printed
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func (w *world) close() {
	if w.Scene != nil {
		_ = w.Close()
	}
}

// canaries are what went over the wire and must not be in any output. What the sandbox has for
// everybody is left out: it is no secret.
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
	"sandbox":       (*world).start,
	"secret":        (*world).secret,
	"advance":       (*world).advance,
	"key":           (*world).key,
	"alive":         (*world).alive,
	"expire":        (*world).expire,
	"drop":          (*world).drop,
	"edit":          (*world).edit,
	"stick":         (*world).stick,
	"rotated":       (*world).rotated,
	"swept":         (*world).swept,
	"registry":      (*world).switches,
	"refuse":        (*world).refuse,
	"stall":         (*world).stall,
	"arrived":       (*world).arrived,
	"noticed":       (*world).noticed,
	"release":       (*world).release,
	"athena":        (*world).athena,
	"crowd":         (*world).crowd,
	"administrator": (*world).administrator,
	"used":          (*world).used,
	"queried":       (*world).queried,

	"answers":    (*world).answers,
	"own":        (*world).own,
	"write":      (*world).write,
	"issuer":     (*world).issuer,
	"tag":        (*world).tag,
	"label":      (*world).label,
	"replica":    (*world).replica,
	"untagged":   (*world).untagged,
	"full":       (*world).full,
	"replicated": (*world).replicated,
	"same":       (*world).same,
	"keys":       (*world).count,

	"code":         (*world).code,
	"holds":        (*world).holds,
	"made":         (*world).made,
	"tagged":       (*world).tagged,
	"lose":         (*world).lose,
	"meanwhile":    (*world).meanwhile,
	"foreign":      (*world).foreign,
	"env-equal":    (*world).envEqual,
	"version":      (*world).version,
	"plain-secret": (*world).plainSecret,
	"binary":       (*world).binary,
	"exists":       (*world).exists,
	"function":     (*world).function,
	"key-file":     (*world).keyFile,
	"schedule":     (*world).schedule,
	"parameters":   (*world).parameters,
	"rested":       (*world).rested,
	"another":      (*world).another,
	"encrypted":    (*world).encrypted,
}

// sandbox [tries=N] [timeout=DURATION] [NAME=VALUE...]: starts the sandbox, and points the script's
// environment to it. N is how often a rotation is tried. The timeout is that of the rotate function:
// it ends a step that waits until the registry accepts a new key. The variables are the revoke
// function's.
func (w *world) start(ts *testscript.TestScript, _ bool, args []string) {
	options := scene.Options{Functions: scene.In(folder), RevokeEnvironment: map[string]string{}}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok:
			ts.Fatalf("sandbox takes NAME=VALUE, not %s", arg)
		case name == "tries":
			options.Sandbox.RotationTries = atoi(ts, value)
		case name == "timeout":
			options.RotateTimeout = duration(ts, value)
		default:
			options.RevokeEnvironment[name] = value
		}
	}
	var err error
	w.Scene, err = scene.Open(options)
	ts.Check(err)
	w.Hooks.Set(w.observe)
	for _, variable := range w.Exports() {
		if variable[0] != settings.EnvRegistryURL { // the commands are to find it by themselves
			ts.Setenv(variable[0], variable[1])
		}
	}
	ts.Setenv("REGISTRY", w.RegistryURL)
	ts.Setenv("ADDRESS", strings.TrimPrefix(w.RegistryURL, "http:"))
}

// secret NAME [blank|plain|bare]: a secret with rotation on, as a deployment leaves it, and its
// first key in it. blank: it waits for its first key. plain: the value is the key alone. bare: no
// tags and no rotation, as before anybody cared for it.
func (w *world) secret(ts *testscript.TestScript, _ bool, args []string) {
	name, kind := args[0], ""
	if len(args) > 1 {
		kind = args[1]
	}
	value, tags := "{}", []types.Tag{
		{Key: aws.String(settings.TagKeyName), Value: aws.String("pipeline-prod")},
		{Key: aws.String(settings.TagGrace), Value: aws.String("24h")},
		{Key: aws.String(settings.TagRegistry), Value: aws.String(w.RegistryURL)},
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
	arn, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: &value, Tags: tags})
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

// edit SECRET VALUE: somebody writes another value, past everything. KEY in it stands for the
// current key.
func (w *world) edit(ts *testscript.TestScript, _ bool, args []string) {
	value := w.withKey(ts, args[0], args[1])
	_, err := w.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

// stick SECRET: a rotation that never goes on: AWSPENDING on a version without a value.
func (w *world) stick(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Secrets.StartPending(args[0], uuid.NewString())
	ts.Check(err)
}

// rotated SECRET [TOKEN]: a rotation, past the command. The token becomes the version's id.
func (w *world) rotated(ts *testscript.TestScript, _ bool, args []string) {
	in := &secretsmanager.RotateSecretInput{SecretId: &args[0]}
	if len(args) > 1 {
		in.ClientRequestToken = &args[1]
	}
	_, err := w.SecretsManager().RotateSecret(context.Background(), in)
	ts.Check(err)
	ts.Check(w.Secrets.WaitRotation(context.Background(), args[0]))
}

// encrypted SECRET POLICY: the secret is encrypted by a KMS key with that policy.
func (w *world) encrypted(ts *testscript.TestScript, _ bool, args []string) {
	key := w.Keys.Put("1234", awskms.Key{Policy: args[1]})
	_, err := w.SecretsManager().UpdateSecret(context.Background(),
		&secretsmanager.UpdateSecretInput{SecretId: &args[0], KmsKeyId: &key})
	ts.Check(err)
}

// swept SECRET: a sweep, past the command.
func (w *world) swept(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Sweep(context.Background(), args[0])
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
		"use-granularity":      func(s *quiltregistry.Switches) { s.UseGranularity = duration(ts, value) },
		"same-fingerprints-on": func(s *quiltregistry.Switches) { s.DuplicateFingerprints = true },
		"short-names":          func(s *quiltregistry.Switches) { s.NameLimit = atoi(ts, value) },
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

func duration(ts *testscript.TestScript, text string) time.Duration {
	d, err := time.ParseDuration(text)
	ts.Check(err)
	return d
}

// answers OPERATION OLD NEW: in the answers to it OLD becomes NEW from now on, until the next
// fault.
func (w *world) answers(_ *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = []wire.Hook{sandboxtest.On(sandboxtest.EditAnswer(args[1], args[2]), args[0])}
}

// own [admin]: a key of the ordinary user, or of the administrator, stands in the script's
// QUILT_API_KEY, and its id in $OWN.
func (w *world) own(ts *testscript.TestScript, _ bool, args []string) {
	email := sandbox.UserEmail
	if len(args) > 0 {
		email = sandbox.AdminEmail
	}
	id, secret := w.Registry.MintKey(email, "by-hand-2026q4", settings.DefaultExpiresInDays)
	w.keep(id, secret)
	ts.Setenv("QUILT_API_KEY", secret)
	ts.Setenv("OWN", id)
}

// write FILE TEXT: a file for standard input. PASSWORD in the text stands for the user's, KEY:ID
// for a key that the script has looked at, and HASH:ID for its SHA-256 in hex.
func (w *world) write(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.ReplaceAll(args[1], "PASSWORD", sandbox.UserPassword)
	w.mu.Lock()
	for id, secret := range w.keys {
		text = strings.ReplaceAll(text, "KEY:"+id, secret)
		text = strings.ReplaceAll(text, "HASH:"+id, fmt.Sprintf("%x", sha256.Sum256([]byte(secret))))
	}
	w.mu.Unlock()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text+"\n"), 0o600))
}

// issuer NAME user|admin|unlisted|others|broken: a secret with the password of one of the two,
// which serves prod/*; the user's without a list, or with one of other secrets; or with something
// that is no credential.
func (w *world) issuer(ts *testscript.TestScript, _ bool, args []string) {
	value := map[string]string{
		"user": fmt.Sprintf(`{"username": %q, "password": %q, "serves": ["prod/*"]}`, sandbox.UserName,
			sandbox.UserPassword),
		"admin": fmt.Sprintf(`{"username": %q, "password": %q, "serves": ["prod/*"]}`, sandbox.AdminName,
			sandbox.AdminPassword),
		"unlisted": fmt.Sprintf(`{"username": %q, "password": %q}`, sandbox.UserName, sandbox.UserPassword),
		"others": fmt.Sprintf(`{"username": %q, "password": %q, "serves": ["team-b/*"]}`, sandbox.UserName,
			sandbox.UserPassword),
		"broken": `{"user": "somebody"}`,
	}[args[1]]
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
		SecretString: &value})
	ts.Check(err)
}

// schedule disabled: the schedule of the sweeps is disabled, and has all else that it had. !
// schedule disabled: it is enabled.
func (w *world) schedule(ts *testscript.TestScript, neg bool, _ []string) {
	members := w.Schedules.Members(scene.ScheduleName)
	if disabled := string(members["State"]) == `"DISABLED"`; disabled == neg {
		ts.Fatalf("the schedule is %s", members["State"])
	}
	for _, member := range []string{"ScheduleExpression", "FlexibleTimeWindow", "Description", "Target"} {
		if members[member] == nil {
			ts.Fatalf("the schedule has lost %s", member)
		}
	}
}

// parameters [FUNCTION]: a stack publishes that rotate function. Without one, no stack is deployed.
func (w *world) parameters(_ *testscript.TestScript, _ bool, args []string) {
	const name = "/quilt-rotate/sandbox/rotate-function-arn"
	w.Parameters.Delete(name)
	if len(args) > 0 {
		w.Parameters.Put(name, w.RotateARN)
	}
}

// another FUNCTION [beside]: the stack of the rotate function is deleted, and another one is there
// with a rotate function of that name. beside: both are there.
func (w *world) another(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 1 {
		w.Lambda.Remove(sandbox.RotateFunction)
		w.parameters(ts, false, nil)
	}
	arn, err := w.AddFunction(args[0], scene.In(folder).Rotate, scene.FunctionTimeout, nil, func(c *awslambda.Config) {
		c.Tags = map[string]string{settings.TagRevokeFunction: sandbox.RevokeFunction,
			settings.TagSchedule: scene.ScheduleName}
	})
	ts.Check(err)
	w.Parameters.Put("/quilt-rotate/"+args[0]+"/rotate-function-arn", arn)
}

// rested SECRET: its rotation is over, and so are the service's repetitions.
func (w *world) rested(_ *testscript.TestScript, _ bool, args []string) {
	_ = w.Secrets.WaitRotation(context.Background(), args[0]) // its error is how the rotation ended
}

// tag SECRET NAME VALUE: the secret gets the tag.
func (w *world) tag(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{
		SecretId: &args[0], Tags: []types.Tag{{Key: &args[1], Value: &args[2]}},
	})
	ts.Check(err)
}

// label SECRET ID: somebody gives the secret's current version the label of that key.
func (w *world) label(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := w.Current(args[0])
	ts.Check(err)
	_, err = w.SecretsManager().UpdateSecretVersionStage(context.Background(),
		&secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &args[0], VersionStage: aws.String("quilt-key:" + args[1]), MoveToVersionId: &id,
		})
	ts.Check(err)
}

// replica SECRET REGION STATUS: the secret has a replica there, in that state.
func (w *world) replica(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().ReplicateSecretToRegions(context.Background(),
		&secretsmanager.ReplicateSecretToRegionsInput{
			SecretId: &args[0], AddReplicaRegions: []types.ReplicaRegionType{{Region: &args[1]}},
		})
	ts.Check(err)
	ts.Check(w.Secrets.SetReplicaStatus(args[0], args[1], args[2], ""))
}

// untagged SECRET [TAG...]: another tool removes these tags of the secret, or all.
func (w *world) untagged(ts *testscript.TestScript, _ bool, args []string) {
	out, err := w.SecretsManager().DescribeSecret(context.Background(),
		&secretsmanager.DescribeSecretInput{SecretId: &args[0]})
	ts.Check(err)
	names := args[1:]
	for _, tag := range out.Tags {
		if len(args) == 1 {
			names = append(names, *tag.Key)
		}
	}
	_, err = w.SecretsManager().UntagResource(context.Background(),
		&secretsmanager.UntagResourceInput{SecretId: &args[0], TagKeys: names})
	ts.Check(err)
}

// full SECRET: somebody puts labels on its current version until no more fit.
func (w *world) full(ts *testscript.TestScript, _ bool, args []string) {
	version, _, err := w.Current(args[0])
	ts.Check(err)
	for n := 0; err == nil; n++ {
		label := fmt.Sprintf("team-%d", n)
		_, err = w.SecretsManager().UpdateSecretVersionStage(context.Background(),
			&secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &args[0], VersionStage: &label, MoveToVersionId: &version,
			})
	}
}

// replicated SECRET REGION: the secret is a replica, and its primary is in that region.
func (w *world) replicated(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(w.Secrets.SetPrimaryRegion(args[0], args[1]))
}

// same SECRET OTHER: another secret in care, with the same key.
func (w *world) same(ts *testscript.TestScript, _ bool, args []string) {
	value := w.current(ts, args[0]).Secret
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{
		Name: &args[1], SecretString: &value, Tags: []types.Tag{{Key: aws.String(settings.TagGrace),
			Value: aws.String("24h")}},
	})
	ts.Check(err)
}

// keys N [NAME]: the registry has N keys whose names begin so.
func (w *world) count(ts *testscript.TestScript, _ bool, args []string) {
	prefix, n := "", 0
	if len(args) > 1 {
		prefix = args[1]
	}
	for _, k := range w.Registry.Keys() {
		if strings.HasPrefix(k.Name, prefix) {
			n++
			w.keep(k.ID, k.Secret)
		}
	}
	if n != atoi(ts, args[0]) {
		ts.Fatalf("there are %d keys %s, want %s", n, prefix, args[0])
	}
}

// refuse OPERATION STATUS CODE [MESSAGE]: AWS, or the registry, refuses an operation from now on; *
// stands for every one of AWS's. ! refuse: no more.
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
	if args[0] == "*" && args[2] == "ExpiredTokenException" {
		w.faults = []wire.Hook{sandbox.ExpiredToken} // each service has its own words for it
		return
	}
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

// athena [no-table|no-output-location|stall]: Athena over the registry's real audit trail. The
// script's environment is pointed to it, and $AUDIT is its database.
func (w *world) athena(ts *testscript.TestScript, _ bool, args []string) {
	w.trail = awsathena.New(awsathena.Options{Clock: w.Clock, Trail: w.Registry})
	for _, arg := range args {
		w.trail.SetSwitches(func(s *awsathena.Switches) {
			s.NoTable, s.NoOutputLocation, s.Stall = s.NoTable || arg == "no-table", s.NoOutputLocation ||
				arg == "no-output-location", s.Stall || arg == "stall"
		})
	}
	w.ServeAthena(w.trail, awsathena.Operation)
	ts.Setenv("AUDIT", awsathena.DefaultDatabase)
	ts.Setenv("WORKGROUP", awsathena.DefaultWorkgroup)
}

// used SECRET: a consumer gets AWS credentials with the secret's current key. ! used SECRET: with
// half of the key, which the registry refuses.
func (w *world) used(ts *testscript.TestScript, neg bool, args []string) {
	key := w.current(ts, args[0]).Secret
	if neg {
		key = key[:len(key)/2]
	}
	request, err := http.NewRequest(http.MethodGet, w.RegistryURL+"/api/auth/get_credentials", nil)
	ts.Check(err)
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("User-Agent", "a-consumer/1.0")
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	ts.Check(answer.Body.Close())
	if (answer.StatusCode != http.StatusOK) != neg {
		ts.Fatalf("the key was used: %s", answer.Status)
	}
}

// queried: waits until a query runs.
func (w *world) queried(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(5 * time.Minute); len(w.trail.Queries()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("no query was started")
		}
	}
}

// stall OPERATION: requests for it wait from now on, until release.
func (w *world) stall(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = sandboxtest.NewGate(cleanup{ts})
	w.faults = []wire.Hook{sandboxtest.On(w.gate.Stall, args[0])}
}

// arrived: waits until a request stalls.
func (w *world) arrived(ts *testscript.TestScript, _ bool, _ []string) {
	select {
	case <-w.gate.Arrived:
	case <-time.After(5 * time.Minute):
		ts.Fatalf("no request came")
	}
}

// noticed: waits until a command has noticed an interrupt, and made the file NOTICED.
func (w *world) noticed(ts *testscript.TestScript, _ bool, _ []string) {
	poll, tooLong := time.NewTicker(10*time.Millisecond), time.After(5*time.Minute)
	defer poll.Stop()
	for os.Remove(ts.Getenv("NOTICED")) != nil {
		select {
		case <-poll.C:
		case <-tooLong:
			ts.Fatalf("no command noticed an interrupt")
		}
	}
	ts.Setenv("NOTICED", "")
}

// release: lets the requests go on that stall.
func (w *world) release(*testscript.TestScript, bool, []string) { w.gate.Open() }

// cleanup is a script as the rig's parts know a test.
type cleanup struct{ *testscript.TestScript }

func (c cleanup) Helper()          {}
func (c cleanup) Cleanup(f func()) { c.Defer(f) }

// crowd N: the registry has N keys more, of two users, made long ago, some of them named as nobody
// should.
func (w *world) crowd(ts *testscript.TestScript, _ bool, args []string) {
	for i := range atoi(ts, args[0]) {
		email, name := sandbox.UserEmail, fmt.Sprintf("job%d-prod-2026q3", i)
		if i%2 == 1 {
			email, name = sandbox.AdminEmail, fmt.Sprintf("test %d", i)
		}
		w.Registry.MintKey(email, name, 1+i%365)
	}
}

// administrator VARIABLE: puts a key of the registry's administrator into the variable, as somebody
// would have it in the environment.
func (w *world) administrator(ts *testscript.TestScript, _ bool, args []string) {
	_, secret := w.Registry.MintKey(sandbox.AdminEmail, "admin-audit-2026q4", 30)
	w.keep("administrator", secret)
	ts.Setenv(args[0], secret)
}

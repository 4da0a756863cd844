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

// world is the sandbox of one script. It runs the built functions.
type world struct {
	*scene.Scene
	trail *awsathena.Server

	mu       sync.Mutex
	requests []sandboxtest.Request
	faults   []wire.Hook
	gate     *sandboxtest.Gate
	keys     map[string]string // texts of keys, by the ids that the script has read
	advice   string            // output of the last `status`
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func (w *world) close() {
	if w.Scene != nil {
		_ = w.Close()
	}
}

// canaries returns the secret texts that were sent and must not be in any output. The credentials
// that the sandbox prints are not secret.
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

// observe records every request, and applies the script's faults.
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

// worldCommands prepare and check the sandbox of a script. Each is described at its method.
var worldCommands = map[string]func(w *world, ts *testscript.TestScript, neg bool, args []string){
	"sandbox":          (*world).start,
	"secret":           (*world).secret,
	"advance":          (*world).advance,
	"key":              (*world).key,
	"logs-in":          (*world).logsIn,
	"expire-key":       (*world).expireKey,
	"delete-key":       (*world).deleteKey,
	"edit":             (*world).edit,
	"stuck-rotation":   (*world).stuckRotation,
	"rotate":           (*world).rotate,
	"sweep":            (*world).sweep,
	"registry":         (*world).switches,
	"refuse":           (*world).refuse,
	"stall":            (*world).stall,
	"wait-stalled":     (*world).waitStalled,
	"wait-interrupted": (*world).waitInterrupted,
	"release":          (*world).release,
	"athena":           (*world).athena,
	"many-keys":        (*world).manyKeys,
	"admin-key":        (*world).adminKey,
	"use-current":      (*world).useCurrent,
	"wait-query":       (*world).waitQuery,

	"edit-answers": (*world).editAnswers,
	"set-api-key":  (*world).setAPIKey,
	"write":        (*world).write,
	"issuer":       (*world).issuer,
	"tag":          (*world).tag,
	"label-key":    (*world).labelKey,
	"replica":      (*world).replica,
	"untag":        (*world).untag,
	"fill-labels":  (*world).fillLabels,
	"replica-of":   (*world).replicaOf,
	"copy-secret":  (*world).copySecret,
	"count-keys":   (*world).countKeys,

	"login-code":     (*world).loginCode,
	"current-value":  (*world).currentValue,
	"count-created":  (*world).countCreated,
	"has-tag":        (*world).hasTag,
	"lose-answers":   (*world).loseAnswers,
	"edit-before":    (*world).editBefore,
	"foreign-secret": (*world).foreignSecret,
	"equal":          (*world).equal,
	"version":        (*world).version,
	"plain-secret":   (*world).plainSecret,
	"binary-secret":  (*world).binarySecret,
	"secret-exists":  (*world).secretExists,
	"other-function": (*world).otherFunction,
	"key-file":       (*world).keyFile,
	"schedule":       (*world).schedule,
	"parameters":     (*world).parameters,
	"wait-rotation":  (*world).waitRotation,
	"other-stack":    (*world).otherStack,
	"encrypt":        (*world).encrypt,
}

// sandbox [tries=N] [timeout=DURATION] [NAME=VALUE...]: starts the sandbox and points the script's
// environment to it. A rotation is tried N times. The timeout is that of the rotate function: it
// ends a step that waits until the registry accepts a new key. The variables are those of the
// revoke function.
func (w *world) start(ts *testscript.TestScript, _ bool, args []string) {
	options := scene.Options{Functions: scene.In(folder), RevokeEnvironment: map[string]string{}}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case !ok:
			ts.Fatalf("got %s, want NAME=VALUE", arg)
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
		if variable[0] != settings.EnvRegistryURL { // the commands must find the registry themselves
			ts.Setenv(variable[0], variable[1])
		}
	}
	ts.Setenv("REGISTRY", w.RegistryURL)
	ts.Setenv("ADDRESS", strings.TrimPrefix(w.RegistryURL, "http:"))
}

// secret NAME [blank|plain|bare]: creates a secret with its first key, with the tags and the
// rotation of a deployment. blank: it waits for its first key. plain: the value is only the key.
// bare: it has no tags and no rotation.
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

// advance DURATION: advances the sandbox's clock.
func (w *world) advance(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	w.Clock.Advance(d)
}

// current returns the key in the value of AWSCURRENT.
func (w *world) current(ts *testscript.TestScript, secret string) quiltregistry.APIKey {
	_, value, err := w.Current(secret)
	ts.Check(err)
	key, ok := w.Registry.KeyBySecret(value.Key().Reveal())
	if !ok {
		ts.Fatalf("the registry does not know the current key of %s", secret)
	}
	return key
}

// key VARIABLE SECRET: sets the variable to the id of the secret's current key.
func (w *world) key(ts *testscript.TestScript, _ bool, args []string) {
	key := w.current(ts, args[1])
	w.keep(key.ID, key.Secret)
	ts.Setenv(args[0], key.ID)
}

// logs-in ID...: each key logs in. ! logs-in ID...: none of them does.
func (w *world) logsIn(ts *testscript.TestScript, neg bool, args []string) {
	for _, id := range args {
		w.mu.Lock()
		secret, known := w.keys[id]
		w.mu.Unlock()
		if !known {
			ts.Fatalf("the script has not read the key %s", id)
		}
		if w.Registry.Alive(secret) == neg {
			ts.Fatalf("key %s: logs in is %t, want %t", id, neg, !neg)
		}
	}
}

// expire-key SECRET: the secret's current key expires now.
func (w *world) expireKey(ts *testscript.TestScript, _ bool, args []string) {
	w.Registry.Expire(w.current(ts, args[0]).ID)
}

// delete-key SECRET: deletes the secret's current key at the registry.
func (w *world) deleteKey(ts *testscript.TestScript, _ bool, args []string) {
	key := w.current(ts, args[0])
	w.keep(key.ID, key.Secret)
	w.Registry.Delete(key.ID)
}

// edit SECRET VALUE: stores another current value. KEY in it stands for the current key.
func (w *world) edit(ts *testscript.TestScript, _ bool, args []string) {
	value := w.withKey(ts, args[0], args[1])
	_, err := w.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

// stuck-rotation SECRET: AWSPENDING is on a version without a value, and the rotation does not
// continue.
func (w *world) stuckRotation(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Secrets.StartPending(args[0], uuid.NewString())
	ts.Check(err)
}

// rotate SECRET [TOKEN]: rotates the secret without the command. The token becomes the version's
// id.
func (w *world) rotate(ts *testscript.TestScript, _ bool, args []string) {
	in := &secretsmanager.RotateSecretInput{SecretId: &args[0]}
	if len(args) > 1 {
		in.ClientRequestToken = &args[1]
	}
	_, err := w.SecretsManager().RotateSecret(context.Background(), in)
	ts.Check(err)
	ts.Check(w.Secrets.WaitRotation(context.Background(), args[0]))
}

// encrypt SECRET POLICY: encrypts the secret with a KMS key that has the policy.
func (w *world) encrypt(ts *testscript.TestScript, _ bool, args []string) {
	key := w.Keys.Put("1234", awskms.Key{Policy: args[1]})
	_, err := w.SecretsManager().UpdateSecret(context.Background(),
		&secretsmanager.UpdateSecretInput{SecretId: &args[0], KmsKeyId: &key})
	ts.Check(err)
}

// sweep SECRET: sweeps the secret without the command.
func (w *world) sweep(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Sweep(context.Background(), args[0])
	ts.Check(err)
}

// registry SWITCH [VALUE]: changes how the registry behaves from now on.
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
		ts.Fatalf("unknown switch %s", args[0])
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

// edit-answers OPERATION OLD NEW: replaces OLD by NEW in the answers to the operation, until
// another command sets a fault.
func (w *world) editAnswers(_ *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = []wire.Hook{sandboxtest.On(sandboxtest.EditAnswer(args[1], args[2]), args[0])}
}

// set-api-key [admin]: sets QUILT_API_KEY to a key of the ordinary user, or of the administrator,
// and OWN to the key's id.
func (w *world) setAPIKey(ts *testscript.TestScript, _ bool, args []string) {
	email := sandbox.UserEmail
	if len(args) > 0 {
		email = sandbox.AdminEmail
	}
	id, secret := w.Registry.MintKey(email, "by-hand-2026q4", settings.DefaultExpiresInDays)
	w.keep(id, secret)
	ts.Setenv("QUILT_API_KEY", secret)
	ts.Setenv("OWN", id)
}

// write FILE TEXT: writes a file for standard input. PASSWORD in the text stands for the user's
// password, KEY:ID for a key that the script has read, and HASH:ID for the key's SHA-256 in hex.
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

// issuer NAME user|admin|unlisted|others|broken: creates a secret with an issuing credential. user
// and admin: the password of that user, for prod/*. unlisted: the ordinary user's, without a list
// of secrets. others: the ordinary user's, for other secrets. broken: not a credential.
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

// schedule disabled: the schedule of the sweeps is disabled and otherwise unchanged. ! schedule
// disabled: it is enabled.
func (w *world) schedule(ts *testscript.TestScript, neg bool, _ []string) {
	members := w.Schedules.Members(scene.ScheduleName)
	if disabled := string(members["State"]) == `"DISABLED"`; disabled == neg {
		ts.Fatalf("the schedule is %s", members["State"])
	}
	for _, member := range []string{"ScheduleExpression", "FlexibleTimeWindow", "Description", "Target"} {
		if members[member] == nil {
			ts.Fatalf("the schedule no longer has %s", member)
		}
	}
}

// parameters [FUNCTION]: a stack publishes its rotate function. Without an argument, no stack is
// deployed.
func (w *world) parameters(_ *testscript.TestScript, _ bool, args []string) {
	const name = "/quilt-rotate/sandbox/rotate-function-arn"
	w.Parameters.Delete(name)
	if len(args) > 0 {
		w.Parameters.Put(name, w.RotateARN)
	}
}

// other-stack FUNCTION [beside]: deletes the stack and deploys another one whose rotate function
// has the name. beside: both stacks exist.
func (w *world) otherStack(ts *testscript.TestScript, _ bool, args []string) {
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

// wait-rotation SECRET: waits until the secret's rotation has ended, and so have its retries by
// Secrets Manager.
func (w *world) waitRotation(_ *testscript.TestScript, _ bool, args []string) {
	_ = w.Secrets.WaitRotation(context.Background(), args[0]) // its error is how the rotation ended
}

// tag SECRET NAME VALUE: sets the tag.
func (w *world) tag(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{
		SecretId: &args[0], Tags: []types.Tag{{Key: &args[1], Value: &args[2]}},
	})
	ts.Check(err)
}

// label-key SECRET ID: puts the label of the key with the id on the secret's current version.
func (w *world) labelKey(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := w.Current(args[0])
	ts.Check(err)
	_, err = w.SecretsManager().UpdateSecretVersionStage(context.Background(),
		&secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &args[0], VersionStage: aws.String("quilt-key:" + args[1]), MoveToVersionId: &id,
		})
	ts.Check(err)
}

// replica SECRET REGION STATUS: the secret has a replica in the region, with the status.
func (w *world) replica(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.SecretsManager().ReplicateSecretToRegions(context.Background(),
		&secretsmanager.ReplicateSecretToRegionsInput{
			SecretId: &args[0], AddReplicaRegions: []types.ReplicaRegionType{{Region: &args[1]}},
		})
	ts.Check(err)
	ts.Check(w.Secrets.SetReplicaStatus(args[0], args[1], args[2], ""))
}

// untag SECRET [TAG...]: removes the tags, or all tags.
func (w *world) untag(ts *testscript.TestScript, _ bool, args []string) {
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

// fill-labels SECRET: puts labels on the secret's current version until the quota is reached.
func (w *world) fillLabels(ts *testscript.TestScript, _ bool, args []string) {
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

// replica-of SECRET REGION: the secret is a replica, and its primary is in the region.
func (w *world) replicaOf(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(w.Secrets.SetPrimaryRegion(args[0], args[1]))
}

// copy-secret SECRET OTHER: creates another managed secret with the same key.
func (w *world) copySecret(ts *testscript.TestScript, _ bool, args []string) {
	value := w.current(ts, args[0]).Secret
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{
		Name: &args[1], SecretString: &value, Tags: []types.Tag{{Key: aws.String(settings.TagGrace),
			Value: aws.String("24h")}},
	})
	ts.Check(err)
}

// count-keys N [PREFIX]: the registry has N keys whose names begin with the prefix.
func (w *world) countKeys(ts *testscript.TestScript, _ bool, args []string) {
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
		ts.Fatalf("got %d keys with the prefix %q, want %s", n, prefix, args[0])
	}
}

// refuse OPERATION STATUS CODE [MESSAGE]: AWS or the registry refuses the operation from now on. *
// stands for all operations of AWS. ! refuse: removes all faults.
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
		w.faults = []wire.Hook{sandbox.ExpiredToken} // each service has its own error for it
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

// athena [no-table|no-output-location|stall]: starts Athena with the registry's audit trail, and
// points the script's environment to it. AUDIT is the name of its database.
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

// use-current SECRET: a consumer gets AWS credentials with the secret's current key. ! use-current
// SECRET: it sends half of the key, which the registry refuses.
func (w *world) useCurrent(ts *testscript.TestScript, neg bool, args []string) {
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
		ts.Fatalf("the registry answered %s", answer.Status)
	}
}

// wait-query: waits until Athena runs a query.
func (w *world) waitQuery(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(5 * time.Minute); len(w.trail.Queries()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("no query runs")
		}
	}
}

// stall OPERATION: requests for the operation wait from now on, until release.
func (w *world) stall(ts *testscript.TestScript, _ bool, args []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = sandboxtest.NewGate(cleanup{ts})
	w.faults = []wire.Hook{sandboxtest.On(w.gate.Stall, args[0])}
}

// wait-stalled: waits until a request is stalled.
func (w *world) waitStalled(ts *testscript.TestScript, _ bool, _ []string) {
	select {
	case <-w.gate.Arrived:
	case <-time.After(5 * time.Minute):
		ts.Fatalf("no request is stalled")
	}
}

// wait-interrupted: waits until a command has received an interrupt and created the file NOTICED.
func (w *world) waitInterrupted(ts *testscript.TestScript, _ bool, _ []string) {
	poll, tooLong := time.NewTicker(10*time.Millisecond), time.After(5*time.Minute)
	defer poll.Stop()
	for os.Remove(ts.Getenv("NOTICED")) != nil {
		select {
		case <-poll.C:
		case <-tooLong:
			ts.Fatalf("no command received an interrupt")
		}
	}
	ts.Setenv("NOTICED", "")
}

// release: lets the stalled requests continue.
func (w *world) release(*testscript.TestScript, bool, []string) { w.gate.Open() }

// cleanup lets a gate register its cleanup with a script.
type cleanup struct{ *testscript.TestScript }

func (c cleanup) Helper()          {}
func (c cleanup) Cleanup(f func()) { c.Defer(f) }

// many-keys N: adds N keys of two users to the registry. Half of the names do not follow the
// convention.
func (w *world) manyKeys(ts *testscript.TestScript, _ bool, args []string) {
	for i := range atoi(ts, args[0]) {
		email, name := sandbox.UserEmail, fmt.Sprintf("job%d-prod-2026q3", i)
		if i%2 == 1 {
			email, name = sandbox.AdminEmail, fmt.Sprintf("test %d", i)
		}
		w.Registry.MintKey(email, name, 1+i%365)
	}
}

// admin-key VARIABLE: sets the variable to a key of the registry's administrator.
func (w *world) adminKey(ts *testscript.TestScript, _ bool, args []string) {
	_, secret := w.Registry.MintKey(sandbox.AdminEmail, "admin-audit-2026q4", 30)
	w.keep("administrator", secret)
	ts.Setenv(args[0], secret)
}

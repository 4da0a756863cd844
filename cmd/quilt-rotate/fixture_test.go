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

// fixture is the sandbox of one script. It runs the built functions.
type fixture struct {
	*scene.Scene
	trail *awsathena.Server

	mu       sync.Mutex
	requests []sandboxtest.Request
	faults   []wire.Hook
	gate     *sandboxtest.Gate
	keys     map[string]string // texts of keys, by the ids that the script has read
	advice   string            // output of the last `status`
}

type fixtureKey struct{}

func fixtureOf(ts *testscript.TestScript) *fixture { return ts.Value(fixtureKey{}).(*fixture) }

func (f *fixture) close() {
	if f.Scene != nil {
		_ = f.Close()
	}
}

// canaries returns the secret texts that were sent and must not be in any output. The credentials
// that the sandbox prints are not secret.
func (f *fixture) canaries() *sandboxtest.Canaries {
	f.mu.Lock()
	defer f.mu.Unlock()
	canaries := sandboxtest.NewCanaries()
	canaries.AddFrom(f.requests)
	for _, secret := range f.keys {
		canaries.Add("a key", secret)
	}
	return canaries
}

// observe records every request, and applies the script's faults.
func (f *fixture) observe(c *wire.Call, next func()) {
	f.mu.Lock()
	faults := f.faults
	f.mu.Unlock()
	for _, fault := range faults {
		inner := next
		next = func() { fault(c, inner) }
	}
	next()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, sandboxtest.Observed(c))
}

// fixtureCommands prepare and check the sandbox of a script. Each is described at its method.
var fixtureCommands = map[string]func(f *fixture, ts *testscript.TestScript, neg bool, args []string){
	"sandbox":          (*fixture).start,
	"secret":           (*fixture).secret,
	"advance":          (*fixture).advance,
	"key":              (*fixture).key,
	"logs-in":          (*fixture).logsIn,
	"expire-key":       (*fixture).expireKey,
	"delete-key":       (*fixture).deleteKey,
	"edit":             (*fixture).edit,
	"stuck-rotation":   (*fixture).stuckRotation,
	"rotate":           (*fixture).rotate,
	"sweep":            (*fixture).sweep,
	"registry":         (*fixture).switches,
	"refuse":           (*fixture).refuse,
	"stall":            (*fixture).stall,
	"wait-stalled":     (*fixture).waitStalled,
	"wait-interrupted": (*fixture).waitInterrupted,
	"release":          (*fixture).release,
	"athena":           (*fixture).athena,
	"many-keys":        (*fixture).manyKeys,
	"admin-key":        (*fixture).adminKey,
	"use-current":      (*fixture).useCurrent,
	"wait-query":       (*fixture).waitQuery,

	"edit-answers": (*fixture).editAnswers,
	"set-api-key":  (*fixture).setAPIKey,
	"write":        (*fixture).write,
	"issuer":       (*fixture).issuer,
	"tag":          (*fixture).tag,
	"label-key":    (*fixture).labelKey,
	"replica":      (*fixture).replica,
	"untag":        (*fixture).untag,
	"fill-labels":  (*fixture).fillLabels,
	"replica-of":   (*fixture).replicaOf,
	"copy-secret":  (*fixture).copySecret,
	"count-keys":   (*fixture).countKeys,

	"login-code":     (*fixture).loginCode,
	"current-value":  (*fixture).currentValue,
	"count-created":  (*fixture).countCreated,
	"has-tag":        (*fixture).hasTag,
	"lose-answers":   (*fixture).loseAnswers,
	"edit-before":    (*fixture).editBefore,
	"foreign-secret": (*fixture).foreignSecret,
	"equal":          (*fixture).equal,
	"version":        (*fixture).version,
	"plain-secret":   (*fixture).plainSecret,
	"binary-secret":  (*fixture).binarySecret,
	"secret-exists":  (*fixture).secretExists,
	"other-function": (*fixture).otherFunction,
	"key-file":       (*fixture).keyFile,
	"schedule":       (*fixture).schedule,
	"parameters":     (*fixture).parameters,
	"wait-rotation":  (*fixture).waitRotation,
	"other-stack":    (*fixture).otherStack,
	"encrypt":        (*fixture).encrypt,
}

// sandbox [tries=N] [timeout=DURATION] [NAME=VALUE...]: starts the sandbox and points the script's
// environment to it. A rotation is tried N times. The timeout is that of the rotate function: it
// ends a step that waits until the registry accepts a new key. The variables are those of the
// revoke function.
func (f *fixture) start(ts *testscript.TestScript, _ bool, args []string) {
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
	f.Scene, err = scene.Open(options)
	ts.Check(err)
	f.Hooks.Set(f.observe)
	for _, variable := range f.Exports() {
		if variable[0] != settings.EnvRegistryURL { // the commands must find the registry themselves
			ts.Setenv(variable[0], variable[1])
		}
	}
	ts.Setenv("REGISTRY", f.RegistryURL)
	ts.Setenv("ADDRESS", strings.TrimPrefix(f.RegistryURL, "http:"))
}

// secret NAME [blank|plain|bare]: creates a secret with its first key, with the tags and the
// rotation of a deployment. blank: it waits for its first key. plain: the value is only the key.
// bare: it has no tags and no rotation.
func (f *fixture) secret(ts *testscript.TestScript, _ bool, args []string) {
	name, kind := args[0], ""
	if len(args) > 1 {
		kind = args[1]
	}
	value, tags := "{}", []types.Tag{
		{Key: aws.String(settings.TagKeyName), Value: aws.String("pipeline-prod")},
		{Key: aws.String(settings.TagGrace), Value: aws.String("24h")},
		{Key: aws.String(settings.TagRegistry), Value: aws.String(f.RegistryURL)},
	}
	if kind != "blank" {
		made, err := f.MakeKey(context.Background(), "first-prod-2026q4")
		ts.Check(err)
		f.keep(name, made.Secret.Reveal())
		value = f.Value(made.Secret)
		if kind == "plain" {
			value = made.Secret.Reveal()
		}
	}
	if kind == "bare" {
		tags = nil
	}
	arn, err := f.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: &value, Tags: tags})
	ts.Check(err)
	if kind != "bare" {
		ts.Check(f.ConfigureRotation(context.Background(), arn))
	}
}

func (f *fixture) keep(name, secret string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[name] = secret
}

// advance DURATION: advances the sandbox's clock.
func (f *fixture) advance(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	f.Clock.Advance(d)
}

// current returns the key in the value of AWSCURRENT.
func (f *fixture) current(ts *testscript.TestScript, secret string) quiltregistry.APIKey {
	_, value, err := f.Current(secret)
	ts.Check(err)
	key, ok := f.Registry.KeyBySecret(value.Key().Reveal())
	if !ok {
		ts.Fatalf("the registry does not know the current key of %s", secret)
	}
	return key
}

// key VARIABLE SECRET: sets the variable to the id of the secret's current key.
func (f *fixture) key(ts *testscript.TestScript, _ bool, args []string) {
	key := f.current(ts, args[1])
	f.keep(key.ID, key.Secret)
	ts.Setenv(args[0], key.ID)
}

// logs-in ID...: each key logs in. ! logs-in ID...: none of them does.
func (f *fixture) logsIn(ts *testscript.TestScript, neg bool, args []string) {
	for _, id := range args {
		f.mu.Lock()
		secret, known := f.keys[id]
		f.mu.Unlock()
		if !known {
			ts.Fatalf("the script has not read the key %s", id)
		}
		if f.Registry.Valid(secret) == neg {
			ts.Fatalf("key %s: logs in is %t, want %t", id, neg, !neg)
		}
	}
}

// expire-key SECRET: the secret's current key expires now.
func (f *fixture) expireKey(ts *testscript.TestScript, _ bool, args []string) {
	f.Registry.Expire(f.current(ts, args[0]).ID)
}

// delete-key SECRET: deletes the secret's current key at the registry.
func (f *fixture) deleteKey(ts *testscript.TestScript, _ bool, args []string) {
	key := f.current(ts, args[0])
	f.keep(key.ID, key.Secret)
	f.Registry.Delete(key.ID)
}

// edit SECRET VALUE: stores another current value. KEY in it stands for the current key.
func (f *fixture) edit(ts *testscript.TestScript, _ bool, args []string) {
	value := f.withKey(ts, args[0], args[1])
	_, err := f.SecretsManager().PutSecretValue(context.Background(),
		&secretsmanager.PutSecretValueInput{SecretId: &args[0], SecretString: &value})
	ts.Check(err)
}

// stuck-rotation SECRET: AWSPENDING is on a version without a value, and the rotation does not
// continue.
func (f *fixture) stuckRotation(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.Secrets.StartPending(args[0], uuid.NewString())
	ts.Check(err)
}

// rotate SECRET [TOKEN]: rotates the secret without the command. The token becomes the version's
// id.
func (f *fixture) rotate(ts *testscript.TestScript, _ bool, args []string) {
	in := &secretsmanager.RotateSecretInput{SecretId: &args[0]}
	if len(args) > 1 {
		in.ClientRequestToken = &args[1]
	}
	_, err := f.SecretsManager().RotateSecret(context.Background(), in)
	ts.Check(err)
	ts.Check(f.Secrets.WaitRotation(context.Background(), args[0]))
}

// encrypt SECRET POLICY: encrypts the secret with a KMS key that has the policy.
func (f *fixture) encrypt(ts *testscript.TestScript, _ bool, args []string) {
	key := f.Keys.Put("1234", awskms.Key{Policy: args[1]})
	_, err := f.SecretsManager().UpdateSecret(context.Background(),
		&secretsmanager.UpdateSecretInput{SecretId: &args[0], KmsKeyId: &key})
	ts.Check(err)
}

// sweep SECRET: sweeps the secret without the command.
func (f *fixture) sweep(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.Sweep(context.Background(), args[0])
	ts.Check(err)
}

// registry SWITCH [VALUE]: changes how the registry behaves from now on.
func (f *fixture) switches(ts *testscript.TestScript, _ bool, args []string) {
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
		"revoked-keys-go-on":   func(s *quiltregistry.Switches) { s.RevokedKeyLogins = 1000 },
		"max-keys":             func(s *quiltregistry.Switches) { s.MaxKeysPerUser = atoi(ts, value) },
		"use-granularity":      func(s *quiltregistry.Switches) { s.UseGranularity = duration(ts, value) },
		"same-fingerprints-on": func(s *quiltregistry.Switches) { s.DuplicateFingerprints = true },
		"short-names":          func(s *quiltregistry.Switches) { s.NameLimit = atoi(ts, value) },
	}[args[0]]
	if !known {
		ts.Fatalf("unknown switch %s", args[0])
	}
	f.Registry.SetSwitches(set)
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
func (f *fixture) editAnswers(_ *testscript.TestScript, _ bool, args []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = []wire.Hook{sandboxtest.On(sandboxtest.EditAnswer(args[1], args[2]), args[0])}
}

// set-api-key [admin]: sets QUILT_API_KEY to a key of the ordinary user, or of the administrator,
// and OWN to the key's id.
func (f *fixture) setAPIKey(ts *testscript.TestScript, _ bool, args []string) {
	email := sandbox.UserEmail
	if len(args) > 0 {
		email = sandbox.AdminEmail
	}
	id, secret := f.Registry.MintKey(email, "by-hand-2026q4", settings.DefaultExpiresInDays)
	f.keep(id, secret)
	ts.Setenv("QUILT_API_KEY", secret)
	ts.Setenv("OWN", id)
}

// write FILE TEXT: writes a file for standard input. PASSWORD in the text stands for the user's
// password, KEY:ID for a key that the script has read, and HASH:ID for the key's SHA-256 in hex.
func (f *fixture) write(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.ReplaceAll(args[1], "PASSWORD", sandbox.UserPassword)
	f.mu.Lock()
	for id, secret := range f.keys {
		text = strings.ReplaceAll(text, "KEY:"+id, secret)
		text = strings.ReplaceAll(text, "HASH:"+id, fmt.Sprintf("%x", sha256.Sum256([]byte(secret))))
	}
	f.mu.Unlock()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text+"\n"), 0o600))
}

// issuer NAME user|admin|unlisted|others|broken: creates a secret with an issuing credential. user
// and admin: the password of that user, for prod/*. unlisted: the ordinary user's, without a list
// of secrets. others: the ordinary user's, for other secrets. broken: not a credential.
func (f *fixture) issuer(ts *testscript.TestScript, _ bool, args []string) {
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
	_, err := f.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
		SecretString: &value})
	ts.Check(err)
}

// schedule disabled: the schedule of the sweeps is disabled and otherwise unchanged. ! schedule
// disabled: it is enabled.
func (f *fixture) schedule(ts *testscript.TestScript, neg bool, _ []string) {
	members := f.Schedules.Members(scene.ScheduleName)
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
func (f *fixture) parameters(_ *testscript.TestScript, _ bool, args []string) {
	const name = "/quilt-rotate/sandbox/rotate-function-arn"
	f.Parameters.Delete(name)
	if len(args) > 0 {
		f.Parameters.Put(name, f.RotateARN)
	}
}

// other-stack FUNCTION [beside]: deletes the stack and deploys another one whose rotate function
// has the name. beside: both stacks exist.
func (f *fixture) otherStack(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 1 {
		f.Lambda.Remove(sandbox.RotateFunction)
		f.parameters(ts, false, nil)
	}
	arn, err := f.AddFunction(args[0], scene.In(folder).Rotate, scene.FunctionTimeout, nil, func(c *awslambda.Config) {
		c.Tags = map[string]string{settings.TagRevokeFunction: sandbox.RevokeFunction,
			settings.TagSchedule: scene.ScheduleName}
	})
	ts.Check(err)
	f.Parameters.Put("/quilt-rotate/"+args[0]+"/rotate-function-arn", arn)
}

// wait-rotation SECRET: waits until the secret's rotation has ended, and so have its retries by
// Secrets Manager.
func (f *fixture) waitRotation(_ *testscript.TestScript, _ bool, args []string) {
	_ = f.Secrets.WaitRotation(context.Background(), args[0]) // the error tells how the rotation ended
}

// tag SECRET NAME VALUE: sets the tag.
func (f *fixture) tag(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.SecretsManager().TagResource(context.Background(), &secretsmanager.TagResourceInput{
		SecretId: &args[0], Tags: []types.Tag{{Key: &args[1], Value: &args[2]}},
	})
	ts.Check(err)
}

// label-key SECRET ID: puts the label of the key with the id on the secret's current version.
func (f *fixture) labelKey(ts *testscript.TestScript, _ bool, args []string) {
	id, _, err := f.Current(args[0])
	ts.Check(err)
	_, err = f.SecretsManager().UpdateSecretVersionStage(context.Background(),
		&secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &args[0], VersionStage: aws.String("quilt-key:" + args[1]), MoveToVersionId: &id,
		})
	ts.Check(err)
}

// replica SECRET REGION STATUS: the secret has a replica in the region, with the status.
func (f *fixture) replica(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.SecretsManager().ReplicateSecretToRegions(context.Background(),
		&secretsmanager.ReplicateSecretToRegionsInput{
			SecretId: &args[0], AddReplicaRegions: []types.ReplicaRegionType{{Region: &args[1]}},
		})
	ts.Check(err)
	ts.Check(f.Secrets.SetReplicaStatus(args[0], args[1], args[2], ""))
}

// untag SECRET [TAG...]: removes the tags, or all tags.
func (f *fixture) untag(ts *testscript.TestScript, _ bool, args []string) {
	out, err := f.SecretsManager().DescribeSecret(context.Background(),
		&secretsmanager.DescribeSecretInput{SecretId: &args[0]})
	ts.Check(err)
	names := args[1:]
	for _, tag := range out.Tags {
		if len(args) == 1 {
			names = append(names, *tag.Key)
		}
	}
	_, err = f.SecretsManager().UntagResource(context.Background(),
		&secretsmanager.UntagResourceInput{SecretId: &args[0], TagKeys: names})
	ts.Check(err)
}

// fill-labels SECRET: puts labels on the secret's current version until the quota is reached.
func (f *fixture) fillLabels(ts *testscript.TestScript, _ bool, args []string) {
	version, _, err := f.Current(args[0])
	ts.Check(err)
	for n := 0; err == nil; n++ {
		label := fmt.Sprintf("team-%d", n)
		_, err = f.SecretsManager().UpdateSecretVersionStage(context.Background(),
			&secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &args[0], VersionStage: &label, MoveToVersionId: &version,
			})
	}
}

// replica-of SECRET REGION: the secret is a replica, and its primary is in the region.
func (f *fixture) replicaOf(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(f.Secrets.SetPrimaryRegion(args[0], args[1]))
}

// copy-secret SECRET OTHER: creates another managed secret with the same key.
func (f *fixture) copySecret(ts *testscript.TestScript, _ bool, args []string) {
	value := f.current(ts, args[0]).Secret
	_, err := f.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{
		Name: &args[1], SecretString: &value, Tags: []types.Tag{{Key: aws.String(settings.TagGrace),
			Value: aws.String("24h")}},
	})
	ts.Check(err)
}

// count-keys N [PREFIX]: the registry has N keys whose names begin with the prefix.
func (f *fixture) countKeys(ts *testscript.TestScript, _ bool, args []string) {
	prefix, n := "", 0
	if len(args) > 1 {
		prefix = args[1]
	}
	for _, k := range f.Registry.Keys() {
		if strings.HasPrefix(k.Name, prefix) {
			n++
			f.keep(k.ID, k.Secret)
		}
	}
	if n != atoi(ts, args[0]) {
		ts.Fatalf("got %d keys with the prefix %q, want %s", n, prefix, args[0])
	}
}

// refuse OPERATION STATUS CODE [MESSAGE]: AWS or the registry refuses the operation from now on. *
// stands for all operations of AWS. ! refuse: removes all faults.
func (f *fixture) refuse(ts *testscript.TestScript, neg bool, args []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
	if neg {
		return
	}
	message := "refused by the script"
	if len(args) > 3 {
		message = args[3]
	}
	answer := sandboxtest.AWSError(atoi(ts, args[1]), args[2], message)
	if args[0] == "*" && args[2] == "ExpiredTokenException" {
		f.faults = []wire.Hook{sandbox.ExpiredToken} // each service has its own error for it
		return
	}
	if args[0] == "*" {
		f.faults = []wire.Hook{func(c *wire.Call, next func()) {
			if c.Service == "registry" {
				next()
				return
			}
			answer(c, next)
		}}
		return
	}
	f.faults = []wire.Hook{sandboxtest.On(answer, args[0])}
}

// athena [no-table|no-output-location|stall]: starts Athena with the registry's audit trail, and
// points the script's environment to it. AUDIT is the name of its database.
func (f *fixture) athena(ts *testscript.TestScript, _ bool, args []string) {
	f.trail = awsathena.New(awsathena.Options{Clock: f.Clock, Trail: f.Registry})
	for _, arg := range args {
		f.trail.SetSwitches(func(s *awsathena.Switches) {
			s.NoTable, s.NoOutputLocation, s.Stall = s.NoTable || arg == "no-table", s.NoOutputLocation ||
				arg == "no-output-location", s.Stall || arg == "stall"
		})
	}
	f.ServeAthena(f.trail, awsathena.Operation)
	ts.Setenv("AUDIT", awsathena.DefaultDatabase)
	ts.Setenv("WORKGROUP", awsathena.DefaultWorkgroup)
}

// use-current SECRET: a consumer gets AWS credentials with the secret's current key. ! use-current
// SECRET: it sends half of the key, which the registry refuses.
func (f *fixture) useCurrent(ts *testscript.TestScript, neg bool, args []string) {
	key := f.current(ts, args[0]).Secret
	if neg {
		key = key[:len(key)/2]
	}
	request, err := http.NewRequest(http.MethodGet, f.RegistryURL+"/api/auth/get_credentials", nil)
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
func (f *fixture) waitQuery(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(5 * time.Minute); len(f.trail.Queries()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("no query runs")
		}
	}
}

// stall OPERATION: requests for the operation wait from now on, until release.
func (f *fixture) stall(ts *testscript.TestScript, _ bool, args []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = sandboxtest.NewGate(cleanup{ts})
	f.faults = []wire.Hook{sandboxtest.On(f.gate.Stall, args[0])}
}

// wait-stalled: waits until a request is stalled.
func (f *fixture) waitStalled(ts *testscript.TestScript, _ bool, _ []string) {
	select {
	case <-f.gate.Arrived:
	case <-time.After(5 * time.Minute):
		ts.Fatalf("no request is stalled")
	}
}

// wait-interrupted: waits until a command has received an interrupt and created the file NOTICED.
func (f *fixture) waitInterrupted(ts *testscript.TestScript, _ bool, _ []string) {
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
func (f *fixture) release(*testscript.TestScript, bool, []string) { f.gate.Open() }

// cleanup lets a gate register its cleanup with a script.
type cleanup struct{ *testscript.TestScript }

func (c cleanup) Helper()          {}
func (c cleanup) Cleanup(f func()) { c.Defer(f) }

// many-keys N: adds N keys of two users to the registry. Half of the names do not follow the
// convention.
func (f *fixture) manyKeys(ts *testscript.TestScript, _ bool, args []string) {
	for i := range atoi(ts, args[0]) {
		email, name := sandbox.UserEmail, fmt.Sprintf("job%d-prod-2026q3", i)
		if i%2 == 1 {
			email, name = sandbox.AdminEmail, fmt.Sprintf("test %d", i)
		}
		f.Registry.MintKey(email, name, 1+i%365)
	}
}

// admin-key VARIABLE: sets the variable to a key of the registry's administrator.
func (f *fixture) adminKey(ts *testscript.TestScript, _ bool, args []string) {
	_, secret := f.Registry.MintKey(sandbox.AdminEmail, "admin-audit-2026q4", 30)
	f.keep("administrator", secret)
	ts.Setenv(args[0], secret)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/config"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

// built is the folder of the built functions and of the built command.
var built string

func TestMain(m *testing.M) {
	hermetic.Clear()
	folder, err := os.MkdirTemp("", "acceptance-")
	if err != nil {
		panic(err)
	}
	built = folder
	status := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func root(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	return folder
}

// build builds the functions and the command once, as the sandbox runs them.
var build = sync.OnceValue(func() error {
	for _, program := range []string{"functions/rotate", "functions/revoke", "cmd/quilt-rotate"} {
		out := filepath.Join(built, filepath.Base(program))
		if strings.HasPrefix(program, "functions") {
			out = filepath.Join(out, bundle.Program)
		}
		command := exec.Command("go", "build", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags=-s -w -buildid=",
			"-o", out, "./"+program)
		if strings.HasPrefix(program, "cmd") {
			command = exec.Command("go", "build", "-buildvcs=false", "-o", out, "./"+program)
		}
		command.Dir, command.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", program, err, output)
		}
	}
	return nil
})

// A world is a sandbox with the two built functions, and a life in it: as if it were deployed.
type world struct {
	*life
	t   *testing.T
	box *sandbox.Sandbox

	iam      atomic.Pointer[evaluation]
	mishap   atomic.Pointer[wire.Hook]
	deployed atomic.Pointer[string] // the stack that exists; nil: none
}

// ServeHTTP has what the removal uses of CloudFormation, which the sandbox does not have.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	name := w.deployed.Load()
	switch action := r.FormValue("Action"); {
	case name == nil || r.FormValue("StackName") != *name:
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(rw, "<ErrorResponse><Error><Code>ValidationError</Code></Error></ErrorResponse>")
	case action == "DeleteStack":
		w.deployed.Store(nil)
		_, _ = io.WriteString(rw, "<DeleteStackResponse/>")
	default:
		_, _ = fmt.Fprintf(rw, "<%[1]sResponse><%[1]sResult><Stacks><member><StackName>%[2]s</StackName>"+
			"<StackStatus>CREATE_COMPLETE</StackStatus></member></Stacks></%[1]sResult></%[1]sResponse>", action, *name)
	}
}

// apps name the callers: the SDK adds the id of an application to its user agent. The test itself
// has none.
const commandApp = "command"

func newWorld(t *testing.T, o sandbox.Options) *world {
	t.Helper()
	must(t, build())
	box, err := sandbox.Start(o)
	must(t, err)
	t.Cleanup(func() { _ = box.Close() })
	w := &world{t: t, box: box}
	box.Hooks.Set(w.hook)
	endpoint := aws.Config{Region: sandbox.Region, BaseEndpoint: &box.AWSURL,
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKeyID, sandbox.SecretAccessKey, "")}
	registry, err := quilt.NewClient(box.RegistryURL, quilt.Options{})
	must(t, err)
	file, err := config.Parse("config.yaml", []byte("stack: of-the-user\nregistry: "+box.RegistryURL+"\n"),
		config.AWS{Account: sandbox.Account, Region: sandbox.Region})
	must(t, err)
	w.life = &life{throwaway: &throwaway{name: prefix + "0a1b2c3d", config: file, cloud: newCloud(endpoint)},
		registry: registry, patience: 2 * time.Second, wait: 2 * time.Second, out: io.Discard,
		began: time.Now().Add(-time.Second)}
	w.run = &runner{root: root(t), command: filepath.Join(built, "quilt-rotate"), out: io.Discard, in: w.login(),
		environment: []string{"AWS_SDK_UA_APP_ID=" + commandApp}}
	for _, export := range box.Exports() {
		if export[0] != settings.EnvRegistryURL {
			w.run.environment = append(w.run.environment, export[0]+"="+export[1])
		}
	}
	w.deployed.Store(&w.name)
	stacks := httptest.NewServer(w)
	t.Cleanup(stacks.Close)
	w.cloud.stacks = cloudformation.NewFromConfig(endpoint,
		func(o *cloudformation.Options) { o.BaseEndpoint = &stacks.URL })
	w.rotate, w.revoke = w.deployFunction("rotate"), w.deployFunction("revoke")
	name, value := w.service(), "{}"
	_, err = w.cloud.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name,
		SecretString: &value})
	must(t, err)
	return w
}

func (w *world) deployFunction(name string) lambdaFunction {
	w.t.Helper()
	tags := func(c *awslambda.Config) {
		c.Tags = map[string]string{"quilt-rotate:revoke-function": "revoke", settings.TagSchedule: "sweeps"}
	}
	arn, err := w.box.AddFunction(name, filepath.Join(built, name, bundle.Program), 4*time.Second,
		map[string]string{"AWS_SDK_UA_APP_ID": name}, tags)
	must(w.t, err)
	return lambdaFunction{name, arn, "arn:aws:iam::" + sandbox.Account + ":role/" + name, "/aws/lambda/" + name}
}

// turnOn starts the rotation's test run, as the deployment does.
func (w *world) turnOn() {
	w.t.Helper()
	_, err := w.cloud.secrets.RotateSecret(w.t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: aws.String(w.service()), RotationLambdaARN: &w.rotate.arn, RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")}})
	must(w.t, err)
}

// login is a file with a key to log in with, in the place of the terminal.
func (w *world) login() *os.File {
	w.t.Helper()
	_, key := w.box.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	path := filepath.Join(w.t.TempDir(), "login")
	must(w.t, os.WriteFile(path, []byte(key+"\n"), 0o600))
	file, err := os.Open(path)
	must(w.t, err)
	w.t.Cleanup(func() { _ = file.Close() })
	return file
}

// through goes through the parts with these names, in the order of the table. A part may fail: the
// different answers make some fail.
func (w *world) through(names ...string) *report {
	w.t.Helper()
	r := &report{}
	var chosen []part
	for _, p := range parts {
		for _, name := range names {
			if p.name == name {
				p.stops = false
				chosen = append(chosen, p)
			}
		}
	}
	if len(chosen) != len(names) {
		w.t.Fatalf("%d of the parts %q exist", len(chosen), names)
	}
	must(w.t, w.live(w.t.Context(), chosen, r))
	r.judge(&w.seen)
	return r
}

func (r *report) of(name string) finding {
	for _, c := range r.Checks {
		if c.Name == name {
			return finding{c.Answer, c.Seen}
		}
	}
	return finding{}
}

var appID = regexp.MustCompile(`\bapp/([a-z]+)`)

// caller is "rotate", "revoke", "command" or "", which is the program itself.
func caller(c *wire.Call) string {
	if app := appID.FindStringSubmatch(c.Request.Header.Get("User-Agent")); app != nil {
		return app[1]
	}
	return ""
}

func (w *world) hook(c *wire.Call, next func()) {
	if iam := w.iam.Load(); iam != nil && iam.refuses(w, c) {
		c.Respond(400, `{"__type":"AccessDeniedException","Message":"not authorized"}`,
			"Content-Type", "application/x-amz-json-1.1")
		return
	}
	if mishap := w.mishap.Load(); mishap != nil {
		(*mishap)(c, next)
		return
	}
	next()
}

// meanwhile changes requests and answers from now on.
func (w *world) meanwhile(hook wire.Hook) { w.mishap.Store(&hook) }

// An evaluation is what the sandbox lacks of IAM: it refuses a function what the policy of a secret
// denies, and what its role does not allow.
type evaluation struct {
	strangerAllowed bool // the condition AllowRotationLambdaArn is not compared
	stageIgnored    bool // the condition VersionStage is not compared
	refuseAlso      func(c *wire.Call) bool
}

func (e *evaluation) refuses(w *world, c *wire.Call) bool {
	who := caller(c)
	if c.Service != "secretsmanager" || who != "rotate" && who != "revoke" {
		return false
	}
	var in struct{ SecretId, VersionStage string } //nolint:revive,staticcheck // the wire's names
	if json.Unmarshal(c.Body, &in) != nil {
		return false
	}
	if e.refuseAlso != nil && e.refuseAlso(c) {
		return true
	}
	if strings.Contains(in.SecretId, w.stranger()) {
		return !e.strangerAllowed
	}
	got, err := w.cloud.secrets.GetResourcePolicy(context.Background(),
		&secretsmanager.GetResourcePolicyInput{SecretId: aws.String(w.service())})
	if err != nil || got.ResourcePolicy == nil || !strings.Contains(in.SecretId, w.service()) {
		return false
	}
	var policy struct{ Statement []statement }
	if json.Unmarshal([]byte(*got.ResourcePolicy), &policy) != nil {
		return false
	}
	for _, s := range policy.Statement {
		stage := s.Condition["ForAnyValue:StringEquals"]["secretsmanager:VersionStage"]
		if s.Action == "secretsmanager:"+c.Operation && strings.HasSuffix(s.Principal["AWS"], "/"+who) &&
			(stage == "" || stage == in.VersionStage || e.stageIgnored) {
			return true
		}
	}
	return false
}

// edit changes the answers to an operation on their way to these callers.
func edit(operation, old, new string, callers ...string) wire.Hook {
	return func(c *wire.Call, next func()) {
		next()
		for _, who := range callers {
			if c.Operation == operation && caller(c) == who {
				c.Answer = bytes.ReplaceAll(c.Answer, []byte(old), []byte(new))
			}
		}
	}
}

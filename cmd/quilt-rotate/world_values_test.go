package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/rogpeppe/go-internal/testscript"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// Commands of scripts that put keys into values, and look at what is there then.

var keyInText = regexp.MustCompile(`\bKEY\b`) // not the end of QUILT_API_KEY

func (w *world) withKey(ts *testscript.TestScript, secret, text string) string {
	if !keyInText.MatchString(text) {
		return text
	}
	return keyInText.ReplaceAllLiteralString(text, w.current(ts, secret).Secret)
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

// holds SECRET VALUE: the current value is that one, to the byte. KEY in it stands for the key that
// is there.
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

// tagged SECRET NAME VALUE: the secret has that tag. ! tagged SECRET NAME: it has no such tag.
func (w *world) tagged(ts *testscript.TestScript, neg bool, args []string) {
	out, err := w.SecretsManager().DescribeSecret(context.Background(),
		&secretsmanager.DescribeSecretInput{SecretId: &args[0]})
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

// lose OPERATION [N]: the answers to the next N requests for the operation are lost, though it is
// carried out; one where no number is given.
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

// meanwhile OPERATION SECRET VALUE: right before the next request for the operation, somebody
// writes that value, past everything.
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
		SecretId: &args[0], RotationLambdaARN: aws.String(sandboxtest.FunctionARN("others")),
		RotateImmediately: aws.Bool(false),
		RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	ts.Check(err)
}

// function NAME URL: a rotate function of another stack, for another registry.
func (w *world) function(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.Lambda.Add(awslambda.Config{
		Name: args[0], Handler: nothing{}, Environment: map[string]string{settings.EnvRegistryURL: args[1]},
		Tags: map[string]string{settings.TagRevokeFunction: "revoke"},
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
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
		SecretString: &args[1]})
	ts.Check(err)
}

// exists SECRET: the secret exists. ! exists SECRET: it does not.
func (w *world) exists(ts *testscript.TestScript, neg bool, args []string) {
	if _, err := w.Secrets.Snapshot(args[0]); (err == nil) == neg {
		ts.Fatalf("the secret %s: %v", args[0], err)
	}
}

// binary NAME: a secret whose value is bytes.
func (w *world) binary(ts *testscript.TestScript, _ bool, args []string) {
	_, err := w.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
		SecretBinary: []byte{1, 2, 3}})
	ts.Check(err)
}

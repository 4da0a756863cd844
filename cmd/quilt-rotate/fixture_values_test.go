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

var keyInText = regexp.MustCompile(`\bKEY\b`) // but not QUILT_API_KEY

// withKey returns the text with the secret's current key in place of KEY.
func (f *fixture) withKey(ts *testscript.TestScript, secret, text string) string {
	if !keyInText.MatchString(text) {
		return text
	}
	return keyInText.ReplaceAllLiteralString(text, f.current(ts, secret).Secret)
}

// login-code FILE [USER]: writes the code that the registry's login page shows the user to the
// file.
func (f *fixture) loginCode(ts *testscript.TestScript, _ bool, args []string) {
	address := f.RegistryURL + "/login"
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

// key-file FILE SECRET: writes the secret's current key to the file.
func (f *fixture) keyFile(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(" "+f.current(ts, args[1]).Secret+" \n"), 0o600))
}

// current-value SECRET VALUE: the current value is exactly that one. KEY in it stands for the
// current key.
func (f *fixture) currentValue(ts *testscript.TestScript, _ bool, args []string) {
	want := f.withKey(ts, args[0], args[1])
	shot, err := f.Secrets.Snapshot(args[0])
	ts.Check(err)
	if current, _ := shot.Holder(vault.Current); current.Value != want {
		ts.Fatalf("the current value of %s differs", args[0])
	}
}

// count-created SECRET N: the registry has N keys with the mark of the secret.
func (f *fixture) countCreated(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := f.Secrets.Snapshot(args[0])
	ts.Check(err)
	n := 0
	for _, k := range f.Registry.Keys() {
		if mark, ours := apikey.MarkOf(k.Name); ours && mark == apikey.SecretMark(shot.ARN) {
			n++
		}
	}
	if n != atoi(ts, args[1]) {
		ts.Fatalf("the registry has %d keys with the mark of %s, want %s", n, args[0], args[1])
	}
}

// has-tag SECRET NAME VALUE: the secret has the tag. ! has-tag SECRET NAME: it does not have the
// tag.
func (f *fixture) hasTag(ts *testscript.TestScript, neg bool, args []string) {
	out, err := f.SecretsManager().DescribeSecret(context.Background(),
		&secretsmanager.DescribeSecretInput{SecretId: &args[0]})
	ts.Check(err)
	have, there := "", false
	for _, tag := range out.Tags {
		if aws.ToString(tag.Key) == args[1] {
			have, there = aws.ToString(tag.Value), true
		}
	}
	if there == neg || !neg && have != args[2] {
		ts.Fatalf("tag %s of %s: got %q, want %q", args[1], args[0], have, args[2:])
	}
}

// lose-answers OPERATION [N]: the next N requests for the operation are carried out, but their
// answers are lost. The default is 1.
func (f *fixture) loseAnswers(ts *testscript.TestScript, _ bool, args []string) {
	left := 1
	if len(args) > 1 {
		left = atoi(ts, args[1])
	}
	f.addFault(sandboxtest.On(func(c *wire.Call, next func()) {
		next()
		f.mu.Lock()
		defer f.mu.Unlock()
		if left > 0 {
			left--
			c.Cut()
		}
	}, args[0]))
}

// edit-before OPERATION SECRET VALUE: somebody stores the value right before the next request for
// the operation.
func (f *fixture) editBefore(ts *testscript.TestScript, _ bool, args []string) {
	var once sync.Once
	f.addFault(sandboxtest.On(func(_ *wire.Call, next func()) {
		once.Do(func() { f.edit(ts, false, args[1:]) })
		next()
	}, args[0]))
}

func (f *fixture) addFault(fault wire.Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(slices.Clone(f.faults), fault)
}

// foreign-secret NAME: creates a secret that another program's function rotates.
func (f *fixture) foreignSecret(ts *testscript.TestScript, _ bool, args []string) {
	f.secret(ts, false, []string{args[0], "bare"})
	_, err := f.Lambda.Add(awslambda.Config{Name: "others", Handler: nothing{}})
	ts.Check(err)
	_, err = f.SecretsManager().RotateSecret(context.Background(), &secretsmanager.RotateSecretInput{
		SecretId: &args[0], RotationLambdaARN: aws.String(sandboxtest.FunctionARN("others")),
		RotateImmediately: aws.Bool(false),
		RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	ts.Check(err)
}

// other-function NAME URL: adds a rotate function of another stack, for another registry.
func (f *fixture) otherFunction(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.Lambda.Add(awslambda.Config{
		Name: args[0], Handler: nothing{}, Environment: map[string]string{settings.EnvRegistryURL: args[1]},
		Tags: map[string]string{settings.TagRevokeFunction: "revoke"},
	})
	ts.Check(err)
}

// nothing is a Lambda function that does nothing.
type nothing struct{}

func (nothing) Invoke(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

// equal A B: the texts are equal. ! equal A B: they differ.
func (f *fixture) equal(ts *testscript.TestScript, neg bool, args []string) {
	if (args[0] == args[1]) == neg {
		ts.Fatalf("%s and %s: equal is %t, want %t", args[0], args[1], neg, !neg)
	}
}

// version VARIABLE SECRET LABEL: sets the variable to the id of the version with the label.
func (f *fixture) version(ts *testscript.TestScript, _ bool, args []string) {
	shot, err := f.Secrets.Snapshot(args[1])
	ts.Check(err)
	v, ok := shot.Holder(args[2])
	if !ok {
		ts.Fatalf("no version of %s has the label %s", args[1], args[2])
	}
	ts.Setenv(args[0], v.ID)
}

// plain-secret NAME VALUE: creates a secret with only that value.
func (f *fixture) plainSecret(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
		SecretString: &args[1]})
	ts.Check(err)
}

// secret-exists SECRET: the secret exists. ! secret-exists SECRET: it does not.
func (f *fixture) secretExists(ts *testscript.TestScript, neg bool, args []string) {
	if _, err := f.Secrets.Snapshot(args[0]); (err == nil) == neg {
		ts.Fatalf("secret %s: exists is %t, want %t", args[0], neg, !neg)
	}
}

// binary-secret NAME: creates a secret with a binary value.
func (f *fixture) binarySecret(ts *testscript.TestScript, _ bool, args []string) {
	_, err := f.CreateSecret(context.Background(), &secretsmanager.CreateSecretInput{Name: &args[0],
		SecretBinary: []byte{1, 2, 3}})
	ts.Check(err)
}

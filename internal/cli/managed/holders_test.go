package managed_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

// rig is a sandbox with functions that do nothing, and a client of its AWS.
type rig struct {
	*testing.T
	*sandbox.Sandbox
	hands *secretsmanager.Client
	cloud *awsclient.Cloud
}

func newRig(t *testing.T) rig {
	t.Helper()
	box, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	for name, tags := range map[string]map[string]string{
		sandbox.RotateFunction: {settings.TagRevokeFunction: sandbox.RevokeFunction}, "others": {}} {
		if _, err := box.Lambda.Add(awslambda.Config{Name: name, Handler: nothing{}, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	return rig{t, box, box.SecretsManager(), awsclient.New(aws.Config{
		Region: sandbox.Region, BaseEndpoint: &box.AWSURL, RetryMaxAttempts: 8,
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKeyID, sandbox.SecretAccessKey, ""),
	})}
}

// secret creates a secret with a value, tags as pairs of name and value, and a rotation function.
// An empty function means none.
func (p rig) secret(name, value, function string, tags ...string) (arn string) {
	p.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}
	for i := 0; i < len(tags); i += 2 {
		in.Tags = append(in.Tags, types.Tag{Key: &tags[i], Value: &tags[i+1]})
	}
	arn, err := p.CreateSecret(p.Context(), in)
	if err == nil && function != "" {
		_, err = p.hands.RotateSecret(p.Context(), &secretsmanager.RotateSecretInput{
			SecretId: &name, RotationLambdaARN: aws.String(sandboxtest.FunctionARN(function)),
			RotateImmediately: aws.Bool(false),
			RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
		})
	}
	if err != nil {
		p.Fatal(err)
	}
	// Wait until the test of the configuration has ended, because a scan would find its pending
	// version.
	_ = p.Secrets.WaitRotation(p.Context(), name)
	return arn
}

func (p rig) label(name, label string) {
	p.Helper()
	shot, err := p.Secrets.Snapshot(name)
	if err != nil {
		p.Fatal(err)
	}
	current, _ := shot.Holder("AWSCURRENT")
	_, err = p.hands.UpdateSecretVersionStage(p.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &name, VersionStage: &label, MoveToVersionId: &current.ID})
	if err != nil {
		p.Fatal(err)
	}
}

func (p rig) scan() *managed.Holders {
	p.Helper()
	h, err := managed.Scan(p.Context(), p.cloud, nil)
	if err != nil {
		p.Fatal(err)
	}
	return h
}

// newKey creates a key at the registry.
func (p rig) newKey(name string) (quilt.APIKey, apikey.Key) {
	p.Helper()
	id, text := p.Registry.MintKey(sandbox.UserEmail, name, 90)
	key, err := apikey.Parse(text)
	if err != nil {
		p.Fatal(err)
	}
	return quilt.APIKey{ID: id, Name: name, Fingerprint: key.Fingerprint()}, key
}

func TestManagedSecretsAreListed(t *testing.T) {
	// A tag, a label or our function makes a secret managed, even if rotation is off or the secret
	// is marked for deletion. The values of other secrets must not be read.
	t.Parallel()
	p := newRig(t)
	p.secret("our/function", "{}", sandbox.RotateFunction)
	p.secret("our/tag", "{}", "", settings.TagGrace, "24h")
	p.secret("our/label", "{}", "")
	p.label("our/label", "quilt-key:1")
	p.secret("our/off", "{}", sandbox.RotateFunction)
	_, err := p.hands.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{
		SecretId: aws.String("our/off")})
	if err != nil {
		t.Fatal(err)
	}
	p.secret("our/deleted", "{}", sandbox.RotateFunction)
	p.secret("their/function", "{}", "others")
	p.secret("their/plain", "{}", "", "quilt-rotated", "yes", "team", "quilt-rotate:")
	p.label("their/plain", "quilted")
	if _, err := p.hands.DeleteSecret(t.Context(),
		&secretsmanager.DeleteSecretInput{SecretId: aws.String("our/deleted")}); err != nil {
		t.Fatal(err)
	}
	list, err := managed.ListSecrets(t.Context(), p.cloud)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list.Secrets {
		names = append(names, s.Name)
	}
	if want := []string{"our/deleted", "our/function", "our/label", "our/off", "our/tag"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if list.Total != 7 || list.Place.String() != "account "+sandbox.Account+" (sandbox), region "+sandbox.Region {
		t.Errorf("got %d secrets in %s, want 7 in the sandbox", list.Total, list.Place)
	}
}

func TestASecretWithAFunctionThatCannotBeReadMayHoldAnyKey(t *testing.T) {
	// The function may be ours.
	t.Parallel()
	p := newRig(t)
	p.secret("prod/x", "{}", sandbox.RotateFunction)
	p.Hooks.Set(sandboxtest.On(sandboxtest.AWSError(http.StatusForbidden, "AccessDeniedException", "no"),
		"GetFunction"))
	if h := p.scan(); len(h.Unread) != 1 || h.Unread[0].Secret != "prod/x" {
		t.Errorf("got the unread secrets %v, want prod/x", h.Unread)
	}
}

func TestAKeyIsFoundAnywhereInAValue(t *testing.T) {
	// A secret may hold the key outside its configured field, or in a value that cannot be parsed.
	t.Parallel()
	for name, value := range map[string]string{
		"another field": `{"TOKEN": "qk_another0123456789abcdef", "OTHER": "KEY"}`,
		"a URL":         `{"URL": "https://h/?k=KEY&x=1"}`, "no JSON": "export TOKEN=KEY;",
		"escaped": `{"N": "{\"k\": \"KEY\"}"}`,
	} {
		p := newRig(t)
		row, key := p.newKey("by-hand")
		arn := p.secret("prod/x", strings.ReplaceAll(value, "KEY", key.Reveal()), sandbox.RotateFunction,
			settings.TagField, "TOKEN")
		for found, holders := range map[string][]managed.Holder{"by its text": p.scan().OfKey(key),
			"by its fingerprint": p.scan().Of(row)} {
			if len(holders) != 1 || holders[0].ARN != arn || holders[0].Stage != "AWSCURRENT" {
				t.Errorf("%s: found %s: got %v, want the current version of prod/x", name, found, holders)
			}
		}
		if others := p.scan().Without(arn); len(others.OfKey(key)) > 0 {
			t.Errorf("%s: Without did not remove the secret", name)
		}
	}
}

func TestAVersionWithAnyLabelHoldsItsKey(t *testing.T) {
	// Consumers may read a version that has only AWSPREVIOUS.
	t.Parallel()
	p := newRig(t)
	row, key := p.newKey("by-hand")
	p.secret("prod/x", key.Reveal(), sandbox.RotateFunction)
	_, err := p.hands.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("prod/x"),
		SecretString: aws.String("qk_another0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	if holders := p.scan().OfKey(key); len(holders) != 1 || holders[0].Stage != "" {
		t.Errorf("found by its text: got %v, want one version", holders)
	}
	if p.scan().Secret(row) != "prod/x" {
		t.Error("the key was not found by its fingerprint")
	}
}

func TestADeletedSecretHoldsItsKeys(t *testing.T) {
	// The secret can be restored. Its labels and the names of the keys show which keys it holds.
	t.Parallel()
	p := newRig(t)
	labelled, key := p.newKey("by-hand")
	arn := p.secret("prod/x", key.Reveal(), sandbox.RotateFunction)
	p.label("prod/x", "quilt-key:"+labelled.ID)
	named, _ := p.newKey(apikey.Name("x", p.Clock.Now(), arn))
	if _, err := p.hands.DeleteSecret(t.Context(),
		&secretsmanager.DeleteSecretInput{SecretId: aws.String("prod/x")}); err != nil {
		t.Fatal(err)
	}
	h := p.scan()
	for _, row := range []quilt.APIKey{labelled, named} {
		if holders := h.Of(row); len(holders) == 0 || !holders[0].Deleted {
			t.Errorf("the key %s: got the holders %v, want a deleted secret", row.Name, holders)
		}
	}
	if len(h.Unread) > 0 {
		t.Errorf("got the unread secrets %v", h.Unread)
	}
}

func TestAnUnreadableSecretMayHoldAnyKey(t *testing.T) {
	// The value may be binary, or the credentials may not read it.
	t.Parallel()
	p := newRig(t)
	p.secret("prod/hidden", "{}", sandbox.RotateFunction)
	p.secret("prod/open", "{}", sandbox.RotateFunction)
	_, err := p.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("prod/binary"), SecretBinary: []byte{1}, Tags: []types.Tag{{Key: aws.String(settings.TagGrace),
			Value: aws.String("24h")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Hooks.Set(sandboxtest.On(func(c *wire.Call, next func()) {
		if strings.Contains(string(c.Body), "prod/hidden") {
			sandboxtest.AWSError(http.StatusBadRequest, "AccessDeniedException", "no")(c, next)
			return
		}
		next()
	}, "GetSecretValue"))
	h := p.scan()
	if len(h.Unread) != 2 || h.Unread[0].Secret != "prod/binary" || h.Unread[1].Secret != "prod/hidden" {
		t.Errorf("got the unread secrets %v", h.Unread)
	}
	if !strings.HasSuffix(h.Scope(), ": 1 of 3 managed secrets read") {
		t.Errorf("got the scope %q, want 1 of 3 secrets read", h.Scope())
	}
}

func TestAKeyWithTheMarkOfASecretElsewhere(t *testing.T) {
	// A secret of another account or region may hold a key with such a name.
	t.Parallel()
	p := newRig(t)
	arn := p.secret("prod/x", "{}", sandbox.RotateFunction)
	h := p.scan()
	for name, want := range map[string]bool{
		apikey.Name("x", p.Clock.Now(), arn): false, apikey.Name("x", p.Clock.Now(), arn+"?"): true, "by-hand": false,
	} {
		if h.Elsewhere(name) != want {
			t.Errorf("%s: elsewhere is %t, want %t", name, !want, want)
		}
	}
}

// rigWithSecrets returns a rig with n managed secrets.
func rigWithSecrets(t *testing.T, n int) rig {
	p := newRig(t)
	for i := range n {
		p.secret(fmt.Sprintf("prod/%04d", i), "{}", "", settings.TagGrace, "24h")
	}
	return p
}

func TestAThousandSecretsAreReadConcurrently(t *testing.T) {
	// A sequential scan of 1,000 secrets takes minutes. The requests wait for each other here, so
	// the scan ends only if the maximum number of them run at the same time.
	t.Parallel()
	const secrets, together = 1000, 12
	p := rigWithSecrets(t, secrets)
	var mu sync.Mutex
	running, most, calls := 0, 0, 0
	full := make(chan struct{})
	p.Hooks.Set(sandboxtest.On(func(_ *wire.Call, next func()) {
		mu.Lock()
		calls++
		running++
		if most = max(most, running); running == together && calls <= secrets {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full // wait until the maximum number of requests run at the same time
		next()
		mu.Lock()
		running--
		mu.Unlock()
	}, "DescribeSecret", "GetSecretValue"))
	var last atomic.Int64
	h, err := managed.Scan(t.Context(), p.cloud, func(done, total int) {
		if total == secrets && int64(done) > last.Load() {
			last.Store(int64(done))
		}
	})
	if err != nil || len(h.Unread) > 0 {
		t.Fatal(err, h.Unread)
	}
	if most != together || calls != 2*secrets || last.Load() == 0 {
		t.Errorf("got %d requests at the same time, %d in total and progress up to %d; want %d and %d",
			most, calls, last.Load(), together, 2*secrets)
	}
}

func TestRefreshReadsOnlyHoldersAndChangedSecrets(t *testing.T) {
	// A second scan must be fast. It reads only the secrets that hold the key, could not be read,
	// or have changed.
	t.Parallel()
	p := rigWithSecrets(t, 20)
	_, key := p.newKey("by-hand")
	p.secret("prod/holder", key.Reveal(), "", settings.TagGrace, "24h")
	h := p.scan()
	put := func(name string) {
		if _, err := p.hands.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name,
			SecretString: aws.String(key.Reveal())}); err != nil {
			t.Fatal(err)
		}
	}
	put("prod/0007")
	var mu sync.Mutex
	var described []string
	p.Hooks.Set(sandboxtest.On(func(c *wire.Call, next func()) {
		mu.Lock()
		described = append(described, string(c.Body))
		mu.Unlock()
		next()
	}, "DescribeSecret"))
	again, err := h.Refresh(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if holders := again.OfKey(key); len(holders) != 2 {
		t.Errorf("got the holders %v, want 2", holders)
	}
	if len(described) != 2 {
		t.Errorf("got the requests %q, want 2", described)
	}
}

func TestAThrottledReadIsRetried(t *testing.T) {
	t.Parallel()
	p := rigWithSecrets(t, 3)
	p.Hooks.Set(sandboxtest.On(sandboxtest.Nth(1, sandboxtest.AWSError(http.StatusBadRequest, "ThrottlingException",
		"slow down")), "GetSecretValue"))
	if h := p.scan(); len(h.Unread) > 0 {
		t.Errorf("got the unread secrets %v", h.Unread)
	}
}

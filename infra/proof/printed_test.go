package proof_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
)

func TestTheCommandsInTheOutputsWork(t *testing.T) {
	// Users copy these commands. They store a first key, and write all tags of a new secret to an
	// adopted secret.
	t.Parallel()
	box, err := sandbox.Start(sandbox.Options{})
	must(t, err)
	t.Cleanup(func() { _ = box.Close() })
	_, key := box.Registry.MintKey(sandbox.UserEmail, "by hand", 90)
	credential, _ := json.Marshal(map[string]string{"api_key": key})
	made := everything(t)
	create := func(name, value string, tags map[string]string) {
		in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}
		for tag, text := range tags {
			in.Tags = append(in.Tags, types.Tag{Key: &tag, Value: &text})
		}
		_, err := box.CreateSecret(context.Background(), in)
		must(t, err)
	}
	create("prod/issuer", string(credential), nil)
	own := func() string { // a key that no other secret holds, or adopt refuses it
		_, secret := box.Registry.MintKey(sandbox.UserEmail, "of a secret", 90)
		return secret
	}
	create("prod/little", sandboxtest.ValueWith(own()), nil)
	create("prod/reports", fmt.Sprintf(`{"key of reports": %q, "QUILT_API_KEY": "another's"}`, own()), nil)
	var environment []string
	for _, export := range box.Exports() {
		if export[0] != settings.EnvRegistryURL { // the lines name it
			environment = append(environment, export[0]+"="+export[1])
		}
	}
	environment = append(environment, "PATH="+theCommand(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	for i := range made.Keys {
		k := &made.Keys[i]
		if k.Secret == "" {
			create(k.Name, "{}", k.SettingTags())
		}
		line, _ := made.Outputs[config.KeyID(k.SecretName())+"Next"].Value.(string)
		if line == "" {
			t.Fatalf("nothing is printed for %s", k.SecretName())
		}
		if k.Secret != "" {
			line += " --yes"
		}
		line = strings.ReplaceAll(line, registry, box.RegistryURL)
		carryOut(t, line, key, environment)
		in := &secretsmanager.DescribeSecretInput{SecretId: aws.String(k.SecretName())}
		described, err := box.SecretsManager().DescribeSecret(context.Background(), in)
		must(t, err)
		tags := map[string]string{}
		for _, tag := range described.Tags {
			tags[*tag.Key] = *tag.Value
		}
		want := k.SettingTags()
		want[settings.TagRegistry] = box.RegistryURL
		if k.Secret != "" {
			want[settings.TagOwner] = sandbox.UserEmail // an adoption finds it
		}
		if !maps.Equal(tags, want) {
			t.Errorf("after %q the tags are %v, want %v", line, tags, want)
		}
	}
	value, err := box.SecretsManager().GetSecretValue(context.Background(),
		&secretsmanager.GetSecretValueInput{SecretId: aws.String("prod/plain")})
	must(t, err)
	if !strings.HasPrefix(*value.SecretString, "qk_") || !box.Registry.Valid(*value.SecretString) {
		t.Error("the plain value is not a key that can log in")
	}
}

// carryOut runs a line in a shell with the built command. The key on standard input is for the
// login.
func carryOut(t *testing.T, line, key string, environment []string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-c", line)
	command.Stdin = strings.NewReader(key + "\n")
	command.Env = append(hermetic.Environ(), environment...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, output)
	}
}

// theCommand builds quilt-rotate and returns its folder.
func theCommand(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "quilt-rotate"),
		"./cmd/quilt-rotate")
	build.Dir, build.Env = root(t), append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, output)
	}
	return folder
}

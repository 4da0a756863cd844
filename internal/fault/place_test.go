package fault_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/rotation"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

func TestBothFunctionsRefuseASecretThatIsServedElsewhere(t *testing.T) {
	// In a replica region, or in the stack of another registry, no key may be created, revoked or
	// sent to a registry. Every step and every sweep refuses before it sends a request to the
	// registry, and changes nothing.
	for _, c := range []struct {
		name    string
		prepare func(*sandboxtest.Secret)
		fault   string
		says    string
	}{
		{"a replica", func(s *sandboxtest.Secret) { _ = s.Secrets.SetPrimaryRegion(s.ARN, "eu-west-1") }, "Replica",
			"eu-west-1"},
		{"the tag names another registry",
			func(s *sandboxtest.Secret) { s.Tag(settings.TagRegistry, "https://staging.example.com") }, "WrongRegistry",
			"https://staging.example.com"},
		{"the tag names another port",
			func(s *sandboxtest.Secret) { s.Tag(settings.TagRegistry, "http://127.0.0.1:1") }, "WrongRegistry",
			"http://127.0.0.1:1"},
		{"the tag names no registry", func(s *sandboxtest.Secret) { s.Tag(settings.TagRegistry, "staging") }, "BadTags",
			settings.TagRegistry},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sandboxtest.New(t)
			s := r.Secret("quilt/pipeline")
			s.MustRotate()
			s.MustSweep()
			s.Clock.Advance(60 * time.Hour) // the superseded key would be revoked now
			event := s.Begin(sandboxtest.Token(1))
			c.prepare(s)
			before, keys := s.Labels(), len(r.Registry.Keys())
			r.Intercept(sandboxtest.OnService("registry", func(c *wire.Call, next func()) {
				t.Errorf("the registry was asked: %s", c.Operation)
				next()
			}))
			_, err := s.Sweep()
			refusals := map[string]error{"the sweep": err}
			for _, step := range []rotation.Step{rotation.Create, rotation.Set, rotation.Test, rotation.Finish} {
				refusals[string(step)] = s.Step(event, step)
			}
			for what, err := range refusals {
				if err == nil || fault.TypeName(err) != c.fault || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s fails with %v, want %s that says %s", what, err, c.fault, c.says)
				}
			}
			if after := s.Labels(); after != before || len(r.Registry.Keys()) != keys {
				t.Errorf("the secret or its keys changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func TestBothFunctionsServeTheirOwnRegistryAndPrimary(t *testing.T) {
	// The URL in the tag may be written in another way, and a primary secret may have replicas.
	r := sandboxtest.New(t)
	s := r.Secret("quilt/pipeline", settings.TagRegistry, " HTTP"+r.RegistryURL[len("http"):]+"/ ")
	_, err := r.Hands.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: &s.ARN, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.MustRotate()
	s.MustSweep()
}

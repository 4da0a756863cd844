package quilt_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Khan/genqlient/generate"
	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/quilt"
)

func TestGeneratedOperationsFitTheirDocuments(t *testing.T) {
	// The generated code in git matches the schema and the documents.
	config, err := generate.ReadAndValidateConfig("genqlient.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate.Generate(config)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is stale: run `go generate ./internal/quilt`", path)
		}
	}
	if len(files) != 1 {
		t.Errorf("%d files are generated, want operations.gen.go alone", len(files))
	}
}

func TestOperationsOnTheWire(t *testing.T) {
	// The name, the variables, the header and the path are those that the registry's own clients
	// send.
	for _, test := range operations {
		t.Run(test.name, func(t *testing.T) {
			registry := newFake(t, ok(test.answer))
			if err := test.run(t.Context(),
				registry.session(t, quilt.Options{UserAgent: "quilt-rotate/9.9.9"})); err != nil {
				t.Fatal(err)
			}
			got := registry.requests()
			if len(got) != 1 {
				t.Fatalf("%d requests, want 1", len(got))
			}
			got[0].Body, got[0].Remote = "", ""
			want := received{
				Method: http.MethodPost, Path: "/graphql", Authorization: "Bearer " +
					secret, ContentType: "application/json",
				UserAgent: "quilt-rotate/9.9.9", Operation: strings.Fields(test.name)[0], Variables: test.variables,
			}
			if diff := cmp.Diff(want, got[0]); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryKeyIsSelectedWhole(t *testing.T) {
	// The audit trail logs what was selected, so each operation that shows a key asks for all of
	// it.
	registry := newFake(t, ok(created("qk_new")))
	if _, err := registry.session(t, quilt.Options{}).CreateKey(t.Context(), "svc", 90); err != nil {
		t.Fatal(err)
	}
	query := registry.requests()[0].Body
	for _, field := range []string{"id", "name", "fingerprint", "createdAt", "expiresAt", "lastUsedAt", "status",
		"userEmail"} {
		if !strings.Contains(query, `\t`+field+`\n`) {
			t.Errorf("the query does not select %s: %s", field, query)
		}
	}
}

func TestAnswersAreRead(t *testing.T) {
	// The result has each field of a key, dates in each form of RFC 3339, and the registry's clock.
	const used = `{"id":"key-2","name":"","fingerprint":"qk_a...b","createdAt":"2026-11-22T19:00:00.5+01:00","expiresAt":"2026-11-23T18:00:00Z",` +
		`"lastUsedAt":"2026-11-22T18:10:00Z","status":"EXPIRED","userEmail":"svc@example.com"}`
	registry := newFake(t, ok(meJSON(`,"isAdmin":true,"apiKeys":[`+keyJSON+`,`+used+`]`)))
	got, err := registry.session(t, quilt.Options{}).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lastUsed := time.Date(2026, 11, 22, 18, 10, 0, 0, time.UTC)
	want := quilt.Account{
		Identity: quilt.Identity{Name: "svc", Email: "svc@example.com", IsAdmin: true, RegistryTime: registryTime},
		Keys: []quilt.APIKey{
			{ID: "key-1", Name: "svc-prod-20261122", Fingerprint: "qk_Zb7...1uQ", CreatedAt: time.Date(2026, 11, 22, 18,
				0, 0, 123456000, time.UTC),
				ExpiresAt: time.Date(2027, 2, 20, 18, 0, 0, 0, time.UTC), Status: quilt.Active,
				UserEmail: "svc@example.com", RegistryTime: registryTime},
			{ID: "key-2", Fingerprint: "qk_a...b", CreatedAt: time.Date(2026, 11, 22, 18, 0, 0, 500000000, time.UTC),
				ExpiresAt: time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC), LastUsedAt: &lastUsed, Status: quilt.Expired,
				UserEmail: "svc@example.com", RegistryTime: registryTime},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
}

func TestUnknownKeyIsNotAnError(t *testing.T) {
	// Null for a key means that the registry has no such key.
	registry := newFake(t, ok(meJSON(`,"apiKey":null`)))
	s := registry.session(t, quilt.Options{})
	login, err := s.Login(t.Context(), "key-9")
	if err != nil || login.Key != nil || login.Email != "svc@example.com" {
		t.Errorf("Login = %+v, %v; want the user without a key", login, err)
	}
	if k, err := s.GetKey(t.Context(), "key-9"); k != nil || err != nil {
		t.Errorf("GetKey = %v, %v; want nil, nil", k, err)
	}
}

func TestCreatedKeyHoldsTheSecret(t *testing.T) {
	// The result has the only copy of the secret text, without white space, and the id that revokes
	// the key.
	registry := newFake(t, ok(created("qk_fresh")))
	got, err := registry.session(t, quilt.Options{}).CreateKey(t.Context(), "svc", 90)
	if err != nil {
		t.Fatal(err)
	}
	if got.Secret.Reveal() != "qk_fresh" || got.ID != "key-1" || !got.RegistryTime.Equal(registryTime) {
		t.Errorf("CreateKey = %+v", got)
	}
}

func TestRevokeNamesAKey(t *testing.T) {
	// It is not documented what a revocation without id and secret does, so it is never sent.
	registry := newFake(t, ok(revokedJSON))
	s := registry.session(t, quilt.Options{})
	for name, err := range map[string]error{
		"RevokeKey":         s.RevokeKey(t.Context(), ""),
		"RevokeKeyBySecret": s.RevokeKeyBySecret(t.Context(), zeroKey),
		"AdminRevokeKey":    s.AdminRevokeKey(t.Context(), ""),
	} {
		if _, ok := err.(*quilt.InvalidInputError); !ok {
			t.Errorf("%s of nothing = %v, want an InvalidInputError", name, err)
		}
	}
	if n := len(registry.requests()); n != 0 {
		t.Errorf("%d requests were sent, want none", n)
	}
}

package issuer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/issuer"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// registry counts the logins.
type registry struct{ logins int }

func (r *registry) WithKey(apikey.Key) *quilt.Session { r.logins++; return &quilt.Session{} }
func (r *registry) LoginPassword(context.Context, string, quilt.Password) (*quilt.Session, error) {
	r.logins++
	return &quilt.Session{}, nil
}

func TestCredentialListsTheSecretsThatItServes(t *testing.T) {
	// Owners of other secrets can set their tags themselves. Only a secret whose full name is in
	// the credential's own list is served. All others are refused before the credential is sent
	// anywhere.
	for _, c := range []struct {
		list, secret string
		want         string // "listed", "unlisted", or the type of the error
	}{
		{`["prod/pipeline"]`, "prod/pipeline", "listed"},
		{`["test/x", "prod/pipeline"]`, "prod/pipeline", "listed"},
		{`["prod/pipeline"]`, "prod/pipeline2", "IssuerNotAllowed"},
		{`["prod/pipeline"]`, "other/prod/pipeline", "IssuerNotAllowed"},
		{`["prod/pipeline"]`, "prod/Pipeline", "IssuerNotAllowed"},
		// Names can end as ARNs do.
		{`["prod/pipeline"]`, "prod/pipeline-AbCdEf", "IssuerNotAllowed"},
		{`["prod/pipeline-AbCdEf"]`, "prod/pipeline", "IssuerNotAllowed"},
		{`["prod/pipeline-??????"]`, "prod/pipeline-AbCdEf", "BadIssuer"},
		{`["arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/pipeline-AbCdEf"]`, "prod/pipeline",
			"BadIssuer"},
		// Asterisks.
		{`["prod/*"]`, "prod/pipeline", "listed"},
		{`["prod/*"]`, "prod/team/pipeline", "listed"},
		{`["prod/*"]`, "prod/", "listed"},
		{`["prod/*"]`, "prod", "IssuerNotAllowed"},
		{`["prod/*"]`, "production/pipeline", "IssuerNotAllowed"},
		{`["prod/*"]`, "staging/prod/pipeline", "IssuerNotAllowed"},
		{`["*"]`, "anything/at/all", "listed"},
		{`["*-key"]`, "prod/a-key", "listed"},
		{`["*-key"]`, "prod/a-keys", "IssuerNotAllowed"},
		{`["a*b"]`, "ab", "listed"},
		{`["ab*ba"]`, "aba", "IssuerNotAllowed"},
		{`["a*b*c"]`, "a/b/b/c", "listed"},
		{`["a*b*c"]`, "a/c/b", "IssuerNotAllowed"},
		{`["**/x"]`, "a/b/x", "listed"},
		{`["prod.x"]`, "prod-x", "IssuerNotAllowed"},
		// Lists that cannot be meant so.
		{`[]`, "prod/pipeline", "IssuerNotAllowed"},
		{`"prod/*"`, "prod/pipeline", "BadIssuer"},
		{`{"prod/*": true}`, "prod/pipeline", "BadIssuer"},
		{`null`, "prod/pipeline", "BadIssuer"},
		{`[null]`, "prod/pipeline", "BadIssuer"},
		{`[""]`, "prod/pipeline", "BadIssuer"},
		{`[7]`, "prod/pipeline", "BadIssuer"},
		{`["prod/pipeline", ["*"]]`, "prod/pipeline", "BadIssuer"},
		{`["prod/pipeline "]`, "prod/pipeline", "BadIssuer"},
		{`["prod/[a-z]*"]`, "prod/pipeline", "BadIssuer"},
		{`["prod\\/*"]`, "prod/pipeline", "BadIssuer"},
		{``, "prod/pipeline", "unlisted"},
	} {
		for _, credential := range []string{`"username":"ada","password":"very secret"`, `"api_key":"qk_` +
			strings.Repeat("S", 48) + `"`} {
			value := "{" + credential + "}"
			if c.list != "" {
				value = "{" + credential + `,"serves":` + c.list + "}"
			}
			r := &registry{}
			session, err := issuer.LogIn(t.Context(), r, "quilt/issuer", redact.New(value),
				vault.Secret{Name: c.secret})
			got := "unlisted"
			switch {
			case err != nil:
				got = fault.TypeName(err)
			case session.Listed:
				got = "listed"
			}
			if got != c.want {
				t.Errorf("a credential that serves %s is %s for %s, want %s (%v)", c.list, got, c.secret, c.want, err)
			}
			if (r.logins > 0) != (err == nil) {
				t.Errorf("a credential that serves %s was used %d times for %s: %v", c.list, r.logins, c.secret, err)
			}
			if err != nil && (strings.Contains(err.Error(), "very secret") || strings.Contains(err.Error(), "SSSS") ||
				!strings.Contains(err.Error(), "quilt/issuer")) {
				t.Errorf("the error must name the credential and not quote it: %v", err)
			}
		}
	}
}

func TestInvisibleCharactersAreNamed(t *testing.T) {
	// An invisible character in a stored credential is named, and the credential is not sent.
	const good = `{"username":"ada","password":"very secret"}`
	for value, says := range map[string]string{
		"\ufeff" + good: "U+FEFF BYTE ORDER MARK after 0 bytes",
		strings.Replace(good, "username", "username\u200b", 1): "U+200B ZERO WIDTH SPACE after 10 bytes",
		strings.Replace(good, "ada", "ada\u200b", 1):           "U+200B ZERO WIDTH SPACE after 3 bytes",
		strings.Replace(good, "ada", `ada\u00a0`, 1):           "U+00A0 NO-BREAK SPACE after 3 bytes",
		`{"api_key":"qk_abcdefghijklmn\u2060"}`:                "U+2060 WORD JOINER after the key",
	} {
		r := &registry{}
		_, err := issuer.LogIn(t.Context(), r, "quilt/issuer", redact.New(value), vault.Secret{Name: "prod/pipeline"})
		if _, bad := errors.AsType[*fault.BadIssuer](err); !bad || !strings.Contains(err.Error(), says) ||
			r.logins > 0 {
			t.Errorf("%q: got %v, want one that says %q", value, err, says)
		}
	}
	// A password may have any character.
	value := strings.Replace(good, "very secret", "very\u00a0secret", 1)
	if _, err := issuer.LogIn(t.Context(), &registry{}, "quilt/issuer", redact.New(value),
		vault.Secret{Name: "x"}); err != nil {
		t.Error(err)
	}
}

func TestRefusalNamesTheSecretAndTheList(t *testing.T) {
	// The error has the name of the refused secret and says which list must contain it.
	_, err := issuer.LogIn(t.Context(), &registry{}, "quilt/issuer",
		redact.New(`{"username":"ada","password":"x","serves":[]}`), vault.Secret{Name: "prod/pipeline"})
	refused, ok := errors.AsType[*fault.IssuerNotAllowed](err)
	if !ok || !strings.Contains(refused.Error(), "prod/pipeline") || !strings.Contains(refused.Error(), `"serves"`) {
		t.Errorf("it says %v", err)
	}
}

package quilt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
)

const revokedJSON = `{"data":{"apiKeyRevoke":{"__typename":"Ok"}}}`

var zeroKey apikey.Key

// meJSON is an answer with a user, and more of that user's fields.
func meJSON(more string) string {
	return `{"data":{"me":{"name":"svc","email":"svc@example.com"` + more + `}}}`
}

// operation is one operation of a session.
type operation struct {
	name      string // at the registry
	answer    string // a good one
	variables map[string]any
	run       func(context.Context, *quilt.Session) error
}

// operations are all operations of a session.
var operations = []operation{
	{"me", meJSON(""), nil, func(ctx context.Context, s *quilt.Session) error { _, err := s.Me(ctx); return err }},
	{"account", meJSON(`,"apiKeys":[]`), nil, func(ctx context.Context, s *quilt.Session) error {
		_,
			err := s.Account(ctx)
		return err
	}},
	{"login", meJSON(`,"apiKey":null`), map[string]any{"id": "key-1"},
		func(ctx context.Context, s *quilt.Session) error { _, err := s.Login(ctx, "key-1"); return err }},
	{"accountKeys", meJSON(`,"key0":` + keyJSON + `,"key1":null`), map[string]any{"id0": "key-1", "id1": "key-2"},
		func(ctx context.Context, s *quilt.Session) error {
			a, err := s.AccountKeys(ctx, []string{"key-1", "key-2"})
			if err == nil && (len(a.Keys) != 1 || a.Keys[0].ID != "key-1" || a.Email != "svc@example.com") {
				err = fmt.Errorf("the answer was read as %+v", a)
			}
			return err
		}},
	{"apiKeysList", `{"data":{"me":{"apiKeys":[]}}}`, map[string]any{"name": "svc", "status": "ACTIVE"},
		func(ctx context.Context, s *quilt.Session) error {
			_, err := s.ListKeys(ctx, quilt.KeyFilter{Name: "svc", Status: quilt.Active})
			return err
		}},
	{"apiKeyCreate", created("qk_new"), map[string]any{"input": map[string]any{"name": "svc", "expiresInDays": 90.0}},
		func(ctx context.Context, s *quilt.Session) error { _, err := s.CreateKey(ctx, "svc", 90); return err }},
	{"apiKeyRevoke", revokedJSON, map[string]any{"id": "key-1"},
		func(ctx context.Context, s *quilt.Session) error { return s.RevokeKey(ctx, "key-1") }},
	{"apiKeyRevoke by secret", revokedJSON, map[string]any{"secret": secret},
		func(ctx context.Context, s *quilt.Session) error {
			k, _ := apikey.Parse(secret)
			return s.RevokeKeyBySecret(ctx, k)
		}},
	{"adminApiKeysList", `{"data":{"admin":{"apiKeys":{"list":[]}}}}`, map[string]any{"email": "svc@example.com"},
		func(ctx context.Context, s *quilt.Session) error {
			_, err := s.AdminListKeys(ctx, quilt.AdminKeyFilter{Email: "svc@example.com"})
			return err
		}},
	{"adminApiKeyGet", `{"data":{"admin":{"apiKeys":{"get":null}}}}`, map[string]any{"id": "key-1"},
		func(ctx context.Context, s *quilt.Session) error { _, err := s.AdminGetKey(ctx, "key-1"); return err }},
	{"adminApiKeyRevoke", `{"data":{"admin":{"apiKeys":{"revoke":{"__typename":"Ok"}}}}}`,
		map[string]any{"id": "key-1"},
		func(ctx context.Context, s *quilt.Session) error { return s.AdminRevokeKey(ctx, "key-1") }},
}

// kind names an error's type as an operator sees it.
func kind(err error) string { return strings.TrimPrefix(fmt.Sprintf("%T", err), "*quilt.") }

// cut drops the connection without an answer.
func cut(http.ResponseWriter, received) { panic(http.ErrAbortHandler) }

// cutInside drops the connection in the middle of an answer with the given status.
func cutInside(code int) func(http.ResponseWriter, received) {
	return func(w http.ResponseWriter, _ received) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"data":`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func redirect(to string) func(http.ResponseWriter, received) {
	return func(w http.ResponseWriter, _ received) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// failures are the failures of a registry, or of another server in its place, with the expected
// errors.
var failures = []struct {
	name   string
	answer func(http.ResponseWriter, received)
	want   string
	create string // where another thing becomes of apiKeyCreate
	says   string // what the message has of the registry's
}{
	{"401", status(401, `{"errors":[{"message":"Token invalid."}]}`), "UnauthenticatedError", "", "Token invalid."},
	{"401 of REST", status(401, `{"message":"user does not exist"}`), "UnauthenticatedError", "",
		"user does not exist"},
	{"401 without a body", status(401, ``), "UnauthenticatedError", "", "credential"},
	{"403", status(403, `{"message":"admins only"}`), "ForbiddenError", "", "admins only"},
	{"403 of a firewall", status(403, `<html>no</html>`), "ForbiddenError", "", "firewalls"},
	{"errors", ok(`{"errors":[{"message":"no such thing"}],"data":null}`), "GraphQLError", "", "no such thing"},
	{"errors without data", ok(`{"errors":[{"message":"no such thing"}]}`), "GraphQLError", "", "no such thing"},
	{"400 of GraphQL", status(400, `{"errors":[{"message":"Cannot query field"}]}`), "GraphQLError", "",
		"Cannot query field"},
	{"400 of REST", status(400, `{"message":"expired","error_code":"SubscriptionInvalid"}`), "GraphQLError", "",
		"expired"},
	{"404 of another server", status(404, `<html>not here</html>`), "ProtocolError", "", "404"},
	{"another server's page", ok(`<html>welcome</html>`), "ProtocolError", "AnswerLostError", "schema"},
	{"no body", ok(``), "ProtocolError", "AnswerLostError", "schema"},
	{"null", ok(`null`), "ProtocolError", "AnswerLostError", "the answer"},
	{"no data", ok(`{"data":null}`), "ProtocolError", "AnswerLostError", "no data"},
	{"empty data", ok(`{"data":{}}`), "ProtocolError", "AnswerLostError", ""},
	{"data of the wrong type", ok(`{"data":"yes"}`), "ProtocolError", "AnswerLostError", "schema"},
	{"errors of the wrong type", ok(`{"errors":"yes"}`), "ProtocolError", "AnswerLostError", "schema"},
	{"204", status(204, ``), "ProtocolError", "AnswerLostError", "204"},
	{"redirect", redirect("https://elsewhere.example.com/graphql?x=y"), "ProtocolError", "AnswerLostError",
		"https://elsewhere.example.com"},
	{"429", status(429, `{"message":"slow down"}`), "UnavailableError", "", "slow down"},
	{"500", status(500, `{"message":"oops"}`), "UnavailableError", "AnswerLostError", "oops"},
	{"503 of a load balancer", status(503, `<html>busy</html>`), "UnavailableError", "AnswerLostError", "503"},
	{"lost answer", cut, "UnavailableError", "AnswerLostError", "EOF"},
	{"half an answer", cutInside(200), "UnavailableError", "AnswerLostError", "EOF"},
	{"half a refusal", cutInside(401), "UnavailableError", "AnswerLostError", "EOF"},
}

func TestFailuresOfEveryOperation(t *testing.T) {
	// Each failure has the same error type in each operation. Only apiKeyCreate returns an
	// AnswerLostError if its result is not known.
	refusals := map[string]bool{"UnauthenticatedError": true, "ForbiddenError": true, "GraphQLError": true,
		"InvalidInputError": true}
	for _, failure := range failures {
		t.Run(failure.name, func(t *testing.T) {
			registry := newFake(t, failure.answer)
			s := registry.session(t, quilt.Options{})
			host := strings.TrimPrefix(registry.URL, "http://")
			for _, op := range operations {
				err := op.run(t.Context(), s)
				want := failure.want
				if op.name == "apiKeyCreate" && failure.create != "" {
					want = failure.create
				}
				if err == nil || kind(err) != want {
					t.Errorf("%s: %s (%v), want %s", op.name, kind(err), err, want)
					continue
				}
				if quilt.Refused(err) != refusals[want] {
					t.Errorf("%s: Refused(%v) = %t", op.name, err, !refusals[want])
				}
				where := strings.Fields(op.name)[0] + " at " + host + ": "
				if text := err.Error(); !strings.HasPrefix(text, where) || !strings.Contains(text, "; ") ||
					!strings.Contains(text, failure.says) {
					t.Errorf("%s: the message %q does not say where, what (%q) and what next", op.name, text,
						failure.says)
				}
			}
		})
	}
}

func TestInvalidAnswersAreRefused(t *testing.T) {
	// A missing, null or unknown part of an answer is an error, and a null `me` does not mean that
	// there are no keys.
	without := func(field string) string {
		return strings.Replace(keyJSON, `"`+field+`"`, `"x`+field+`"`, 1)
	}
	invalid := `{"__typename":"InvalidInput","errors":[{"path":"input.name","message":"too long","name":"ValidationError"}]}`
	tests := []struct {
		name, operation, answer, want string
	}{
		{"nobody", "me", `{"data":{"me":null}}`, "UnauthenticatedError"},
		{"nobody", "account", `{"data":{"me":null}}`, "UnauthenticatedError"},
		{"nobody", "login", `{"data":{"me":null}}`, "UnauthenticatedError"},
		{"nobody", "apiKeysList", `{"data":{"me":null}}`, "UnauthenticatedError"},
		{"nobody", "login", `{"data":{"me":null}}`, "UnauthenticatedError"},
		{"me said twice", "me", `{"data":{"me":{"name":"svc"},"ME":null}}`, "ProtocolError"},
		{"no name", "me", `{"data":{"me":{"email":"svc@example.com"}}}`, "ProtocolError"},
		{"no email", "me", `{"data":{"me":{"name":"svc"}}}`, "ProtocolError"},
		{"no email", "account", `{"data":{"me":{"name":"svc","apiKeys":[]}}}`, "ProtocolError"},
		{"no email", "login", `{"data":{"me":{"name":"svc","apiKey":null}}}`, "ProtocolError"},
		{"no list", "account", meJSON(``), "ProtocolError"},
		{"null list", "apiKeysList", `{"data":{"me":{"apiKeys":null}}}`, "ProtocolError"},
		{"no list", "apiKeysList", `{"data":{"me":{}}}`, "ProtocolError"},
		{"null in the list", "apiKeysList", `{"data":{"me":{"apiKeys":[null]}}}`, "ProtocolError"},
		{"no key", "login", meJSON(``), "ProtocolError"},
		{"no key", "login", `{"data":{"me":{}}}`, "ProtocolError"},
		{"nobody", "accountKeys", `{"data":{"me":null}}`, "UnauthenticatedError"},
		{"no user", "accountKeys", `{"data":{}}`, "ProtocolError"},
		{"no email", "accountKeys", `{"data":{"me":{"name":"svc","key0":null,"key1":null}}}`, "ProtocolError"},
		{"no second key", "accountKeys", meJSON(`,"key0":` + keyJSON), "ProtocolError"},
		{"another key", "accountKeys", meJSON(`,"key0":null,"key1":` + keyJSON), "ProtocolError"},
		{"keys are numbers", "accountKeys", meJSON(`,"key0":1,"key1":2`), "ProtocolError"},
		{"another key", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			strings.Replace(keyJSON, "key-1", "key-2", 1) + `}}}`, "ProtocolError"},
		{"no id", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			without("id") + `}}}`, "ProtocolError"},
		{"no fingerprint", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			without("fingerprint") + `}}}`, "ProtocolError"},
		{"no beginning", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			without("createdAt") + `}}}`, "ProtocolError"},
		{"no end", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			without("expiresAt") + `}}}`, "ProtocolError"},
		{"no status", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			without("status") + `}}}`, "ProtocolError"},
		{"no owner", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			without("userEmail") + `}}}`, "ProtocolError"},
		{"no date", "login", `{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` +
			strings.Replace(keyJSON, "2027-02-20T18:00:00Z", "soon", 1) + `}}}`, "ProtocolError"},
		{"number as a date", "login",
			`{"data":{"me":{"name":"svc","email":"svc@example.com","isAdmin":false,"apiKey":` + strings.Replace(keyJSON,
				`"2027-02-20T18:00:00Z"`, "1", 1) + `}}}`, "ProtocolError"},
		{"admin null", "adminApiKeysList", `{"data":{"admin":null}}`, "ProtocolError"},
		{"admin null", "adminApiKeyGet", `{"data":{"admin":null}}`, "ProtocolError"},
		{"admin null", "adminApiKeyRevoke", `{"data":{"admin":null}}`, "ProtocolError"},
		{"errors beside data", "me",
			`{"data":{"me":{"name":"svc","email":"svc@example.com"}},"errors":[{"message":"partly"}]}`, "GraphQLError"},
		{"errors beside broken data", "account",
			`{"data":{"me":{"apiKeys":"?"}},"errors":[{"message":"partly","path":["me","apiKeys",0]}]}`,
			"GraphQLError"},
		{"invalid input", "apiKeyCreate", `{"data":{"apiKeyCreate":` + invalid + `}}`, "InvalidInputError"},
		{"invalid input", "apiKeyRevoke", `{"data":{"apiKeyRevoke":` + invalid + `}}`, "InvalidInputError"},
		{"invalid input", "adminApiKeyRevoke", `{"data":{"admin":{"apiKeys":{"revoke":` + invalid + `}}}}`,
			"InvalidInputError"},
		{"unknown type", "apiKeyRevoke", `{"data":{"apiKeyRevoke":{"__typename":"OperationError","message":"x"}}}`,
			"ProtocolError"},
		{"no type", "apiKeyRevoke", `{"data":{"apiKeyRevoke":{}}}`, "ProtocolError"},
		{"null", "apiKeyRevoke", `{"data":{"apiKeyRevoke":null}}`, "ProtocolError"},
		{"unknown type", "adminApiKeyRevoke", `{"data":{"admin":{"apiKeys":{"revoke":{"__typename":"Maybe"}}}}}`,
			"ProtocolError"},
		{"unknown type", "apiKeyCreate", `{"data":{"apiKeyCreate":{"__typename":"OperationError","message":"x"}}}`,
			"AnswerLostError"},
		{"null", "apiKeyCreate", `{"data":{"apiKeyCreate":null}}`, "AnswerLostError"},
		{"no key", "apiKeyCreate", `{"data":{"apiKeyCreate":{"__typename":"APIKeyCreated","secret":"qk_new"}}}`,
			"AnswerLostError"},
		{"no secret", "apiKeyCreate", `{"data":{"apiKeyCreate":{"__typename":"APIKeyCreated","apiKey":` + keyJSON +
			`}}}`, "AnswerLostError"},
		{"no such secret", "apiKeyCreate", created("password"), "AnswerLostError"},
		{"refused by its resolver", "apiKeyCreate",
			`{"data":null,"errors":[{"message":"limit","path":["apiKeyCreate"]}]}`, "GraphQLError"},
		{"made but not shown", "apiKeyCreate",
			`{"data":null,"errors":[{"message":"oops","path":["apiKeyCreate","apiKey","lastUsedAt"]}]}`,
			"AnswerLostError"},
		{"made beside errors", "apiKeyCreate", strings.TrimSuffix(created("qk_new"), "}") +
			`,"errors":[{"message":"oops"}]}`, "AnswerLostError"},
	}
	for _, test := range tests {
		t.Run(test.operation+"/"+test.name, func(t *testing.T) {
			err := named(t, test.operation).run(t.Context(), newFake(t, ok(test.answer)).session(t, quilt.Options{}))
			if err == nil || kind(err) != test.want {
				t.Errorf("%s (%v), want %s", kind(err), err, test.want)
			}
		})
	}
}

func named(t testing.TB, name string) operation {
	t.Helper()
	for _, op := range operations {
		if op.name == name {
			return op
		}
	}
	t.Fatalf("no operation %q", name)
	return operation{}
}

func TestInvalidInputHasTheRegistrysMessages(t *testing.T) {
	// The error has the path, the name and the message of the refusal.
	registry := newFake(t, ok(`{"data":{"apiKeyCreate":{"__typename":"InvalidInput","errors":[`+
		`{"path":"input.expiresInDays","message":"must be at most 365","name":"ValueError","context":{"max":365}},{"path":null,"message":"no","name":"Other"}]}}}`))
	_, err := registry.session(t, quilt.Options{}).CreateKey(t.Context(), "svc", 366)
	invalid, is := errors.AsType[*quilt.InvalidInputError](err)
	if !is || len(invalid.Faults) != 2 {
		t.Fatalf("%v, want an InvalidInputError with two faults", err)
	}
	if want := (quilt.InputFault{Path: "input.expiresInDays", Name: "ValueError",
		Message: "must be at most 365"}); invalid.Faults[0] != want {
		t.Errorf("fault %+v, want %+v", invalid.Faults[0], want)
	}
}

func TestAnswerWithoutADateIsRefused(t *testing.T) {
	// Decisions about a key's age need the registry's clock. A new key is kept without it.
	dateless := func(body string) func(http.ResponseWriter, received) {
		return func(w http.ResponseWriter, _ received) {
			w.Header()["Date"] = nil
			_, _ = io.WriteString(w, body)
		}
	}
	_, err := newFake(t, dateless(meJSON(""))).session(t, quilt.Options{}).Me(t.Context())
	if _, is := err.(*quilt.ProtocolError); !is {
		t.Errorf("me without a date: %v, want a ProtocolError", err)
	}
	made, err := newFake(t, dateless(created("qk_new"))).session(t, quilt.Options{}).CreateKey(t.Context(), "svc", 90)
	if err != nil || !made.RegistryTime.IsZero() {
		t.Errorf("a key made without a date: %v, %v; want it with a zero RegistryTime", made.RegistryTime, err)
	}
}

func TestOversizedAnswer(t *testing.T) {
	// A function has little memory, so the size of an answer is limited.
	block := []byte(strings.Repeat(" ", 1<<20))
	registry := newFake(t, func(w http.ResponseWriter, _ received) {
		for range 65 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	_, err := registry.session(t, quilt.Options{AttemptTimeout: 10 * time.Minute}).ListKeys(t.Context(),
		quilt.KeyFilter{})
	if _, is := err.(*quilt.ProtocolError); !is || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v, want a ProtocolError about the size", err)
	}
}

func TestSilentRegistry(t *testing.T) {
	// Each attempt ends at its limit, and errors.Is recognizes the timeout. A create whose result
	// is not known says so.
	for _, op := range operations {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			err := op.run(ctx, over(t, quilt.Options{}, silent))
			if !errors.Is(err, context.DeadlineExceeded) || quilt.Refused(err) {
				t.Errorf("%s: %v, want one that is context.DeadlineExceeded and no refusal", op.name, err)
			}
			if _, lost := err.(*quilt.AnswerLostError); lost != (op.name == "apiKeyCreate") {
				t.Errorf("%s: %s", op.name, kind(err))
			}
		})
	}
}

func TestRefusedIsTrueOnlyForDefiniteRefusals(t *testing.T) {
	// Wrapped errors are recognized too.
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("other"), false},
		{context.Canceled, false},
		{fmt.Errorf("wrapped: %w", &quilt.UnauthenticatedError{}), true},
		{fmt.Errorf("wrapped: %w", &quilt.InvalidInputError{}), true},
		{&quilt.ProtocolError{Status: 404}, false},
		{&quilt.CatalogError{}, false},
		{errors.Join(&quilt.AnswerLostError{}, &quilt.GraphQLError{}), false},
	} {
		if got := quilt.Refused(test.err); got != test.want {
			t.Errorf("Refused(%T) = %t", test.err, got)
		}
	}
}

package quiltregistry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	graphql "github.com/graph-gophers/graphql-go"

	"quilt-rotate/internal/quilt/schema"
)

// parsedSchema returns the schema with its resolvers. It panics if they do not match. All
// registries share it, because a resolver gets its registry from the context.
var parsedSchema = sync.OnceValue(func() *graphql.Schema {
	return graphql.MustParseSchema(schema.Text, root{},
		graphql.UseStringDescriptions(), graphql.UseFieldResolvers(), graphql.DisableFieldSelections(),
		graphql.MaxPooledBufferCap(8<<20)) // a list of 10,000 keys takes 3 MB
})

func (r *Registry) serveGraphQL(w http.ResponseWriter, request *http.Request) {
	c := callOf(request.Context())
	if refused := c.authenticate(request); refused != nil && !c.switches.NullMe {
		refused.write(w, request)
		return
	}
	var body struct {
		Query         string         `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		refusal{http.StatusBadRequest, "The request body is not a GraphQL request in JSON."}.write(w, request)
		return
	}
	// This comes before the execution. Otherwise a refused request could change something.
	if refused := c.checkAdmin(body.Query, body.OperationName); refused != nil {
		refused.write(w, request)
		return
	}
	answer := parsedSchema().Exec(request.Context(), body.Query, body.OperationName, body.Variables)
	for _, e := range answer.Errors {
		var refused *refusal
		if errors.As(e.ResolverError, &refused) {
			refused.write(w, request)
			return
		}
	}
	writeAnswer(w, answer)
}

// writeAnswer writes a GraphQL response. Data is already JSON and can be long, so it is not encoded
// again.
func writeAnswer(w http.ResponseWriter, answer *graphql.Response) {
	if len(answer.Errors) > 0 {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(`{"data":`))
	_, _ = w.Write(answer.Data)
	_, _ = w.Write([]byte("}\n"))
}

// checkAdmin refuses the whole request if it selects the field admin and the caller is not an
// administrator.
func (c *call) checkAdmin(query, operation string) *refusal {
	if c.session != nil && c.session.user.Admin {
		return nil
	}
	if !strings.Contains(query, "admin") || !slices.Contains(rootFields(query, operation), "admin") {
		return nil
	}
	if c.session == nil {
		return notLoggedIn
	}
	return &refusal{http.StatusForbidden, "Forbidden."}
}

// checkMayManage returns an error if the session may not manage keys and the refusal is not a typed
// answer ([RefuseInvalidInput]).
func (c *call) checkMayManage() error {
	switch {
	case c.session == nil:
		return notLoggedIn
	case c.keysMayNotManage(RefuseForbidden):
		return &refusal{http.StatusForbidden, managementRefused}
	case c.keysMayNotManage(RefuseGraphQLError):
		return errors.New(managementRefused) //nolint:staticcheck // the text of the registry is a sentence
	}
	return nil
}

// The types below resolve the types of the schema. A field without arguments is a struct field of
// the same name.

type root struct{}

func (root) Query() *query       { return &query{} }
func (root) Mutation() *mutation { return &mutation{} }

type query struct{}

func (*query) Me(ctx context.Context) *me {
	c := callOf(ctx)
	if c.session == nil {
		return nil
	}
	u := c.session.user
	return &me{Name: u.Name, Email: u.Email, IsAdmin: u.Admin, Role: role{roleName}, Roles: []role{{roleName}}}
}

func (*query) Admin() adminQueries { return adminQueries{} }

type role struct{ Name string }

type me struct {
	Name, Email string
	IsAdmin     bool
	Role        role
	Roles       []role
}

type keyFilter struct{ Name, Fingerprint, Status *string }

func (m *me) APIKeys(ctx context.Context, args keyFilter) ([]apiKey, error) {
	c := callOf(ctx)
	if err := c.checkMayManage(); err != nil {
		return nil, err
	}
	return rows(c.listKeys(filter{&m.Email, args.Name, args.Fingerprint, args.Status})), nil
}

func (m *me) APIKey(ctx context.Context, args struct{ ID graphql.ID }) (*apiKey, error) {
	c := callOf(ctx)
	if err := c.checkMayManage(); err != nil {
		return nil, err
	}
	return rowOf(c.getKey(string(args.ID), m.Email)), nil
}

type adminQueries struct{ APIKeys adminKeyQueries }

type adminKeyQueries struct{}

type adminKeyFilter struct{ Email, Name, Fingerprint, Status *string }

func (adminKeyQueries) List(ctx context.Context, args adminKeyFilter) []apiKey {
	return rows(callOf(ctx).listKeys(filter{args.Email, args.Name, args.Fingerprint, args.Status}))
}

func (adminKeyQueries) Get(ctx context.Context, args struct{ ID graphql.ID }) *apiKey {
	return rowOf(callOf(ctx).getKey(string(args.ID), ""))
}

type mutation struct{}

func (*mutation) APIKeyCreate(ctx context.Context, args struct {
	Input struct {
		Name          string
		ExpiresInDays int32
	}
}) (createResult, error) {
	c := callOf(ctx)
	if err := c.checkMayManage(); err != nil {
		return createResult{}, err
	}
	created, p := c.createKey(args.Input.Name, int(args.Input.ExpiresInDays))
	if p != nil {
		return createResult{invalid: p.invalidInput()}, nil
	}
	return createResult{created: &apiKeyCreated{APIKey: row(created), Secret: created.Secret}}, nil
}

func (*mutation) APIKeyRevoke(ctx context.Context, args struct {
	ID     *graphql.ID
	Secret *string
}) (revokeResult, error) {
	c := callOf(ctx)
	if err := c.checkMayManage(); err != nil {
		return revokeResult{}, err
	}
	return revoked(c.revokeKey((*string)(args.ID), args.Secret)), nil
}

func (*mutation) Admin() adminMutations { return adminMutations{} }

type adminMutations struct{ APIKeys adminKeyMutations }

type adminKeyMutations struct{}

func (adminKeyMutations) Revoke(ctx context.Context, args struct{ ID graphql.ID }) revokeResult {
	return revoked(callOf(ctx).adminRevokeKey(string(args.ID)))
}

type apiKey struct {
	ID          identifier
	Name        string
	Fingerprint string
	CreatedAt   datetime
	ExpiresAt   datetime
	LastUsedAt  *datetime
	UserEmail   string
	Status      string
}

func row(k APIKey) apiKey {
	r := apiKey{
		ID: identifier(k.ID), Name: k.Name, Fingerprint: k.Fingerprint, CreatedAt: datetimeOf(k.CreatedAt),
		ExpiresAt: datetimeOf(k.ExpiresAt), UserEmail: k.Owner, Status: k.Status,
	}
	if !k.LastUsedAt.IsZero() {
		used := datetimeOf(k.LastUsedAt)
		r.LastUsedAt = &used
	}
	return r
}

func rowOf(k APIKey, ok bool) *apiKey {
	if !ok {
		return nil
	}
	r := row(k)
	return &r
}

func rows(keys []APIKey) []apiKey {
	out := make([]apiKey, len(keys))
	for i, k := range keys {
		out[i] = row(k)
	}
	return out
}

type apiKeyCreated struct {
	APIKey apiKey
	Secret string
}

type createResult struct {
	created *apiKeyCreated
	invalid *invalidInput
}

func (r createResult) ToAPIKeyCreated() (*apiKeyCreated, bool) { return r.created, r.created != nil }
func (r createResult) ToInvalidInput() (*invalidInput, bool)   { return r.invalid, r.invalid != nil }

type revokeResult struct{ invalid *invalidInput }

func revoked(p *problem) revokeResult {
	if p == nil {
		return revokeResult{}
	}
	return revokeResult{p.invalidInput()}
}

func (r revokeResult) ToOk() (*okResult, bool)               { return &okResult{}, r.invalid == nil }
func (r revokeResult) ToInvalidInput() (*invalidInput, bool) { return r.invalid, r.invalid != nil }

type okResult struct {
	Nothing *bool `graphql:"_"`
}

type invalidInput struct{ Errors []inputError }

type inputError struct {
	Path    *string
	Message string
	Name    string
	Context *jsonRecord
}

func (p *problem) invalidInput() *invalidInput {
	e := inputError{Message: p.message, Name: p.name}
	if p.path != "" {
		e.Path = &p.path
	}
	return &invalidInput{[]inputError{e}}
}

// The scalars are used in answers only. They are plain strings, because a type with a MarshalJSON
// method makes long lists slow.
type (
	identifier string
	datetime   string
	jsonRecord map[string]any
)

// datetimeOf formats a time as RFC 3339 with microseconds, as Python does.
func datetimeOf(t time.Time) datetime { return datetime(t.Format("2006-01-02T15:04:05.000000Z07:00")) }

var errAnswerOnly = errors.New("this type is only used in answers")

func (identifier) ImplementsGraphQLType(name string) bool { return name == "ID" }
func (*identifier) UnmarshalGraphQL(any) error            { return errAnswerOnly }
func (datetime) ImplementsGraphQLType(name string) bool   { return name == "Datetime" }
func (*datetime) UnmarshalGraphQL(any) error              { return errAnswerOnly }
func (jsonRecord) ImplementsGraphQLType(name string) bool { return name == "JsonRecord" }
func (*jsonRecord) UnmarshalGraphQL(any) error            { return errAnswerOnly }

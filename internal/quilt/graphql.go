package quilt

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/Khan/genqlient/graphql"

	"quilt-rotate/internal/redact"
)

// effect is the effect of an operation at the registry. It decides whether the operation may be
// repeated.
type effect int

const (
	reads   effect = iota // may be repeated
	revokes               // is not repeated here: the caller must first check again that nobody needs the key
	creates               // must not be repeated, because each request may create another key
)

// call is one operation. It is the graphql.Client of the generated code.
type call struct {
	client    *Client
	operation string
	effect    effect
	bearer    redact.Text
	carried   secrets // in addition to the bearer

	answer answer
}

var _ graphql.Client = (*call)(nil)

func (c *call) request(body []byte) *request {
	return &request{
		operation: c.operation, method: http.MethodPost, path: "/graphql", contentType: "application/json", body: body,
		bearer: c.bearer, carried: c.carried, limit: graphqlLimit, graphql: true,
		once: c.effect == creates, single: c.effect == revokes,
	}
}

// MakeRequest sends the operation and decodes its answer.
func (c *call) MakeRequest(ctx context.Context, asked *graphql.Request, into *graphql.Response) error {
	body, err := json.Marshal(asked)
	if err != nil {
		return c.protocol("the request cannot be encoded")
	}
	if c.answer, err = c.client.do(ctx, c.request(body)); err != nil {
		return err
	}
	got := struct {
		Data   any     `json:"data"`
		Errors []fault `json:"errors"`
	}{Data: into.Data}
	if err := json.Unmarshal(c.answer.body, &got); err != nil {
		if said := readFailure(c.answer.body); len(said.Errors) > 0 { // the errors are why the data is incomplete
			return c.failed(said.Errors)
		}
		return c.protocol("the answer does not match the schema: " + c.secrets().scrub(err.Error()))
	}
	switch {
	case len(got.Errors) > 0:
		return c.failed(got.Errors)
	case got.Data == nil:
		return c.protocol("the answer has no data")
	case c.effect == reads && c.answer.date.IsZero():
		return c.protocol("the answer has no Date header, so the time of the registry is not known")
	}
	return nil
}

func (c *call) secrets() secrets { return c.request(nil).secrets() }

func (c *call) protocol(problem string) error {
	return &ProtocolError{Where: c.client.at(c.operation), Status: http.StatusOK, Problem: problem}
}

func (c *call) missing(field string) error {
	return c.protocol("the answer does not have the field " + field)
}

// failed returns the error for GraphQL errors. An error below the operation's own field means that
// the operation was carried out and only its result could not be returned (GraphQL specification,
// "Handling Execution Errors").
func (c *call) failed(faults []fault) error {
	e := &GraphQLError{Where: c.client.at(c.operation), Status: http.StatusOK}
	e.Messages = failure{Errors: faults}.messages(c.secrets())
	for _, f := range faults {
		e.executed = e.executed || len(f.Path) > 1
	}
	if c.effect == creates {
		result, ok := c.field("data", c.operation)
		e.executed = e.executed || ok && string(result) != null
	}
	return e
}

// field returns one field of the raw answer. The decoded answer does not distinguish null from a
// missing field.
func (c *call) field(path ...string) (json.RawMessage, bool) {
	value := json.RawMessage(c.answer.body)
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return nil, false
		}
		var ok bool
		if value, ok = object[name]; !ok {
			return nil, false
		}
	}
	return value, true
}

const null = "null"

func (c *call) isNull(path ...string) bool {
	value, ok := c.field(path...)
	return ok && string(value) == null
}

// notLoggedIn returns the error for an answer without `me`. Null means that nobody is logged in. A
// missing field makes the answer invalid.
func (c *call) notLoggedIn() error {
	if !c.isNull("data", "me") {
		return c.missing("data.me")
	}
	return &UnauthenticatedError{Where: c.client.at(c.operation),
		problem: "nobody is logged in with this credential (me is null)"}
}

// unknown returns the error for an answer without a key. Null means that the registry has no such
// key, which is no error.
func (c *call) unknown(path ...string) error {
	if !c.isNull(path...) {
		return c.missing(strings.Join(path, "."))
	}
	return nil
}

// identity returns the user in `me`, which has a different generated type for each operation.
func identity[U any, P interface {
	*U
	GetName() string
	GetEmail() string
	GetIsAdmin() bool
}](c *call, me P) (Identity, error) {
	switch {
	case me == nil:
		return Identity{}, c.notLoggedIn()
	case me.GetName() == "":
		return Identity{}, c.missing("me.name")
	case me.GetEmail() == "":
		return Identity{}, c.missing("me.email")
	}
	who := Identity{Name: me.GetName(), Email: me.GetEmail(), IsAdmin: me.GetIsAdmin(), RegistryTime: c.answer.date}
	return who, nil
}

// key converts a key of the answer. All fields are required, except the name, which may be empty.
func (c *call) key(k keyFields) (APIKey, error) {
	for _, field := range []struct {
		name    string
		missing bool
	}{
		{"id", k.Id == ""},
		{"fingerprint", k.Fingerprint == ""},
		{"createdAt", k.CreatedAt.IsZero()},
		{"expiresAt", k.ExpiresAt.IsZero()},
		{"status", k.Status == ""},
		{"userEmail", k.UserEmail == ""},
	} {
		if field.missing {
			return APIKey{}, c.missing("apiKey." + field.name)
		}
	}
	return APIKey{
		ID: k.Id, Name: k.Name, Fingerprint: k.Fingerprint, CreatedAt: k.CreatedAt.Time, ExpiresAt: k.ExpiresAt.Time,
		LastUsedAt: timeOf(k.LastUsedAt), Status: k.Status, UserEmail: k.UserEmail, RegistryTime: c.answer.date,
	}, nil
}

// keys converts a list of the answer. The list is required: null and a missing field do not mean
// that there are no keys.
func (c *call) keys(listed []keyFields) ([]APIKey, error) {
	if listed == nil {
		return nil, c.missing("apiKeys")
	}
	keys := make([]APIKey, 0, len(listed))
	for _, l := range listed {
		k, err := c.key(l)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// keyByID converts the key with the given id. It returns nil if the registry answered null at path,
// and an error if the key has another id.
func (c *call) keyByID(id string, found *keyFields, path ...string) (*APIKey, error) {
	if found == nil {
		return nil, c.unknown(path...)
	}
	k, err := c.key(*found)
	switch {
	case err != nil:
		return nil, err
	case k.ID != id:
		return nil, c.protocol("the answer has another key than the requested one")
	}
	return &k, nil
}

func (c *call) invalid(r refusal) error {
	e := &InvalidInputError{Where: c.client.at(c.operation)}
	sent := c.secrets()
	for _, f := range r.Errors[:min(len(r.Errors), quotedFaults)] {
		e.Faults = append(e.Faults, InputFault{Path: sent.scrub(f.Path), Name: sent.scrub(f.Name),
			Message: sent.scrub(f.Message)})
	}
	return e
}

// revoked returns the error of a revocation, or nil if it succeeded.
func (c *call) revoked(result revokeResult) error {
	switch r := result.(type) {
	case *revokeResultOk:
		return nil
	case *revokeResultInvalidInput:
		return c.invalid(r.refusal)
	}
	return c.protocol("the answer does not contain the result of the revocation")
}

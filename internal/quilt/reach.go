package quilt

import (
	"context"
	"errors"
	"strings"
)

// KeySupport says whether a registry's platform has API keys, as far as that is known without a
// login.
type KeySupport int

// The values of [KeySupport].
const (
	KeySupportUnknown KeySupport = iota // the registry answers only after a login
	KeysSupported                       // the schema has API keys
	KeysUnsupported                     // the schema has no API keys: the platform is older than 1.67
)

// Reach sends a query without a credential. If it returns no error, the registry answers over a
// trusted connection. A server validates a query against its schema before it checks the login
// (GraphQL specification, "Validation"), so the answer shows whether the platform is too old.
func (c *Client) Reach(ctx context.Context) (KeySupport, error) {
	asked := &call{client: c, operation: "apiKeysList", effect: reads}
	_, err := apiKeysList(ctx, asked, "", "", "")
	_, unauthenticated := errors.AsType[*UnauthenticatedError](err)
	_, forbidden := errors.AsType[*ForbiddenError](err)
	failed, answered := errors.AsType[*GraphQLError](err)
	switch {
	case err == nil:
		return KeysSupported, nil
	case answered && failed.lacks("apikeys"):
		return KeysUnsupported, nil
	case answered || unauthenticated || forbidden:
		return KeySupportUnknown, nil
	}
	return KeySupportUnknown, err
}

// lacks reports whether the registry says that its schema does not have the field. The text is that
// of the GraphQL reference implementation and its ports (graphql-js and graphql-core, "Cannot query
// field").
func (e *GraphQLError) lacks(field string) bool {
	for _, m := range e.Messages {
		m = strings.ToLower(m)
		if strings.Contains(m, "cannot query field") && strings.Contains(m, field) {
			return true
		}
	}
	return false
}

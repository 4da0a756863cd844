package quilt

import (
	"context"
	"errors"
	"strings"
)

// Knowledge is what a registry shows, without a login, of whether its platform has API keys.
type Knowledge int

// The values of [Knowledge].
const (
	NotTold   Knowledge = iota // it answers nothing without a login
	KnowsKeys                  // its schema has API keys
	NoKeys                     // its schema has none: the platform is older than 1.67
)

// Reach asks the registry for keys without a credential. Its success means that the registry
// answers over a trusted connection. A server checks a query against its schema before it checks
// the login (GraphQL specification, "Validation"), so an old platform can be recognized.
func (c *Client) Reach(ctx context.Context) (Knowledge, error) {
	asked := &call{client: c, operation: "apiKeysList", effect: reads}
	_, err := apiKeysList(ctx, asked, "", "", "")
	_, unauthenticated := errors.AsType[*UnauthenticatedError](err)
	_, forbidden := errors.AsType[*ForbiddenError](err)
	failed, answered := errors.AsType[*GraphQLError](err)
	switch {
	case err == nil:
		return KnowsKeys, nil
	case answered && failed.lacks("apikeys"):
		return NoKeys, nil
	case answered || unauthenticated || forbidden:
		return NotTold, nil
	}
	return NotTold, err
}

// lacks reports whether the registry says that its schema has no such field. The sentence is that
// of the reference implementation of GraphQL and of those that follow it (graphql-js and
// graphql-core, "Cannot query field").
func (e *GraphQLError) lacks(field string) bool {
	for _, m := range e.Messages {
		m = strings.ToLower(m)
		if strings.Contains(m, "cannot query field") && strings.Contains(m, field) {
			return true
		}
	}
	return false
}

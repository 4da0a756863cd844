package quilt

import (
	"context"
	"errors"
	"strings"
)

// Knowledge is what a registry, asked by nobody, shows of whether its platform has API keys.
type Knowledge int

// What it can be.
const (
	NotTold   Knowledge = iota // it does not let nobody ask
	KnowsKeys                  // its schema has them
	NoKeys                     // its schema lacks them: it is older than 1.67
)

// Reach asks the registry for nobody's keys: it sends no credential. That it answers at all, over a connection that is
// trusted, is what its success says. A server checks a query against its schema before it looks who asks (GraphQL
// specification, "Validation"), so an old platform shows.
func (c *Client) Reach(ctx context.Context) (Knowledge, error) {
	asked := &call{client: c, operation: "apiKeysList", effect: reads}
	_, err := apiKeysList(ctx, asked, "", "", "")
	_, unauthenticated := errors.AsType[*UnauthenticatedError](err)
	_, forbidden := errors.AsType[*ForbiddenError](err)
	failed, answered := errors.AsType[*GraphQLError](err)
	switch {
	case err == nil:
		return KnowsKeys, nil
	case unauthenticated || forbidden:
		return NotTold, nil
	case answered && failed.lacks("apikeys"):
		return NoKeys, nil
	case answered:
		return NotTold, nil
	}
	return NotTold, err
}

// lacks tells whether the registry says that its schema has no such field. The sentence is that of the reference
// implementation of GraphQL and of those that follow it (graphql-js and graphql-core, "Cannot query field").
func (e *GraphQLError) lacks(field string) bool {
	for _, m := range e.Messages {
		m = strings.ToLower(m)
		if strings.Contains(m, "cannot query field") && strings.Contains(m, field) {
			return true
		}
	}
	return false
}

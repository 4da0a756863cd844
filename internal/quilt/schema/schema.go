// Package schema holds the part of a Quilt registry's GraphQL schema that this project uses.
//
// It is a package of its own, without code, so that the sandbox's registry can serve the very file
// the client's types are generated from without depending on the client.
package schema

import _ "embed"

// Text is the schema, in the GraphQL schema definition language.
//
//go:embed schema.graphql
var Text string

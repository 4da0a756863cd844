// Package schema has the part of a Quilt registry's GraphQL schema that this project uses.
//
// It is a separate package so that the sandbox's registry can serve the schema that the client is
// generated from, and does not import the client.
package schema

import _ "embed"

// Text is the schema in the GraphQL schema definition language.
//
//go:embed schema.graphql
var Text string

// Package quilt is the client of a Quilt registry: who a credential belongs to, and the API keys of that user.
//
// It speaks the registry's GraphQL endpoint with operations generated from operations.graphql, the REST calls that turn a
// password or a one-time code into a session, and reads a catalog's config.json to find the registry. What the registry
// offers is taken from the public sources of the Quilt platform (quilt: shared/graphql/schema.graphql,
// docs/api-reference/authentication.md, docs/advanced-features/good-practice.md) and from what its public clients send.
//
// What callers may rely on:
//
//   - Absence is never taken for an answer. `me: null`, a missing field and an empty list are three different things: an
//     [*UnauthenticatedError], a [*ProtocolError] and an empty list.
//   - [Refused] tells a definite "no" of the registry from everything that is transient or unknown.
//   - A key is never made twice by one call: [Session.CreateKey] is sent again only where the first request provably was not
//     carried out, and fails with an [*AnswerLostError] where that is not known.
//   - Every answer carries the registry's own clock (its Date header), to compare the registry's dates with.
//   - A credential goes to the registry's host and to no other, over https (plain http to loopback only). No redirect of a
//     credential is followed, no cookie is kept, no certificate is let pass unverified.
//   - No error holds a key, a token, a password or a body. Of what the registry says, errors quote messages only: short,
//     without control characters, and with everything taken out that looks like a credential.
//
// It keeps no state but connections and, in sessions by login, the current token. It never decides which key to make or
// to revoke, and it stores nothing.
package quilt

//go:generate go tool genqlient genqlient.yaml

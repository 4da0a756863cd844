// Package quilt is the client of a Quilt registry. It finds out who a credential belongs to, and
// manages the API keys of that user.
//
// It uses the registry's GraphQL endpoint with operations generated from operations.graphql, the
// REST calls that exchange a password or a one-time code for a session, and a catalog's config.json
// to find the registry. What it knows of the registry comes from the public sources of the Quilt
// platform (quilt: shared/graphql/schema.graphql, docs/api-reference/authentication.md,
// docs/advanced-features/good-practice.md) and from what its public clients send.
//
// Callers can rely on the following:
//
//   - Absence is never taken for an answer. `me: null` is an [*UnauthenticatedError], a missing field is a
//     [*ProtocolError], and an empty list is an empty list.
//   - [Refused] separates a definite "no" of the registry from everything that is temporary or unknown.
//   - One call never creates two keys. [Session.CreateKey] is sent again only if the first request provably was not
//     carried out. If that is not known, it fails with an [*AnswerLostError].
//   - Every answer has the registry's own time (its Date header), with which the registry's dates can be compared.
//   - A credential is sent to the registry's host only, over https (plain http to loopback only). No redirect of a
//     credential is followed, no cookie is kept, and every certificate is verified.
//   - No error holds a key, a token, a password or a body. Errors quote the registry's messages only: short, without
//     control characters, and without anything that looks like a credential.
//
// It keeps no state except connections and the current tokens of its sessions. It never decides
// which key to create or to revoke, and it stores nothing.
package quilt

//go:generate go tool genqlient genqlient.yaml

// Package quilt is the client of a Quilt registry. It finds out who a credential belongs to, and
// manages the API keys of that user.
//
// It uses the registry's GraphQL endpoint with operations that are generated from
// operations.graphql, the REST calls that exchange a password or a one-time code for a session, and
// a catalog's config.json to find the registry. The behaviour of the registry is taken from the
// public sources of the Quilt platform (quilt: shared/graphql/schema.graphql,
// docs/api-reference/authentication.md, docs/advanced-features/good-practice.md) and from the
// requests of its public clients.
//
// Callers can rely on the following:
//
//   - A missing part of an answer is an error. `me: null` is an [*UnauthenticatedError], a missing
//     field is a [*ProtocolError], and only an empty list means that there are no keys.
//   - [Refused] distinguishes a definite refusal of the registry from errors that are temporary or
//     that have an unknown result.
//   - One call never creates two keys. [Session.CreateKey] sends its request again only if the first
//     request was certainly not carried out. If that is not known, it fails with an
//     [*AnswerLostError].
//   - Each answer has the registry's own time, from the Date header. Compare the registry's dates
//     with this time.
//   - A credential is sent only to the registry's host, and only over https (or over http to
//     loopback). Redirects of requests with a credential are not followed, cookies are not kept, and
//     certificates are always verified.
//   - No error contains a key, a token, a password or a body. Errors quote only messages of the
//     registry, shortened, without control characters, and without text that looks like a credential.
//
// It keeps no state except connections and the current tokens of its sessions. It does not decide
// which key to create or to revoke, and it stores nothing. Start with client.go and session.go; the
// operations are in keys.go.
package quilt

//go:generate go tool genqlient genqlient.yaml

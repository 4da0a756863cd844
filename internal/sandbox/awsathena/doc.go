// Package awsathena is Amazon Athena on loopback: the service's wire protocol (AWS JSON 1.1, four
// operations) over SQLite, which really runs the SQL, on the audit trail that the sandbox's
// registry really wrote.
//
// Tests and `quilt-sandbox serve` have it; the functions must not, so that SQLite does not get into
// what is deployed. It is strict where a client could be wrong: one query for one token, results
// only of a query that succeeded and a page at a time with the columns' names as first row, states
// that come one after another, and bytes counted by the partitions that the query asks for.
//
// SQLite is not Trino. Of Trino's functions it has the few that are registered here, with Trino's
// meaning and no more arguments; what SQLite accepts and Trino does not is not noticed. There are
// no permissions, prices or catalogs but one.
package awsathena

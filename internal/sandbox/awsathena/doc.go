// Package awsathena implements four operations of Amazon Athena on loopback. It speaks the
// service's wire protocol (AWS JSON 1.1). SQLite runs the queries on the audit trail that the
// sandbox's registry wrote.
//
// It is for tests and `quilt-sandbox serve`. The functions must not import it, so that the deployed
// packages do not contain SQLite. It is strict where a client could be wrong: a token belongs to
// one query, only a query that succeeded has results, results are returned in pages and the first
// row has the names of the columns, a query passes through its states in order, and the bytes
// scanned are counted by the partitions that the query selects.
//
// SQLite is not Trino. The package has only the functions of Trino that are registered here, with
// the same meaning and no additional arguments. SQLite accepts some SQL that Trino does not accept,
// and the package does not detect this. There are no permissions and no prices, and there is only
// one catalog.
package awsathena

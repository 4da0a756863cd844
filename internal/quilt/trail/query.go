// Package trail has the queries about API keys in the audit trail of a Quilt registry, as SQL for
// Amazon Athena, and the type of an answer.
//
// It relies on the table that the platform documents (quilt:
// docs/advanced-features/good-practice.md, audit trail): the names of the columns, JSON in text,
// and one partition for each day. It sends nothing: the command sends the queries. The deployment
// stores some of them in Athena ([Stored]), so this package imports nothing that a deployment does
// not need.
//
// The SQL is for Athena engine version 3 (Trino). It uses only constructs that SQLite supports too,
// with Trino's functions registered, because the tests run each query in SQLite. The documentation
// of each construct:
//
//	"date"                        a reserved word in Athena, so it is in double quotes (Athena,
//	                              "Escape reserved keywords in queries")
//	'it''s'                       a quote in a text is doubled; there are no other escapes (Trino,
//	                              "Data types": varchar literals)
//	json_extract_scalar(t, '$.a') the text of a scalar, and NULL otherwise; names are case-sensitive
//	                              (Trino, "JSON functions")
//	coalesce, lower, count, max   Trino, "Conditional expressions", "String functions", "Aggregate
//	                              functions"
//	date_format(t, '%Y')          MySQL's specifiers; %i is minutes (Trino, "Date and time functions")
//	date_add('day', -30, now())   now() is the start of the query, and a constant for the planner, so
//	                              that it prunes partitions (same page)
//	GROUP BY 1, ORDER BY x, LIMIT ordinals and expressions; NULLs come last (Trino, "SELECT")
package trail

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind is the kind of a query.
type Kind int

// The kinds of queries. The zero Kind is [Usage].
const (
	Usage   Kind = iota // each call that was made with a key
	Failed              // each login with a key that was refused
	Changes             // each creation and revocation of a key
	Summary             // the keys that were used: from where, how often, when last
)

// A Query is a query for the events of the last days.
type Query struct {
	Kind  Kind
	Days  int    // number of whole days before today, in UTC: 1 begins at yesterday's midnight
	Key   string // id, name or fingerprint of one key; empty for all keys
	Limit int    // largest number of rows, of which the newest are returned; 0 is DefaultLimit
}

// A key is valid for at most a year (quilt: docs/api-reference/authentication.md), so no query
// needs more days. Athena charges for each day that it reads.
const (
	MinDays = 1
	MaxDays = 365
)

// The number of rows is limited because they are kept in memory and read by people. For more rows,
// run the printed SQL in Athena.
const (
	DefaultLimit = 10_000
	MaxLimit     = 100_000
)

// longestKey limits the text that names a key. The limit of the registry is not documented.
const longestKey = 256

// Errors of [Query.Check]. They do not contain the text, because it may be a key.
var (
	ErrDays = fmt.Errorf("the number of days must be from %d to %d: no key lives longer, and Athena charges for "+
		"every day it reads", MinDays, MaxDays)
	ErrLimit = fmt.Errorf("the limit must be from 1 to %d rows: print the SQL and run it in Athena for more", MaxLimit)
	ErrText  = fmt.Errorf("the key must be named by at most %d printable characters", longestKey)
	ErrIsKey = errors.New(
		`this looks like an API key itself, which must not get into Athena's history of queries: name it by its id, its name or its fingerprint (such as "qk_abc...xyz")`)
	ErrByID = errors.New(
		`the trail has only the fingerprint of a key whose login failed: name the key by its fingerprint (such as "qk_abc...xyz"); "keys list" shows it`)
)

// fingerprint is the form in which the registry shows a key: at most a few characters of each end.
var fingerprint = regexp.MustCompile(`^qk_[^\s.…]{0,8}(?:\.\.\.|…)[^\s.…]{0,8}$`)

// Check returns an error if the query is not valid.
func (q Query) Check() error {
	switch {
	case q.Days < MinDays || q.Days > MaxDays:
		return ErrDays
	case q.Limit < 0 || q.Limit > MaxLimit:
		return ErrLimit
	case len(q.Key) > longestKey || !plain(q.Key):
		return ErrText
	case strings.Contains(q.Key, "qk_") && !fingerprint.MatchString(q.Key):
		return ErrIsKey
	case q.Kind == Failed && q.Key != "" && !fingerprint.MatchString(q.Key):
		return ErrByID
	}
	return nil
}

// plain reports whether the text has printable characters only.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// SQL returns the query for Athena. now is the current time.
func (q Query) SQL(now time.Time) (string, error) {
	if err := q.Check(); err != nil {
		return "", err
	}
	first := now.UTC().AddDate(0, 0, -q.Days).Format("2006/01/02")
	return fmt.Sprintf("%s\nLIMIT %d", q.statement(quote(first)), q.Most()), nil
}

// Most returns the largest number of rows.
func (q Query) Most() int {
	if q.Limit == 0 {
		return DefaultLimit
	}
	return q.Limit
}

// quote returns a text as an SQL literal.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// statement returns the query without its limit. first is the expression for the partition of the
// first day.
func (q Query) statement(first string) string {
	t := templates[q.Kind]
	conditions := []string{`"date" >= ` + first, t.where}
	if q.Key != "" {
		conditions = append(conditions, "("+anyOf(t.key, quote(q.Key))+")")
	}
	var columns []string
	for _, c := range t.columns {
		columns = append(columns, c.expression+" AS "+c.name)
	}
	return "SELECT " + strings.Join(columns, ",\n       ") +
		"\nFROM audit_trail\nWHERE " + strings.Join(conditions, "\n  AND ") + t.order
}

func anyOf(expressions []string, literal string) string {
	var tests []string
	for _, e := range expressions {
		tests = append(tests, e+" = "+literal)
	}
	return strings.Join(tests, "\n    OR ")
}

package awsathena

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"quilt-rotate/internal/sandbox/quiltregistry"
)

// The table as the platform documents it: names in lower case, JSON as text, and one partition for
// each day.
const schema = `CREATE TABLE audit_trail (
	eventversion TEXT, eventtime TEXT, eventid TEXT, eventsource TEXT, eventtype TEXT, eventname TEXT, useragent TEXT, sourceipaddress TEXT,
	useridentity TEXT, requestid TEXT, requestparameters TEXT, responseelements TEXT, errorcode TEXT, errormessage TEXT,
	additionaleventdata TEXT, "date" TEXT)`

const insert = `INSERT INTO audit_trail VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`

type result struct {
	columns []columnInfo
	rows    []row // the first row has the names of the columns
	scanned int64
}

// run loads the trail into an empty database and runs the query. Its error is the reason that the
// query fails, in Athena's words.
func (s *Server) run(q *query) (*result, error) {
	if q.database != s.options.Database {
		return nil, fmt.Errorf("SCHEMA_NOT_FOUND: line 1:1: Schema '%s' does not exist", q.database)
	}
	db := sql.OpenDB(connector{s.driver})
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // each connection has its own database in memory
	if err := s.load(db); err != nil {
		return nil, err
	}
	found, err := selectRows(db, q.sql)
	if err != nil {
		return nil, s.reason(err)
	}
	found.scanned, err = scanned(db, q.sql)
	return found, err
}

// connector opens databases in memory with this server's functions.
type connector struct{ driver driver.Driver }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(":memory:") }
func (c connector) Driver() driver.Driver                        { return c.driver }

func (s *Server) load(db *sql.DB) error {
	if s.switches.NoTable {
		return nil
	}
	if _, err := db.Exec(schema); err != nil {
		return err
	}
	if s.options.Trail == nil {
		return nil
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	add, err := tx.Prepare(insert)
	if err != nil {
		return err
	}
	for _, e := range s.options.Trail.Audit() {
		if _, err := add.Exec(s.row(e)...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (s *Server) row(e quiltregistry.Event) []any {
	at := e.EventTime.UTC()
	return []any{
		e.EventVersion, at.Format(timestamp), e.EventID, e.EventSource, e.EventType, e.EventName, e.UserAgent,
		e.SourceIPAddress,
		s.json(e.UserIdentity), e.RequestID, s.json(e.RequestParameters), s.json(e.ResponseElements), null(e.ErrorCode),
		null(e.ErrorMessage),
		s.json(e.AdditionalEventData), at.Format("2006/01/02"),
	}
}

func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// json returns the JSON of a part of an event as text. It returns nil (NULL) if the event does not
// have the part.
func (s *Server) json(part any) any {
	text, err := json.Marshal(part)
	if err != nil || string(text) == "null" {
		return nil
	}
	if s.switches.CamelCaseKeys {
		return string(text)
	}
	var tree any
	if json.Unmarshal(text, &tree) != nil {
		return nil
	}
	text, _ = json.Marshal(lowerKeys(tree)) // cannot fail: the tree comes from JSON
	return string(text)
}

func lowerKeys(tree any) any {
	switch node := tree.(type) {
	case map[string]any:
		lower := map[string]any{}
		for name, child := range node {
			lower[strings.ToLower(name)] = lowerKeys(child)
		}
		return lower
	case []any:
		for i := range node {
			node[i] = lowerKeys(node[i])
		}
	}
	return tree
}

func selectRows(db *sql.DB, text string) (*result, error) {
	rows, err := db.Query(text)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	found := &result{}
	var header row
	for _, name := range names {
		found.columns = append(found.columns, columnInfo{"hive", name, name, "varchar"})
		header.Data = append(header.Data, datum{&name})
	}
	found.rows = append(found.rows, header)
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		targets := make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		next := row{Data: make([]datum, len(names))}
		for i, v := range values {
			if v.Valid {
				next.Data[i].VarCharValue = &v.String
			}
		}
		found.rows = append(found.rows, next)
	}
	return found, rows.Err()
}

// partitions is the predicate that Athena uses to select partitions: a comparison of the partition
// with an expression that does not depend on a row.
var partitions = regexp.MustCompile(`"date" >= (?:'[^']*'|date_format\(date_add\('day', -\d+, now\(\)\), '[^']*'\))`)

// scanned returns the size of the partitions that the query selects, or of the whole table if it
// selects none.
func scanned(db *sql.DB, text string) (int64, error) {
	var size []string
	for _, name := range []string{"useridentity", "requestparameters", "responseelements", "useragent", "eventid"} {
		size = append(size, "coalesce(length("+name+"), 0)")
	}
	statement := "SELECT coalesce(sum(" + strings.Join(size, " + ") + "), 0) FROM audit_trail"
	if predicate := partitions.FindString(text); predicate != "" {
		statement += " WHERE " + predicate
	}
	var n int64
	err := db.QueryRow(statement).Scan(&n)
	return n, err
}

var (
	noTable  = regexp.MustCompile(`no such table: (\S+)`)
	noColumn = regexp.MustCompile(`no such column: "?([^\s"]+)`)
)

// reason returns an error of SQLite in Athena's words.
func (s *Server) reason(err error) error {
	if m := noTable.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("TABLE_NOT_FOUND: line 1:1: Table 'awsdatacatalog.%s.%s' does not exist", s.options.Database,
			m[1])
	}
	if m := noColumn.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("COLUMN_NOT_FOUND: line 1:1: Column '%s' cannot be resolved or requester is not authorized "+
			"to access requested resources", m[1])
	}
	return fmt.Errorf("SYNTAX_ERROR: line 1:1: %w", err)
}

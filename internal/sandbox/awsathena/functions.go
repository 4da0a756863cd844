package awsathena

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"

	"quilt-rotate/internal/sandbox/clock"
)

// timestamp is how Athena writes a timestamp, and the table here holds it: text of one length, so
// that it sorts by time.
const timestamp = "2006-01-02 15:04:05.000"

type function struct {
	name      string
	arguments int32
	call      func([]driver.Value) (driver.Value, error)
}

// newDriver is SQLite with the functions of Trino that the project's queries use. Each driver has a
// clock of its own.
func newDriver(c *clock.Clock) *sqlite.Driver {
	d := &sqlite.Driver{}
	for _, f := range []function{
		{"json_extract_scalar", 2, extractScalar},
		{"date_format", 2, dateFormat},
		{"date_add", 3, dateAdd},
		{"now", 0, func([]driver.Value) (driver.Value, error) { return c.Now().Format(timestamp), nil }},
	} {
		d.MustRegisterScalarFunction(f.name, f.arguments, func(_ *sqlite.FunctionContext,
			args []driver.Value) (driver.Value, error) {
			return f.call(args)
		})
	}
	return d
}

// texts are the arguments as text; not ok where one is NULL, which makes the result NULL.
func texts(args []driver.Value) (all []string, ok bool) {
	for _, a := range args {
		text, is := a.(string)
		if !is {
			return nil, false
		}
		all = append(all, strings.Clone(text)) // the driver's own is gone after the call
	}
	return all, true
}

// extractScalar is json_extract_scalar for paths of names ($.a.b): text of a string, number or
// boolean, NULL for all else and for what is no JSON. Names are compared in their letter case.
func extractScalar(args []driver.Value) (driver.Value, error) {
	given, ok := texts(args)
	if !ok {
		return nil, nil
	}
	path, ok := strings.CutPrefix(given[1], "$.")
	if !ok {
		return nil, fmt.Errorf("this json_extract_scalar takes no path such as '%s'", given[1])
	}
	var node any
	decoder := json.NewDecoder(strings.NewReader(given[0]))
	decoder.UseNumber()
	if decoder.Decode(&node) != nil {
		return nil, nil
	}
	for _, name := range strings.Split(path, ".") {
		object, ok := node.(map[string]any)
		if !ok {
			return nil, nil
		}
		node = object[name]
	}
	switch node := node.(type) {
	case string:
		return node, nil
	case json.Number, bool:
		return fmt.Sprint(node), nil
	}
	return nil, nil
}

// specifiers are those of MySQL's that are known here, as Go writes them.
var specifiers = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'i': "04", 's': "05"}

var errSpecifier = errors.New("this date_format knows no such specifier")

func dateFormat(args []driver.Value) (driver.Value, error) {
	given, ok := texts(args)
	if !ok {
		return nil, nil
	}
	at, err := time.Parse(timestamp, given[0])
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for format := given[1]; format != ""; format = format[1:] {
		if format[0] != '%' {
			text.WriteByte(format[0])
			continue
		}
		if format = format[1:]; format == "" || specifiers[format[0]] == "" {
			return nil, errSpecifier
		}
		text.WriteString(at.Format(specifiers[format[0]]))
	}
	return text.String(), nil
}

func dateAdd(args []driver.Value) (driver.Value, error) {
	unit, _ := args[0].(string)
	n, isNumber := args[1].(int64)
	from, _ := args[2].(string)
	at, err := time.Parse(timestamp, from)
	if unit != "day" || !isNumber || err != nil {
		return nil, errors.New("this date_add adds whole days to timestamps only")
	}
	return at.AddDate(0, 0, int(n)).Format(timestamp), nil
}

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

// timestamp is the format of a timestamp in Athena and in the table here. All timestamps have the
// same length and therefore sort by time.
const timestamp = "2006-01-02 15:04:05.000"

type function struct {
	name      string
	arguments int32
	call      func([]driver.Value) (driver.Value, error)
}

// newDriver returns a SQLite driver with the functions of Trino that the project's queries use.
// Each driver has its own clock.
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

// textArguments returns the arguments as text. ok is false if one of them is NULL, because the
// result is then NULL.
func textArguments(args []driver.Value) (all []string, ok bool) {
	for _, a := range args {
		text, is := a.(string)
		if !is {
			return nil, false
		}
		all = append(all, strings.Clone(text)) // the driver's string is valid only during the call
	}
	return all, true
}

// extractScalar implements json_extract_scalar for paths of names ($.a.b). It returns the text of a
// string, a number or a boolean. It returns NULL for everything else and for invalid JSON. Names
// are case-sensitive.
func extractScalar(args []driver.Value) (driver.Value, error) {
	given, ok := textArguments(args)
	if !ok {
		return nil, nil
	}
	path, ok := strings.CutPrefix(given[1], "$.")
	if !ok {
		return nil, fmt.Errorf("the sandbox's json_extract_scalar does not support the path '%s'", given[1])
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

// specifiers are the supported specifiers of MySQL, with their equivalents in Go.
var specifiers = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'i': "04", 's': "05"}

var errSpecifier = errors.New("the sandbox's date_format does not support this specifier")

func dateFormat(args []driver.Value) (driver.Value, error) {
	given, ok := textArguments(args)
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
	n, isInteger := args[1].(int64)
	from, _ := args[2].(string)
	at, err := time.Parse(timestamp, from)
	if unit != "day" || !isInteger || err != nil {
		return nil, errors.New("the sandbox's date_add supports only whole days and timestamps")
	}
	return at.AddDate(0, 0, int(n)).Format(timestamp), nil
}

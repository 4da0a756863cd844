package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf16"
)

// JSON prints a result for programs, as [WriteJSON] does.
func (c *Console) JSON(result any) error { return WriteJSON(c.plainOut, result) }

// WriteJSON writes a value as indented JSON and a line end. Times are in UTC and in whole seconds,
// because AWS, the registry and this machine use different fractions of a second. JSON allows
// control characters such as U+009B, and characters that change the direction of text. They could
// control a terminal, so they are written as JSON escapes. A program that parses the JSON gets the
// same text.
func WriteJSON(w io.Writer, value any) error {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(w, escaped(toSecond(text.String())))
	return err
}

// instant matches a JSON string that is a time (RFC 3339).
var instant = regexp.MustCompile(`": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^"\\]*"`)

func toSecond(document string) string {
	const before = `": "`
	return instant.ReplaceAllStringFunc(document, func(found string) string {
		t, err := time.Parse(time.RFC3339Nano, strings.TrimSuffix(found[len(before):], `"`))
		if err != nil {
			return found
		}
		return before + t.UTC().Format(time.RFC3339) + `"`
	})
}

func escaped(document string) string {
	var b strings.Builder
	for _, r := range document {
		if r == '\n' || !Hidden(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

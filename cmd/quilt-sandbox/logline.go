package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// omitted are the fields that are not shown, because they are for programs or because the tables
// around the log show them.
var omitted = []string{"timestamp", "requestId", "secret"}

// readable returns a log line of a function in a short form: the message, then key=value pairs.
// shown is false for the lines of Lambda and of the metrics. A line that is not a log record, such
// as a panic, is not changed.
func readable(text string) (line string, shown bool) {
	for _, own := range []string{"START RequestId: ", "END RequestId: ", "REPORT RequestId: "} {
		if strings.HasPrefix(text, own) {
			return "", false
		}
	}
	var record map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &record) != nil {
		return text, true
	}
	if _, metrics := record["_aws"]; metrics {
		return "", false
	}
	var level, message string
	if json.Unmarshal(record["level"], &level) != nil || json.Unmarshal(record["message"], &message) != nil {
		return text, true
	}
	parts := []string{message}
	if level != "INFO" {
		parts = []string{level, message}
	}
	for _, name := range names(text) {
		if name != "level" && name != "message" && !slices.Contains(omitted, name) {
			parts = append(parts, name+"="+shortValue(name, record[name]))
		}
	}
	return strings.Join(parts, " "), true
}

// names returns the field names of a JSON object in the order of the text.
func names(object string) []string {
	var found []string
	decoder := json.NewDecoder(strings.NewReader(object))
	_, _ = decoder.Token() // the opening brace; the caller has already parsed the object
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return found
		}
		found = append(found, fmt.Sprint(name))
	}
	return found
}

// shortValue shortens ids as the tables do, and quotes a text with white space.
func shortValue(name string, value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return string(bytes.TrimSpace(value))
	}
	if name == "version" || name == "keyId" {
		text = text[:min(8, len(text))]
	}
	if text == "" || strings.ContainsAny(text, " \t\n\"") {
		return strconv.Quote(text)
	}
	return text
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What a log line has for machines, or what the tables around it show.
var unread = []string{"timestamp", "requestId", "secret"}

// readable makes a function's log line short: the message, and key=value after it. It leaves out Lambda's own lines and those of
// metrics, and changes nothing in what is no log record, such as a panic.
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
		if name != "level" && name != "message" && !slices.Contains(unread, name) {
			parts = append(parts, name+"="+shortValue(name, record[name]))
		}
	}
	return strings.Join(parts, " "), true
}

// names are those of a JSON object's fields, in their order.
func names(object string) []string {
	var found []string
	decoder := json.NewDecoder(strings.NewReader(object))
	_, _ = decoder.Token() // the brace: the caller knows that it is an object
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

// shortValue abridges ids as the tables do, and quotes what has white space in it.
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

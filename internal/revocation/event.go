package revocation

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/redact"
)

// ParseEvent reads a sweep's event, {"secretId": "<ARN>", "force": false, "dryRun": false}. It is strict, since a misspelt "force" would be
// a sweep that somebody in a hurry takes for a forced one, and a misspelt "dryRun" one that is carried out: names count to the letter, which encoding/json alone would not
// see to, and a name that stands there twice is refused. It quotes nothing of the event, and refuses a key in the secret's
// place, which would be shown in logs. It fails with [*fault.BadEvent].
func ParseEvent(payload []byte) (Request, error) {
	var r Request
	err := readObject(payload, map[string]any{"secretId": &r.SecretID, "force": &r.Force, "dryRun": &r.DryRun})
	if err != nil || strings.TrimSpace(r.SecretID) == "" || redact.Scrub(r.SecretID) != r.SecretID {
		return Request{}, fault.New[fault.BadEvent](`the event must be {"secretId": "<ARN>", "force": false, "dryRun": false} and have no other field; "force" and "dryRun" may be left out`)
	}
	return r, nil
}

var errForm = errors.New("against the form")

// readObject reads one JSON object into the targets, which are named exactly as its fields are. None may be there twice, or be null.
func readObject(text []byte, targets map[string]any) error {
	if !json.Valid(text) { // nor are two values valid
		return errForm
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return errForm
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		field, _ := name.(string)
		target, known := targets[field]
		delete(targets, field)
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil || !known || string(raw) == "null" {
			return errForm
		}
		if err := json.Unmarshal(raw, target); err != nil {
			return err
		}
	}
	return nil
}

package revocation

import (
	"bytes"
	"encoding/json"
	"errors"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/vault"
)

// ParseEvent reads a sweep's event, {"secretId": "<ARN>", "dryRun": false, "time": "2026-11-22T18:15:00Z"}. It is
// strict, because a sweep with a misspelt "dryRun" would be carried out: names are compared exactly, which
// encoding/json alone does not do, and a name that occurs twice is refused. It quotes nothing of the event, and refuses
// a key in the place of the secret, because it would appear in logs. It fails with [*fault.BadEvent].
func ParseEvent(payload []byte) (Request, error) {
	var r Request
	targets := map[string]any{"secretId": &r.SecretID, "dryRun": &r.DryRun, "time": &r.Time, "force": new(any)}
	err := readObject(payload, targets)
	if _, unused := targets["force"]; !unused {
		return Request{}, fault.New[fault.BadEvent](`the event has the field "force", which no longer exists: a sweep never skips the grace period; ` +
			`to revoke a leaked key, run: quilt-rotate emergency; to revoke the keys of a service that no longer exists: quilt-rotate retire`)
	}
	if err != nil || !vault.IsSecretID(r.SecretID) {
		return Request{}, fault.New[fault.BadEvent](`the event must be {"secretId": "<ARN>", "dryRun": false, "time": "<RFC 3339>"} and have no other field; "dryRun" and "time" are optional`)
	}
	return r, nil
}

var errForm = errors.New("the event does not have the expected form")

// readObject reads one JSON object into the targets, which have the exact names of its fields, and removes each target
// that it has read. No field may occur twice or be null.
func readObject(text []byte, targets map[string]any) error {
	if !json.Valid(text) { // two values are not valid either
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

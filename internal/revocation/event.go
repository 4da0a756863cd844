package revocation

import (
	"bytes"
	"encoding/json"

	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/vault"
)

// ParseEvent reads a sweep's event:
//
//	{"secretId": "<ARN>", "dryRun": false, "time": "2026-11-22T18:15:00Z"}
//
// The state machine's event has "run": "<its execution>" and "rotateFunction": "<ARN>" instead of
// "dryRun".
//
// ParseEvent is strict, because with a misspelt "dryRun" the sweep would be carried out. It
// compares names exactly, which encoding/json does not do, and refuses a name that occurs twice. It
// never quotes the event, and refuses a key in the place of the secret's id, because the id appears
// in logs. It fails with [*fault.BadEvent].
func ParseEvent(payload []byte) (Request, error) {
	var r Request
	targets := map[string]any{"secretId": &r.SecretID, "dryRun": &r.DryRun, "time": &r.Time, "run": &r.Run,
		"rotateFunction": &r.RotateFunction, "force": new(any)}
	ok := readObject(payload, targets)
	if _, unused := targets["force"]; !unused {
		return Request{}, fault.New[fault.BadEvent](`the event has the field "force", which no longer exists: ` +
			`a sweep never skips the grace period; to revoke a leaked key, run: quilt-rotate emergency; ` +
			`to revoke the keys of a service that no longer exists, run: quilt-rotate retire`)
	}
	if !ok || !vault.IsSecretID(r.SecretID) || r.Run != "" && r.DryRun {
		return Request{}, fault.New[fault.BadEvent](
			`the event must be {"secretId": "<ARN>", "dryRun": false, "time": "<RFC 3339>"} and have no other field; ` +
				`"dryRun" and "time" are optional; the event of a run has "run" instead of "dryRun"`)
	}
	return r, nil
}

// readObject reads one JSON object into targets, whose keys are the exact names of the fields. It
// removes each target that it has read. It reports whether all fields are known, none occurs twice,
// and none is null.
func readObject(text []byte, targets map[string]any) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	// json.Valid also refuses two values.
	if opening, _ := decoder.Token(); opening != json.Delim('{') || !json.Valid(text) {
		return false
	}
	for decoder.More() { // reading valid text does not fail
		token, _ := decoder.Token()
		name, _ := token.(string)
		target, known := targets[name]
		delete(targets, name)
		var raw json.RawMessage
		_ = decoder.Decode(&raw)
		if !known || string(raw) == "null" || json.Unmarshal(raw, target) != nil {
			return false
		}
	}
	return true
}

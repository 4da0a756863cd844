package trail

import "strings"

// The columns of an answer.
const (
	EventTime      = "event_time" // RFC 3339, UTC
	EventName      = "event_name"
	KeyName        = "key_name"
	KeyFingerprint = "key_fingerprint"
	KeyID          = "key_id"
	UserEmail      = "user_email"
	SourceAddress  = "source_address"
	UserAgent      = "user_agent"
	ErrorCode      = "error"
	Calls          = "calls"     // of Summary
	LastUsed       = "last_used" // of Summary
)

// A template has the parts of one kind of query.
type template struct {
	columns []column
	where   string
	key     []string // expressions that --key is compared with
	order   string
}

type column struct{ name, expression string }

// The names in the identity and in the answer are in camel case in the documentation of the events,
// but in lower case in its sample rows and queries. So both are tried.
var (
	authType    = either("useridentity", "$.sessionContext.auth.type")
	actingID    = either("useridentity", "$.sessionContext.auth.keyId")
	actingName  = either("useridentity", "$.sessionContext.auth.keyName")
	actingMark  = either("useridentity", "$.sessionContext.auth.keyFingerprint")
	refusedMark = either("requestparameters", "$.fingerprint")
	email       = either("useridentity", "$.email")

	changedID   = coalesce(scalars("responseelements", "$.apiKey.id"), scalars("requestparameters", "$.id"))
	changedName = coalesce(scalars("responseelements", "$.apiKey.name"), scalars("requestparameters", "$.input.name"))
	changedMark = either("responseelements", "$.apiKey.fingerprint")
)

const when = `date_format(eventtime, '%Y-%m-%dT%H:%i:%sZ')`

// newestFirst also sorts by the id of the event, so that events of the same time have a fixed
// order.
const newestFirst = "\nORDER BY eventtime DESC, eventid"

var templates = map[Kind]template{
	Usage: {
		columns: eventColumns(actingName, actingMark, actingID),
		where:   authType + " = 'api_key'",
		key:     []string{actingID, actingName, actingMark},
		order:   newestFirst,
	},
	Failed: {
		// Nobody is logged in, so the identity has no key. The event has only the fingerprint of
		// the refused key.
		columns: eventColumns(actingName, refusedMark, actingID),
		where:   "lower(eventname) = 'auth.apikey'",
		key:     []string{refusedMark},
		order:   newestFirst,
	},
	Changes: {
		// The columns show the key that was created or revoked, not the key that the user logged in
		// with. If a key was revoked by its text, the event has no id.
		columns: eventColumns(changedName, changedMark, changedID),
		where:   "lower(eventname) IN ('apikeys.create', 'apikeys.revoke', 'apikeys.admin.revoke')",
		key:     []string{changedID, changedName, changedMark},
		order:   newestFirst,
	},
	Summary: {
		columns: []column{
			{KeyName, actingName}, {KeyFingerprint, actingMark}, {KeyID, actingID}, {UserEmail, email},
			{SourceAddress, "sourceipaddress"},
			{Calls, "count(*)"}, {LastUsed, `date_format(max(eventtime), '%Y-%m-%dT%H:%i:%sZ')`},
		},
		where: authType + " = 'api_key'",
		key:   []string{actingID, actingName, actingMark},
		order: "\nGROUP BY 1, 2, 3, 4, 5\nORDER BY max(eventtime) DESC",
	},
}

// eventColumns returns the columns of a query for single events. The error is the code only,
// because messages may quote the request.
func eventColumns(name, mark, id string) []column {
	return []column{
		{EventTime, when}, {EventName, "eventname"}, {KeyName, name}, {KeyFingerprint, mark}, {KeyID, id},
		{UserEmail, email}, {SourceAddress, "sourceipaddress"}, {UserAgent, "useragent"}, {ErrorCode, "errorcode"},
	}
}

// either returns the scalar at a path whose names may be in lower case.
func either(source, path string) string { return coalesce(scalars(source, path)) }

func coalesce(sources ...[]string) string {
	var all []string
	for _, s := range sources {
		all = append(all, s...)
	}
	if len(all) == 1 {
		return all[0]
	}
	return "coalesce(" + strings.Join(all, ", ") + ")"
}

func scalars(source, path string) []string {
	found := []string{scalar(source, path)}
	if lower := strings.ToLower(path); lower != path {
		found = append(found, scalar(source, lower))
	}
	return found
}

func scalar(source, path string) string { return "json_extract_scalar(" + source + ", '" + path + "')" }

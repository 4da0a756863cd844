package vault

import (
	"strings"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

const (
	letters = "abcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
	named   = letters + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits + "/_+=.@-" // the characters of a secret's name (CreateSecret, Name)
	maxName = 512 + len("-") + 6                                          // an ARN ends with a hyphen and six random characters
)

// IsSecretID reports whether a text has the form of a secret's ARN, or of its name, so that it can be sent to Secrets
// Manager and logged. An ARN may have any name in it: team/qk_pipeline is a good one. A name without an ARN comes from
// a person, and may be a key that was pasted into the wrong place.
func IsSecretID(text string) bool {
	name := text
	if part := strings.SplitN(text, ":", 7); len(part) == 7 {
		if part[0] != "arn" || !only(part[1], letters+"-") || part[2] != "secretsmanager" || !only(part[3], letters+digits+"-") ||
			len(part[4]) != 12 || !only(part[4], digits) || part[5] != "secret" {
			return false
		}
		name = part[6]
	} else if apikey.HasKey(text) {
		return false
	}
	return len(name) <= maxName && only(name, named)
}

// only reports whether a text has these characters and no others, and at least one.
func only(text, characters string) bool { return text != "" && strings.Trim(text, characters) == "" }

// shown is a secret's ARN or name as a person may see it.
func shown(secretID string) string {
	if IsSecretID(secretID) {
		return secretID
	}
	return redact.Clip(secretID, maxName)
}

package vault

import (
	"regexp"
	"sync"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// maxName is the longest name of a secret; an ARN adds a hyphen and six random characters
// (CreateSecret, Name).
const maxName = 512 + len("-") + 6

var secretID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:)?([A-Za-z0-9/_+=.@-]+)$`)
})

// IsSecretID reports whether a text has the form of a secret's ARN, or of its name, so that it can
// be sent to Secrets Manager and logged. An ARN may have any name in it, also team/qk_pipeline. A
// name without an ARN comes from a person, and may be a key that was pasted into the wrong place.
func IsSecretID(text string) bool {
	parts := secretID().FindStringSubmatch(text)
	return parts != nil && len(parts[2]) <= maxName && (parts[1] != "" || !apikey.HasKey(text))
}

// shown is a secret's ARN or name as a person may see it.
func shown(secretID string) string {
	if IsSecretID(secretID) {
		return secretID
	}
	return redact.Clip(secretID, maxName)
}

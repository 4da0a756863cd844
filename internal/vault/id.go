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

// IsSecretID reports whether a text has the form of a secret's ARN or name, so that it can be sent
// to Secrets Manager and logged. The name in an ARN may look like a key, such as team/qk_pipeline.
// A name without an ARN was typed by a person. It is refused if it contains a key, which may have
// been pasted by mistake.
func IsSecretID(text string) bool {
	parts := secretID().FindStringSubmatch(text)
	return parts != nil && len(parts[2]) <= maxName && (parts[1] != "" || !apikey.HasKey(text))
}

// shown returns a secret's ARN or name for a message, without keys.
func shown(secretID string) string {
	if IsSecretID(secretID) {
		return secretID
	}
	return redact.Clip(secretID, maxName)
}

package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

var notInID = regexp.MustCompile(`[^A-Za-z0-9]+`)

// KeyID returns the id of a secret's construct, which is also the prefix of its outputs. An id has
// only letters and digits; the digest distinguishes names that differ in other characters.
func KeyID(secretName string) string {
	var id strings.Builder
	id.WriteString("Key")
	for word := range strings.SplitSeq(notInID.ReplaceAllString(secretName, " "), " ") {
		if word != "" {
			id.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	digest := sha256.Sum256([]byte(secretName))
	return fmt.Sprintf("%.80s%s", id.String(), hex.EncodeToString(digest[:4]))
}

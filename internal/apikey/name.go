package apikey

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A key's name is `<label>-<yyyymmdd>-<mark>`. It reads as Quilt's guide recommends (purpose,
// environment, date), and its mark says which secret the key was created for: the only link that is
// left after a crash between creating and storing a key. Names are not unique: two keys of one day
// have the same name and different ids.

const (
	maxLabel   = 32
	markDigits = 16
)

const (
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyz"
)

var notInLabel = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9]+`) })

// SecretMark is what the names of a secret's keys end with: 16 hex digits of the SHA-256 of the ARN
// that DescribeSecret gives.
func SecretMark(secretARN string) string {
	sum := sha256.Sum256([]byte(secretARN))
	return hex.EncodeToString(sum[:markDigits/2])
}

// Name is the name of a key for a secret. The label is reduced to at most 32 of `[a-z0-9-]`.
func Name(label string, day time.Time, secretARN string) string {
	label = strings.Trim(notInLabel().ReplaceAllString(strings.ToLower(label), "-"), "-")
	if len(label) > maxLabel {
		label = strings.TrimRight(label[:maxLabel], "-")
	}
	if label == "" {
		label = "key"
	}
	return label + "-" + day.UTC().Format("20060102") + "-" + SecretMark(secretARN)
}

// MarkOf returns the mark of the secret that a key of this name was created for; ok is false for a
// name that is not ours. It is called for every key that a user has, so it uses the lengths of the
// name's parts: a regular expression takes ten times as long.
func MarkOf(name string) (mark string, ok bool) {
	const tail = len("-yyyymmdd-") + markDigits
	if len(name) <= tail || len(name) > maxLabel+tail {
		return "", false
	}
	label, name := name[:len(name)-tail], name[len(name)-tail:]
	date, mark := name[:len(name)-markDigits], name[len(name)-markDigits:]
	if date[0] != '-' || date[len(date)-1] != '-' || !only(date[1:len(date)-1], digits) ||
		!only(mark, digits+"abcdef") || !only(label, digits+letters+"-") {
		return "", false
	}
	return mark, true
}

// only reports whether a text has no other characters than these.
func only(text, characters string) bool { return strings.Trim(text, characters) == "" }

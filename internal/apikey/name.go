package apikey

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A key's name is `<label>-<yyyymmdd>-<mark>`. Quilt's guide recommends a name with purpose,
// environment and date. The mark identifies the secret that the key was created for. After a crash
// between creating and storing a key, only the mark links the key to its secret. Names are not
// unique: two keys that are created for a secret on one day have the same name and different ids.

const (
	maxLabel   = 32
	markDigits = 16
)

const (
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyz"
)

var notInLabel = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9]+`) })

// SecretMark returns the end of the names of a secret's keys: the first 16 hex digits of the
// SHA-256 of the ARN that DescribeSecret returns.
func SecretMark(secretARN string) string {
	sum := sha256.Sum256([]byte(secretARN))
	return hex.EncodeToString(sum[:markDigits/2])
}

// Name returns the name for a new key of a secret. It reduces the label to at most 32 characters of
// `[a-z0-9-]`.
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

// MarkOf returns the mark in the name of a key. ok is false if the name does not have the form of
// [Name]. It is called for each key of a user, so it uses the lengths of the parts: a regular
// expression takes ten times as long.
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

// only reports whether a text consists of these characters only.
func only(text, characters string) bool { return strings.Trim(text, characters) == "" }

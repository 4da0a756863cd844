package apikey

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A key's name is `<label>-<yyyymmdd>-<mark>`. It reads as Quilt's guide recommends (purpose, environment, date), and its mark
// says which secret the key was made for: the only link that is left when a crash fell between making and storing a key.
// Names are not unique: two keys of one day have the same, and are told apart by their ids.

const (
	maxLabel   = 32
	markDigits = 16
)

var (
	notInLabel = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9]+`) })
	nameForm   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9-]{1,32}-[0-9]{8}-([0-9a-f]{16})$`) })
)

// SecretMark is what the names of a secret's keys end with: 16 hex digits of the SHA-256 of the ARN that DescribeSecret gives.
func SecretMark(secretARN string) string {
	sum := sha256.Sum256([]byte(secretARN))
	return hex.EncodeToString(sum[:])[:markDigits]
}

// Name builds the name of a key for a secret. The label is brought to at most 32 of `[a-z0-9-]`.
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

// MarkOf returns the mark of the secret that a key of this name was made for; ok is false for a name that is not ours.
func MarkOf(name string) (mark string, ok bool) {
	m := nameForm().FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	return m[1], true
}

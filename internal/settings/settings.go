// Package settings has the names, defaults and rules of all settings: the environment variables of
// the functions, and the tags of a secret, which override the variables for that secret. The
// deployment uses the same names and rules.
//
// Settings are validated at startup. All errors are reported together. An invalid setting is
// refused and never replaced by a default. The package does not read the environment itself: the
// caller passes a [Lookup].
package settings

import (
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
)

// The functions' environment.
const (
	EnvRegistryURL   = "QUILT_REGISTRY_URL"
	EnvCABundle      = "QUILT_CA_BUNDLE"
	EnvExpiresInDays = "QUILT_KEY_EXPIRES_IN_DAYS"
	EnvGrace         = "GRACE_PERIOD"
	EnvQuiet         = "QUIET_PERIOD"
	EnvHoldLimit     = "HOLD_LIMIT"
	EnvOrphanAge     = "ORPHAN_AGE"
	EnvLogLevel      = "LOG_LEVEL"
)

// TagPrefix is the prefix of all tags that quilt-rotate reads and writes.
const TagPrefix = "quilt-rotate:"

// The tags of a secret.
const (
	TagField         = apikey.FieldTag
	TagKeyName       = "quilt-rotate:key-name"
	TagExpiresInDays = "quilt-rotate:expires-in-days"
	TagGrace         = "quilt-rotate:grace"
	TagQuiet         = "quilt-rotate:quiet"
	TagHoldLimit     = "quilt-rotate:hold-limit"
	TagIssuer        = "quilt-rotate:issuer"
	TagOwner         = "quilt-rotate:owner"
	TagOwnerSince    = "quilt-rotate:owner-since" // when the command handed the secret over to its owner
	TagRegistry      = "quilt-rotate:registry"    // URL of the registry that the secret's keys belong to
	TagOnNeed        = "quilt-rotate:on-need"     // "off": rotated by its schedule only, see [Revocation.OnNeed]
	TagPauseUntil    = "quilt-rotate:pause-until"
	TagPauseReason   = "quilt-rotate:pause-reason" // for people: the command and the log of paused sweeps show it

	// TagRestart names the ECS services that the command redeploys when the key changes, if it is
	// not acceptable to wait until the tasks read the secret again: see [ParseRestart]. The
	// functions ignore it.
	TagRestart = "quilt-rotate:restart"
)

// TagRevokeFunction is a tag of the rotate function: the name of the revoke function of the same
// deployment. The command finds the rotate function in the secret's rotation configuration, and the
// revoke function in this tag.
const TagRevokeFunction = "quilt-rotate:revoke-function"

// TagSchedule is a tag of the rotate function: the name of the EventBridge schedule, in the default
// group, that starts the sweeps of its stack. The command pauses all sweeps through it.
const TagSchedule = "quilt-rotate:schedule"

// Defaults of the optional settings.
const (
	DefaultExpiresInDays = 90
	DefaultGrace         = 24 * time.Hour
	DefaultQuiet         = 25 * time.Hour // longer than a day, so that a daily job counts as use
	DefaultOrphanAge     = time.Hour
)

// The registry's limits of a key's lifetime, in days (quilt: docs/api-reference/authentication.md).
const (
	MinExpiresInDays = 1
	MaxExpiresInDays = 365
)

// A Fault is one invalid setting. It does not contain the value, because a person may have pasted a
// key.
type Fault struct {
	Name    string // of the variable or the tag
	Problem string // what is wrong, or what the value must be
}

func (f *Fault) Error() string { return f.Name + " " + f.Problem }

// Invalid lists all invalid settings of one place.
type Invalid struct {
	Where  string // "the function's environment", "the secret's tags"
	Faults []error
}

func (e *Invalid) Error() string {
	var lines []string
	for _, f := range e.Faults {
		lines = append(lines, f.Error())
	}
	return fmt.Sprintf("%s must be corrected: %s", e.Where, strings.Join(lines, "; "))
}

func (e *Invalid) Unwrap() []error { return e.Faults }

// Lookup returns the value of a variable or tag, and whether it is set: os.LookupEnv, or [Tags].
type Lookup func(name string) (value string, set bool)

// Tags returns a Lookup in a secret's tags.
func Tags(tags map[string]string) Lookup {
	return func(name string) (string, bool) {
		value, set := tags[name]
		return value, set
	}
}

// Deployed returns a Lookup in the environment of a deployed function, as Lambda returns it:
//
//	settings.LoadRevoke(settings.Deployed(environment))
//
// It leaves out [EnvCABundle], because that file is in the function's package and not on this
// machine. So CABundle is nil. If the registry uses a private certificate authority, the caller
// must configure it separately.
func Deployed(environment map[string]string) Lookup {
	environment = maps.Clone(environment)
	delete(environment, EnvCABundle)
	return Tags(environment)
}

// reader reads settings one after another and collects their faults.
type reader struct {
	lookup Lookup
	faults []error
}

// read parses a setting into the target. If the setting is blank, not set or invalid, it does not
// change the target. The fault contains the text of the error of parse, which must not contain the
// value.
func read[T any](r *reader, name string, target *T, parse func(string) (T, error)) {
	given, _ := r.lookup(name)
	given = strings.TrimSpace(given)
	if given == "" {
		return
	}
	value, err := parse(given)
	if err != nil {
		r.faults = append(r.faults, &Fault{name, err.Error()})
		return
	}
	*target = value
}

func (r *reader) require(name, must string) {
	if given, _ := r.lookup(name); strings.TrimSpace(given) == "" {
		r.faults = append(r.faults, &Fault{name, "is not set: it " + must})
	}
}

func (r *reader) result(where string) error {
	if len(r.faults) == 0 {
		return nil
	}
	return &Invalid{where, r.faults}
}

// A problem is an error that states what a setting must be, without its value.
type problem string

func (p problem) Error() string { return string(p) }

const (
	mustDays     = "must be a whole number of days from 1 to 365"
	mustDuration = "must be a duration of zero or more, such as 24h or 90m"
	mustLevel    = "must be DEBUG, INFO, WARN or ERROR"
	mustTime     = "must be a time such as 2026-11-22T18:15:00Z"
	mustOnOff    = "must be on or off"
	mustName     = "must have a letter or a digit, and must not be a key"
	mustText     = "must not be a key: keys belong in the secret's value"
)

func days(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < MinExpiresInDays || n > MaxExpiresInDays {
		return 0, problem(mustDays)
	}
	return n, nil
}

// Duration parses a duration of zero or more. The error says what the duration must be, and does
// not contain the text.
func Duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, problem(mustDuration)
	}
	return d, nil
}

func optionalDuration(s string) (*time.Duration, error) {
	d, err := Duration(s)
	return &d, err
}

func onOff(s string) (bool, error) {
	if s != "on" && s != "off" {
		return false, problem(mustOnOff)
	}
	return s == "on", nil
}

func level(s string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return 0, problem(mustLevel)
	}
	return l, nil
}

// text accepts any text except a key, which would be shown wherever the setting is shown.
func text(s string) (string, error) {
	if isKey(s) {
		return "", problem(mustText)
	}
	return s, nil
}

// isKey reports whether a setting is a key. A name that only starts like a key is not a key.
func isKey(s string) bool { return strings.HasPrefix(s, "qk_") && apikey.HasKey(s) }

func moment(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, problem(mustTime)
	}
	return t, nil
}

func keyName(s string) (string, error) {
	if !strings.ContainsAny(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789") || isKey(s) {
		return "", problem(mustName)
	}
	return s, nil
}

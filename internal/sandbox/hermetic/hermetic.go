// Package hermetic keeps the machine's own settings out of tests: they must pass on a developer's
// machine with an AWS profile, in a pipeline, and in a terminal of any kind.
package hermetic

import (
	"os"
	"slices"
	"strings"
)

// families are the prefixes of variables that only what a test starts may set.
var families = []string{"AWS_", "QUILT_", "CDK_", "CLICOLOR"}

// others are such variables without a prefix: the functions' settings, and what describes a
// terminal.
var others = []string{"GRACE_PERIOD", "QUIET_PERIOD", "HOLD_LIMIT", "ORPHAN_AGE", "LOG_LEVEL", "NO_COLOR", "COLORTERM",
	"TERM", "COLUMNS", "LINES", "CI"}

// Clear takes the machine's settings out of the process's environment. It is called by TestMain,
// before any test, because each package's tests are a process.
func Clear() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !Neutral(name) {
			_ = os.Unsetenv(name)
		}
	}
	for _, variable := range NoFiles {
		name, value, _ := strings.Cut(variable, "=")
		_ = os.Setenv(name, value)
	}
}

// NoFiles are the variables with which the AWS SDKs and the AWS CLI read no file of the home
// folder, and ask no machine for credentials.
var NoFiles = []string{"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	"AWS_EC2_METADATA_DISABLED=true"}

// Environ is the process's environment without the machine's settings, for programs that a test
// starts.
func Environ() []string {
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !Neutral(name)
	})
	return append(environment, NoFiles...)
}

// Neutral reports whether a variable changes no test.
func Neutral(name string) bool {
	return !slices.Contains(others, name) && !slices.ContainsFunc(families,
		func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

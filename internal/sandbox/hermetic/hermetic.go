// Package hermetic removes the machine's settings from the environment of tests. Tests must pass on
// a developer's machine with an AWS profile, in a pipeline, and in any terminal.
package hermetic

import (
	"os"
	"slices"
	"strings"
)

// prefixes are prefixes of variables that only a test may set.
var prefixes = []string{"AWS_", "QUILT_", "CDK_", "CLICOLOR"}

// names are variables without such a prefix: the functions' settings, and the settings of a
// terminal.
var names = []string{"GRACE_PERIOD", "QUIET_PERIOD", "HOLD_LIMIT", "ORPHAN_AGE", "LOG_LEVEL", "NO_COLOR", "COLORTERM",
	"TERM", "COLUMNS", "LINES", "CI"}

// Clear removes the machine's settings from the environment of the process. Call it from TestMain,
// because the tests of each package run in their own process.
func Clear() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !neutral(name) {
			_ = os.Unsetenv(name)
		}
	}
	for _, variable := range NoFiles {
		name, value, _ := strings.Cut(variable, "=")
		_ = os.Setenv(name, value)
	}
}

// NoFiles are variables that keep the AWS SDKs and the AWS CLI from reading files in the home
// folder and from requesting credentials from the instance metadata service.
var NoFiles = []string{"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	"AWS_EC2_METADATA_DISABLED=true"}

// Environ returns the environment of the process without the machine's settings, for programs that
// a test starts.
func Environ() []string {
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !neutral(name)
	})
	return append(environment, NoFiles...)
}

// neutral reports whether a variable cannot affect a test.
func neutral(name string) bool {
	return !slices.Contains(names, name) && !slices.ContainsFunc(prefixes,
		func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

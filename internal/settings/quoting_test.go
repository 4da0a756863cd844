package settings_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/internal/settings"
)

// pasted is a key that a person pasted by mistake.
const pasted = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"

func checkQuotesNothing(t *testing.T, name string, err error) {
	t.Helper()
	for i := len("qk_"); i+6 <= len(pasted); i++ {
		if strings.Contains(err.Error(), pasted[i:i+6]) {
			t.Fatalf("the error about %s quotes its value: %v", name, err)
		}
	}
}

func TestFaultsDoNotContainTheValue(t *testing.T) {
	// A fault is logged, and a person may have pasted a key.
	for _, r := range append(environmentRules(), tagRules()...) {
		for _, text := range []string{pasted, "https://user:" + pasted + "@registry.example.com", registry + "/" +
			pasted, "24h" + pasted, "90 " + pasted, pasted + "\x00"} {
			if _, err := r.value(map[string]string{r.name: text}); err != nil {
				checkQuotesNothing(t, r.name, err)
			} else if text == pasted {
				t.Errorf("%s takes a key", r.name)
			}
		}
	}
}

func TestInvalidCABundleIsRefused(t *testing.T) {
	// The fault names the variable and the problem, and not the path.
	for path, says := range map[string]string{
		filepath.Join(t.TempDir(), pasted): "no such file",
		"/dev/null":                        "it is empty",
		"rule_test.go":                     "it has no certificate",
	} {
		_, err := loadRevoke(map[string]string{settings.EnvCABundle: path})
		if names := faulty(t, err); !slices.Equal(names, []string{settings.EnvCABundle}) ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("faulty are %v, want the bundle, and that %s: %v", names, says, err)
		}
		checkQuotesNothing(t, settings.EnvCABundle, err)
	}
}

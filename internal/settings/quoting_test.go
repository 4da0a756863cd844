package settings_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quilt-rotate/internal/settings"
)

// pasted is what gets into the wrong place.
const pasted = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"

func checkQuotesNothing(t *testing.T, name string, err error) {
	t.Helper()
	for i := len("qk_"); i+6 <= len(pasted); i++ {
		if strings.Contains(err.Error(), pasted[i:i+6]) {
			t.Fatalf("the error about %s quotes its value: %v", name, err)
		}
	}
}

func TestFaultsQuoteNoValue(t *testing.T) {
	// Protects a key that somebody pasted into the wrong place: the fault that is told, and logged, does not repeat it.
	for _, r := range append(environmentRules(), tagRules()...) {
		for _, text := range []string{pasted, "https://user:" + pasted + "@registry.example.com", registry + "/" + pasted, "24h" + pasted, "90 " + pasted, pasted + "\x00"} {
			if _, err := r.value(map[string]string{r.name: text}); err != nil {
				checkQuotesNothing(t, r.name, err)
			} else if text == pasted {
				t.Errorf("%s takes a key", r.name)
			}
		}
	}
}

func TestCABundleIsRead(t *testing.T) {
	// Protects registries with a certificate of their own: the bundle comes whole, and none is read where none is named.
	path := filepath.Join(t.TempDir(), "ca.pem")
	pem := []byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := settings.ReadCABundle(path); err != nil || !bytes.Equal(got, pem) {
		t.Errorf("read %q, %v", got, err)
	}
	if got, err := settings.ReadCABundle(""); got != nil || err != nil {
		t.Errorf("no path gives %q, %v", got, err)
	}
}

func TestCABundleThatCannotBeRead(t *testing.T) {
	// Protects the start: a missing bundle is a fault of its variable that says why, and quotes no value.
	_, err := settings.ReadCABundle(filepath.Join(t.TempDir(), pasted))
	var fault *settings.Fault
	if !errors.As(err, &fault) || fault.Name != settings.EnvCABundle || !strings.Contains(err.Error(), "no such file") {
		t.Fatalf("got %v", err)
	}
	checkQuotesNothing(t, fault.Name, err)
}

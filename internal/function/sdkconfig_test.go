//go:build awsconfig

package function

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestCredentialsOfAContainer(t *testing.T) {
	// Protects a function that runs elsewhere than plain Lambda: built with the tag awsconfig, it takes the credentials that its host serves.
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"AccessKeyId":"ASIACONTAINER","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}`)
	}))
	defer host.Close()
	setEnvironment(t, map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": host.URL})
	client, err := newSecretsManager(t.Context(), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got := requestOf(t, client); got.KeyID != "ASIACONTAINER" || got.Session != "t" {
		t.Errorf("the request is signed by %q in the session %q", got.KeyID, got.Session)
	}
}

func TestARegionOutOfAProfile(t *testing.T) {
	// Protects a function that brings a profile: built with the tag awsconfig, it is read.
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[profile pipeline]\nregion = ap-south-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	setEnvironment(t, map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "pipeline", "AWS_CONFIG_FILE": file})
	client, err := newSecretsManager(t.Context(), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got := requestOf(t, client); got.URL != "https://secretsmanager.ap-south-1.amazonaws.com/" {
		t.Errorf("the request goes to %s", got.URL)
	}
}

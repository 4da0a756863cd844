package vault_test

import (
	"strings"
	"testing"

	"quilt-rotate/internal/vault"
)

func TestIsSecretID(t *testing.T) {
	// Names of secrets may look like keys. A key that was pasted in place of a name is refused.
	const (
		key = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"
		arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:"
	)
	for text, want := range map[string]bool{
		arn + "prod/pipeline-a1b2c3":                                           true,
		arn + "team/qk_pipeline-a1b2c3":                                        true,
		arn + "qk_a_long_name_of_a_secret_that_starts_like_a_key-a1b2c3":       true,
		"arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a-b1": true,
		"arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:a+=.@_-/b":   true,
		"prod/pipeline":                true,
		"team/qk_pipeline":             true,
		"qk_pipeline":                  true,
		"":                             false,
		" ":                            false,
		"prod pipeline":                false,
		key:                            false,
		"x" + key:                      false,
		"prod/" + key + "/more":        false,
		strings.Repeat("x", 520):       false,
		arn:                            false,
		arn + "a:b":                    false,
		arn + "a b":                    false,
		arn + strings.Repeat("x", 520): false,
		"arn:aws:secretsmanager:eu-central-1:" + "11112222333" + ":secret:a-b1":   false,
		"arn:aws:secretsmanager:" + key + ":111122223333:secret:a-b1":             false,
		"arn:" + key + ":secretsmanager:eu-central-1:111122223333:secret:a-b1":    false,
		"arn:aws:ssm:eu-central-1:111122223333:parameter:a":                       false,
		"arn:aws:secretsmanager:eu-central-1:111122223333:secret":                 false,
		key + ":aws:secretsmanager:eu-central-1:111122223333:secret:a-b1":         false,
		"arn:aws:secretsmanager:eu-central-1:111122223333:" + key + ":a-b1":       false,
		"arn:aws:secretsmanager:eu-central-1:111122223333:secret:a-b1\n" + "next": false,
	} {
		if got := vault.IsSecretID(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

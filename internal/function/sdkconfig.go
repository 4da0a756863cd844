//go:build awsconfig

package function

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/settings"
)

// newSecretsManager makes the client from all that the SDK knows to read: variables, profiles, credentials of containers, web identity, SSO
// and instances. It is for functions that run elsewhere than plain Lambda; see environment.go for the price.
func newSecretsManager(ctx context.Context, _ settings.Lookup) (*secretsmanager.Client, error) {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return secretsmanager.NewFromConfig(c), nil
}

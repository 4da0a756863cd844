package quiltkey_test

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	quiltkey "quilt-rotate/docs/consumers/go"
)

// A client of the registry whose requests always have a key that works.
func Example() {
	aws, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		return
	}
	registry := &http.Client{
		Timeout: time.Minute,
		Transport: &quiltkey.Transport{Source: &quiltkey.Source{
			Client:   secretsmanager.NewFromConfig(aws),
			SecretID: "prod/pipeline",
			Field:    "QUILT_API_KEY",
		}},
	}
	_ = registry // registry.Post("https://registry.example.com/graphql", "application/json", body)
}

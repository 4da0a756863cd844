// Command floor is the smallest Go function that creates a Secrets Manager client with the SDK's
// configuration and sends one request for each event. It is the baseline of the deployed functions,
// because no function that uses the SDK can need less.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

func main() {
	c, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	client := secretsmanager.NewFromConfig(c)
	lambda.Start(func(ctx context.Context) error {
		_, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("none")})
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok { // the expected answer
			return nil
		}
		return fmt.Errorf("got the error %v, want ResourceNotFoundException", err)
	})
}

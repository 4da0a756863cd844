// Command floor is the smallest Go function that has a client of Secrets Manager, made by the SDK's
// own configuration, and asks it one thing for each event. It is the fair yardstick for the
// service's functions: no function that uses the SDK can cost less.
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
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok { // the answer that is expected
			return nil
		}
		return fmt.Errorf("got %v, not that there is no such secret", err)
	})
}

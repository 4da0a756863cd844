// Command calling is the smallest Go function that sends requests to both services. It is the
// baseline for the memory with TLS.
package main

import (
	"context"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) error {
		for _, name := range []string{"AWS_ENDPOINT_URL", "QUILT_REGISTRY_URL"} {
			response, err := http.Get(os.Getenv(name))
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				return err
			}
			if err := response.Body.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

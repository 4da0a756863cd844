// Command smallest is the smallest Go function that Lambda can run: what the service's own
// functions are measured beside.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) error { return nil })
}

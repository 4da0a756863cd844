// Command smallest is the smallest Go function that Lambda can run. It is a baseline of the
// deployed functions.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) error { return nil })
}

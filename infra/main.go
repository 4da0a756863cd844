// Command infra is the CDK app: it checks the configuration, builds the functions and synthesizes
// the stack. `npx cdk deploy` runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/config"
	"quilt-rotate/infra/stack"
)

func main() { os.Exit(run()) }

// run returns the exit status. It recovers panics of the CDK's library, so that the user sees a
// message and no stack trace.
func run() (status int) {
	c, err := config.Load(configFile(), config.AWS{Account: os.Getenv("CDK_DEFAULT_ACCOUNT"),
		Region: os.Getenv("CDK_DEFAULT_REGION")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	packages, err := buildFunctions(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer closeLibrary()
	defer func() {
		if cause := recover(); cause != nil {
			fmt.Fprintln(os.Stderr, "synthesize the stack:", cause)
			status = 1
		}
	}()
	app := awscdk.NewApp(nil)
	stack.New(app, c, packages)
	app.Synth(nil)
	return 0
}

// closeLibrary ends the process of the CDK's library. It discards the last output, because the
// library waits for that process twice at the same time and then sometimes reports that it "exited
// abnormally" (jsii-runtime-go, Process.Close).
func closeLibrary() {
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	jsii.Close()
}

// configFile returns the value of -c config=FILE of the cdk command, or config.yaml. It does not
// use the CDK's library, which takes a second to start.
func configFile() string {
	var context struct {
		Config string `json:"config"`
	}
	if json.Unmarshal([]byte(os.Getenv("CDK_CONTEXT_JSON")), &context) == nil && context.Config != "" {
		return context.Config
	}
	return "config.yaml"
}

// buildFunctions writes the functions' packages to build/infra of the checkout.
func buildFunctions(c *config.Config) (stack.Packages, error) {
	folder, err := os.Getwd()
	if err != nil {
		return stack.Packages{}, err
	}
	root, err := bundle.Root(folder)
	if err != nil {
		return stack.Packages{}, err
	}
	out := filepath.Join(root, "build", "infra", c.Stack)
	if err := bundle.Build(root, out, c.CABundleBytes()); err != nil {
		return stack.Packages{}, err
	}
	return stack.Packages{Rotate: filepath.Join(out, "rotate.zip"), Revoke: filepath.Join(out, "revoke.zip")}, nil
}

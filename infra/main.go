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

// run returns the exit status. Errors are reported in plain lines, because the CDK's library panics
// with stack traces.
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

// closeLibrary ends the process of the CDK's library. The library waits for that process twice at
// the same time, and sometimes reports without a reason that it "exited abnormally"
// (jsii-runtime-go, Process.Close). So its last output is discarded.
func closeLibrary() {
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	jsii.Close()
}

// configFile is the value of -c config=FILE of the cdk command. It is read without the CDK's
// library, which takes a second to start.
func configFile() string {
	var context struct {
		Config string `json:"config"`
	}
	if json.Unmarshal([]byte(os.Getenv("CDK_CONTEXT_JSON")), &context) == nil && context.Config != "" {
		return context.Config
	}
	return "config.yaml"
}

// buildFunctions puts the packages into build/infra of the checkout.
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

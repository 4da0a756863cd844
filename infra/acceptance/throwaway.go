package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"go.yaml.in/yaml/v3"

	"quilt-rotate/infra/config"
)

// prefix is the beginning of the name of every temporary stack. The removal refuses other names.
const prefix = "quilt-rotate-acceptance-"

func newName() string {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	return prefix + hex.EncodeToString(random)
}

// A throwaway is the temporary stack of a run and everything else with its name: the stack of
// another team, the stack that records events, and the secrets <name>/… The removal finds
// everything by the name.
type throwaway struct {
	name   string
	config *config.Config // of the user
	cloud  *cloud
	run    *runner

	rotate, revoke lambdaFunction
	machine        string // ARN of the state machine of the sweeps
}

func (t *throwaway) service() string  { return t.name + "/service" }
func (t *throwaway) team() string     { return t.name + "/team" }
func (t *throwaway) scratch() string  { return t.name + "/scratch" }
func (t *throwaway) stranger() string { return t.name + "/stranger" }

func (t *throwaway) teamStack() string  { return t.name + "-team" }
func (t *throwaway) watchStack() string { return t.name + "-watch" }

// logGroup is where the events are written.
func (t *throwaway) logGroup() string { return "/aws/events/" + t.watchStack() }

// folder has the files of the run. The report stays there.
func (t *throwaway) folder() string { return filepath.Join(t.run.root, "build", "acceptance", t.name) }

// issuer is the first issuing credential in the user's file.
func (t *throwaway) issuer() string {
	for _, k := range t.config.All() {
		if k.Issuer != "" {
			return k.Issuer
		}
	}
	if len(t.config.Issuers) > 0 {
		return t.config.Issuers[0]
	}
	return ""
}

// file returns the configuration of the temporary stack: the registry, the network and the rules of
// the user's file, one new secret, and the minimum orphan age. Like every stack, it also sweeps the
// other secrets of its registry, so its grace and quiet periods are not shorter than in the user's
// file. Tags shorten the periods of its own secret after the deployment.
func (t *throwaway) file() ([]byte, error) {
	c := t.config
	key := map[string]any{"name": t.service(), "schedule": "rate(30 days)"}
	grace, quiet := config.Duration(config.MinGrace), config.Duration(0)
	for _, k := range c.All() {
		grace, quiet = max(grace, config.Duration(k.GracePeriod())), max(quiet, config.Duration(k.QuietPeriod()))
	}
	key["grace"], key["quiet"] = grace.String(), quiet.String()
	if issuer := t.issuer(); issuer != "" {
		key["issuer"] = issuer
	}
	file := map[string]any{
		"stack": t.name, "account": c.Account, "region": c.Region, "registry": c.Registry, "environment": "acceptance",
		"terminationProtection": false, "orphanAge": config.Duration(config.MinOrphanAge).String(),
		"logRetentionDays": 1,
		"keys":             []any{key},
	}
	if len(c.Tags) > 0 {
		file["tags"] = c.Tags
	}
	if c.Network != nil {
		file["network"] = c.Network
	}
	if c.PermissionsBoundary != "" {
		file["permissionsBoundary"] = c.PermissionsBoundary
	}
	if c.KMSKey != config.AWSManaged && c.KMSKey != config.NewKey {
		file["kmsKey"] = c.KMSKey
	}
	if c.CABundleBytes() != nil {
		file["caBundle"] = "ca.pem"
	}
	return yaml.Marshal(file)
}

// deploy writes the configuration and deploys it with the cdk command, like make deploy. If the
// program dies in between, CloudFormation continues. The removal then deletes the stack.
func (t *throwaway) deploy(ctx context.Context) error {
	text, err := t.file()
	if err == nil {
		err = os.MkdirAll(t.folder(), 0o700)
	}
	if bundle := t.config.CABundleBytes(); bundle != nil {
		err = errors.Join(err, os.WriteFile(filepath.Join(t.folder(), "ca.pem"), bundle, 0o600))
	}
	file := filepath.Join(t.folder(), "config.yaml")
	if err := errors.Join(err, os.WriteFile(file, text, 0o600)); err != nil {
		return err
	}
	if err := t.run.cdk(ctx, "deploy", "--method=direct", "--require-approval", "never", "--progress", "events",
		"-c", "config="+file, "--output", filepath.Join(t.folder(), "cdk.out")); err != nil {
		return err
	}
	return t.find(ctx)
}

// find finds the functions and the state machine of the deployed stack.
func (t *throwaway) find(ctx context.Context) error {
	stack, err := t.cloud.stack(ctx, t.name)
	if err != nil {
		return err
	}
	outputs := map[string]string{}
	for _, o := range stack.Outputs {
		outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	if t.rotate, err = t.cloud.function(ctx, outputs["RotateFunction"]); err != nil {
		return err
	}
	if t.revoke, err = t.cloud.function(ctx, outputs["RevokeFunction"]); err != nil {
		return err
	}
	resources, err := t.cloud.stacks.DescribeStackResources(ctx,
		&cloudformation.DescribeStackResourcesInput{StackName: &t.name})
	if err != nil {
		return fmt.Errorf("list the resources of the stack %s: %w", t.name, err)
	}
	for _, r := range resources.StackResources {
		if aws.ToString(r.ResourceType) == "AWS::StepFunctions::StateMachine" {
			t.machine = aws.ToString(r.PhysicalResourceId)
		}
	}
	return nil
}

//go:embed watch.yaml
var watchTemplate string

// watch deploys the rule that writes events into a log group.
func (t *throwaway) watch(ctx context.Context) error {
	return t.cloud.create(ctx, t.watchStack(), watchTemplate, nil)
}

// deployTeam deploys the template of docs/tools, as another team would. The template finds the
// function by a parameter of Systems Manager.
func (t *throwaway) deployTeam(ctx context.Context) error {
	template, err := os.ReadFile(filepath.Join(t.run.root, "docs", "tools", "cloudformation.yaml"))
	if err != nil {
		return err
	}
	return t.cloud.create(ctx, t.teamStack(), string(template), map[string]string{
		"RotateFunction": "/quilt-rotate/" + t.name + "/rotate-function-arn", "Registry": t.config.Registry,
		"SecretName": t.team(),
	})
}

func (c *cloud) stack(ctx context.Context, name string) (types.Stack, error) {
	got, err := c.stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return types.Stack{}, fmt.Errorf("ask for the stack %s: %w", name, err)
	}
	if len(got.Stacks) == 0 {
		return types.Stack{}, errNoStack
	}
	return got.Stacks[0], nil
}

var errNoStack = errors.New("there is no such stack")

// noStack reports whether the stack does not exist. CloudFormation then answers ValidationError
// (CloudFormation API reference, "DescribeStacks").
func noStack(err error) bool {
	refusal, ok := errors.AsType[smithy.APIError](err)
	return errors.Is(err, errNoStack) || ok && refusal.ErrorCode() == "ValidationError"
}

const stackTime = 20 * time.Minute

func (c *cloud) create(ctx context.Context, name, template string, parameters map[string]string) error {
	in := &cloudformation.CreateStackInput{StackName: &name, TemplateBody: &template}
	for key, value := range parameters {
		in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: &key, ParameterValue: &value})
	}
	if _, err := c.stacks.CreateStack(ctx, in); err != nil {
		return fmt.Errorf("create the stack %s: %w", name, err)
	}
	return await(ctx, stackTime, func() (bool, error) {
		stack, err := c.stack(ctx, name)
		if err == nil && strings.HasSuffix(string(stack.StackStatus), "ROLLBACK_COMPLETE") ||
			strings.HasSuffix(string(stack.StackStatus), "FAILED") {
			return true, fmt.Errorf("the stack %s is "+
				"%s: %s", name, stack.StackStatus, aws.ToString(stack.StackStatusReason))
		}
		return stack.StackStatus == types.StackStatusCreateComplete, err
	})
}

// deleteStack deletes a stack if it exists, and waits until it is deleted.
func (c *cloud) deleteStack(ctx context.Context, name string) error {
	if _, err := c.stack(ctx, name); noStack(err) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := c.stacks.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &name}); err != nil {
		return fmt.Errorf("delete the stack %s: %w", name, err)
	}
	return await(ctx, stackTime, func() (bool, error) {
		stack, err := c.stack(ctx, name)
		switch {
		case noStack(err) || stack.StackStatus == types.StackStatusDeleteComplete:
			return true, nil
		case stack.StackStatus == types.StackStatusDeleteFailed:
			return true, fmt.Errorf("the stack %s cannot be deleted: %s", name, aws.ToString(stack.StackStatusReason))
		}
		return false, err
	})
}

package managed

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
)

// ErrNoStack reports that no stack publishes a rotate function in this account and region.
var ErrNoStack = errors.New("no rotate function was found in this account and region")

// FindRotateFunction returns the rotate function of a stack: the given function, or the only one
// that the stacks of this account and region publish. If registry is not "", functions of other
// registries do not count.
func FindRotateFunction(ctx context.Context, c *awsclient.Cloud, given, registry string) (awsclient.Function, error) {
	const name = "name the rotate function with --rotate-function: it is among the outputs of its stack"
	arns := []string{given}
	if given == "" {
		var err error
		if arns, err = c.RotateFunctions(ctx); awsclient.Denied(err) {
			return awsclient.Function{}, terminal.WithHint(awsclient.Explain(err), name)
		} else if err != nil {
			return awsclient.Function{}, err
		}
	}
	var found []awsclient.Function
	var names []string
	for _, arn := range arns {
		f, err := c.Function(ctx, arn)
		if awsclient.NotFound(err) && given == "" { // its stack is being deleted
			continue
		}
		if awsclient.NotFound(err) {
			return f, terminal.WithHint(fmt.Errorf("there is no function %s in this account and region", given), name)
		}
		if err != nil {
			return f, err
		}
		url, err := settings.RegistryURL(f.Environment[settings.EnvRegistryURL])
		switch {
		case given != "" && f.Tags[settings.TagRevokeFunction] == "": // such as the revoke function
			return f, terminal.WithHint(fmt.Errorf("the function %s has no tag %s: it is not a rotate function of "+
				"quilt-rotate, or its tags may not be read", f.Name, settings.TagRevokeFunction),
				name+"; or use credentials with the permission lambda:ListTags")
		case given != "" && err != nil:
			return f, fmt.Errorf("the function %s: %s %w", f.Name, settings.EnvRegistryURL, err)
		case given != "" && registry != "" && url != registry:
			return f, fmt.Errorf("the function %s uses the registry %s, not %s", f.Name, url, registry)
		case err == nil && (registry == "" || url == registry):
			found, names = append(found, f), append(names, f.Name)
		}
	}
	switch len(found) {
	case 0:
		return awsclient.Function{}, terminal.WithHint(ErrNoStack, "deploy a stack (infra/README.md), or "+name)
	case 1:
		return found[0], nil
	}
	return awsclient.Function{}, terminal.WithHint(fmt.Errorf("there are several rotate functions in this account "+
		"and region: %s", strings.Join(names, ", ")), name)
}

// SweepSchedule reads the schedule that starts all sweeps of the rotate function's stack. named is
// false if the function has no tag with the schedule, because an older release deployed it.
func SweepSchedule(ctx context.Context, c *awsclient.Cloud, f awsclient.Function) (s awsclient.Schedule, named bool,
	err error) {
	name := f.Tags[settings.TagSchedule]
	if name == "" {
		return s, false, nil
	}
	s, err = c.Schedule(ctx, name)
	if awsclient.NotFound(err) {
		err = terminal.WithHint(fmt.Errorf("the schedule %s no longer exists, so no sweep runs: somebody deleted it",
			name), "create it again with the name and the properties in the template of the stack, because a "+
			"deployment does not create it again: aws cloudformation get-template --stack-name STACK")
	}
	return s, true, err
}

package awsclient

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"quilt-rotate/internal/awsconfig"
)

// ask calls an operation of a service with JSON 1.1.
func (c *Cloud) ask(ctx context.Context, doing, service, target string, in, out any) error {
	return newError(doing, awsconfig.Send(ctx, c.config, awsconfig.Request{Service: service, Method: "POST", Path: "/",
		Target: target, In: in}, out))
}

// RotateFunctions returns the ARNs of the rotate functions of all stacks in the account and region.
// Each stack publishes its function in the parameter /quilt-rotate/<stack>/rotate-function-arn.
func (c *Cloud) RotateFunctions(ctx context.Context) (arns []string, _ error) {
	in := map[string]any{"Path": "/quilt-rotate", "Recursive": true}
	for {
		var page struct {
			Parameters []struct{ Name, Value string }
			NextToken  string
		}
		if err := c.ask(ctx, "find the stacks by their parameters", "ssm", "AmazonSSM.GetParametersByPath", in,
			&page); err != nil {
			return nil, err
		}
		for _, p := range page.Parameters {
			if strings.HasSuffix(p.Name, "/rotate-function-arn") {
				arns = append(arns, p.Value)
			}
		}
		if in["NextToken"] = page.NextToken; page.NextToken == "" {
			return arns, nil
		}
	}
}

// Schedule is an EventBridge schedule of the default group.
type Schedule struct {
	Name    string
	Enabled bool
	Target  string // ARN
	members map[string]json.RawMessage
}

func (c *Cloud) schedule(ctx context.Context, doing, method, name string, in, out any) error {
	return newError(doing+" the schedule "+name, awsconfig.Send(ctx, c.config, awsconfig.Request{Service: "scheduler",
		Method: method, Path: "/schedules/" + url.PathEscape(name), In: in}, out))
}

// Schedule reads a schedule.
func (c *Cloud) Schedule(ctx context.Context, name string) (Schedule, error) {
	s := Schedule{Name: name}
	if err := c.schedule(ctx, "read", "GET", name, nil, &s.members); err != nil {
		return s, err
	}
	var target struct{ Arn string }
	_ = json.Unmarshal(s.members["Target"], &target) // the ARN is only shown
	// without a state it is enabled (API reference, GetSchedule)
	s.Target, s.Enabled = target.Arn, string(s.members["State"]) != `"DISABLED"`
	return s, nil
}

// SwitchSchedule enables or disables a schedule. UpdateSchedule replaces the whole schedule, so the
// request has all members that [Cloud.Schedule] has read. If the answer is lost, the same request
// is sent again with the same token.
func (c *Cloud) SwitchSchedule(ctx context.Context, s Schedule, enabled bool) error {
	in := map[string]any{"ClientToken": uuid.NewString(), "State": "DISABLED"}
	if enabled {
		in["State"] = "ENABLED"
	}
	for member, value := range s.members {
		switch member {
		// members of the answer only, the name in the path, and the state
		case "Arn", "Name", "CreationDate", "LastModificationDate", "State":
		default:
			in[member] = value
		}
	}
	return c.schedule(ctx, "switch", "PUT", s.Name, in, nil)
}

// Key is a KMS key.
type Key struct {
	Arn, KeyState string
	Policy        string `json:"-"` // in JSON
}

// Key describes a KMS key, by its id, ARN or alias, and reads its policy.
func (c *Cloud) Key(ctx context.Context, id string) (Key, error) {
	var described struct{ KeyMetadata Key }
	if err := c.ask(ctx, "describe the KMS key "+id, "kms", "TrentService.DescribeKey", map[string]string{"KeyId": id},
		&described); err != nil {
		return Key{}, err
	}
	k := described.KeyMetadata
	var policy struct{ Policy string }
	in := map[string]string{"KeyId": k.Arn, "PolicyName": "default"} // GetKeyPolicy takes no alias
	err := c.ask(ctx, "read the policy of the KMS key "+id, "kms", "TrentService.GetKeyPolicy", in, &policy)
	k.Policy = policy.Policy
	return k, err
}

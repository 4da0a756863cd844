package awsclient

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// RotateFunctions returns the ARNs of the rotate functions of all stacks in the account and region, which each stack publishes as a parameter
// /quilt-rotate/<stack>/rotate-function-arn.
func (c *Cloud) RotateFunctions(ctx context.Context) (arns []string, _ error) {
	in := map[string]any{"Path": "/quilt-rotate", "Recursive": true}
	for {
		var page struct {
			Parameters []struct{ Name, Value string }
			NextToken  string
		}
		if err := c.send(ctx, "find the stacks by their parameters", jsonRequest("ssm", "SSM", "AmazonSSM.GetParametersByPath", in), &page); err != nil {
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

func jsonRequest(service, sdkID, target string, in any) signedRequest {
	return signedRequest{service, sdkID, "POST", "/", target, in}
}

// Schedule is an EventBridge schedule of the default group.
type Schedule struct {
	Name    string
	Enabled bool
	Target  string // ARN
	members map[string]json.RawMessage
}

// Schedule reads a schedule.
func (c *Cloud) Schedule(ctx context.Context, name string) (Schedule, error) {
	s := Schedule{Name: name}
	if err := c.send(ctx, "read the schedule "+name, signedRequest{service: "scheduler", sdkID: "Scheduler", method: "GET", path: schedulePath(name)}, &s.members); err != nil {
		return s, err
	}
	var target struct{ Arn string }
	_ = json.Unmarshal(s.members["Target"], &target)                             // the ARN is only shown
	s.Target, s.Enabled = target.Arn, string(s.members["State"]) != `"DISABLED"` // without a state it is on (API reference, GetSchedule)
	return s, nil
}

// SwitchSchedule enables or disables a schedule. UpdateSchedule replaces the whole schedule, so it sends everything that [Cloud.Schedule] has read. If the
// answer is lost, the same request is sent again with the same token.
func (c *Cloud) SwitchSchedule(ctx context.Context, s Schedule, enabled bool) error {
	in := map[string]any{"ClientToken": uuid.NewString(), "State": map[bool]string{true: "ENABLED", false: "DISABLED"}[enabled]}
	for member, value := range s.members {
		switch member {
		case "Arn", "Name", "CreationDate", "LastModificationDate", "State": // of the answer only, the name in the path, and the state
		default:
			in[member] = value
		}
	}
	return c.send(ctx, "switch the schedule "+s.Name, signedRequest{"scheduler", "Scheduler", "PUT", schedulePath(s.Name), "", in}, nil)
}

func schedulePath(name string) string { return "/schedules/" + url.PathEscape(name) }

// Key is a KMS key.
type Key struct {
	Arn, KeyManager, KeyState string
	Policy                    string `json:"-"` // in JSON; "" for a key that AWS manages
}

// Key describes a KMS key, by its id, ARN or alias, and reads its policy.
func (c *Cloud) Key(ctx context.Context, id string) (Key, error) {
	var described struct{ KeyMetadata Key }
	if err := c.send(ctx, "describe the KMS key "+id, jsonRequest("kms", "KMS", "TrentService.DescribeKey", map[string]string{"KeyId": id}), &described); err != nil {
		return Key{}, err
	}
	k := described.KeyMetadata
	if k.KeyManager == "AWS" {
		return k, nil
	}
	var policy struct{ Policy string }
	in := map[string]string{"KeyId": k.Arn, "PolicyName": "default"} // GetKeyPolicy takes no alias
	err := c.send(ctx, "read the policy of the KMS key "+id, jsonRequest("kms", "KMS", "TrentService.GetKeyPolicy", in), &policy)
	k.Policy = policy.Policy
	return k, err
}

package keyrotation

import "github.com/aws/aws-cdk-go/awscdk/v2"

// accepted is a finding of cdk-nag's AwsSolutions rules that stays, with the reason why.
type accepted struct {
	rule   string
	of     string // what of the resource the rule complains about; "": all of it
	reason string
}

// accept writes beside a resource which findings stay (see infra/nag).
func accept(resource awscdk.CfnResource, findings ...accepted) {
	var rules list
	for _, f := range findings {
		rule := object{"id": f.rule, "reason": f.reason}
		if f.of != "" {
			rule["applies_to"] = list{f.of}
		}
		rules = append(rules, rule)
	}
	key := "cdk_nag"
	resource.AddMetadata(&key, object{"rules_to_suppress": rules})
}

package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// accepted is a finding of cdk-nag's AwsSolutions rules that stays, with the reason.
type accepted struct{ rule, reason string }

// accept records in the metadata of a resource which findings stay (see infra/nag).
func accept(resource awscdk.CfnResource, findings ...accepted) {
	var rules list
	for _, f := range findings {
		rules = append(rules, object{"id": f.rule, "reason": f.reason})
	}
	resource.AddMetadata(jsii.String("cdk_nag"), object{"rules_to_suppress": rules})
}

package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// accepted is a suppressed finding of cdk-nag's AwsSolutions rules, with the reason.
type accepted struct{ rule, reason string }

// accept writes suppressed findings to the metadata of a resource, where infra/nag reads them.
func accept(resource awscdk.CfnResource, findings ...accepted) {
	var rules list
	for _, f := range findings {
		rules = append(rules, object{"id": f.rule, "reason": f.reason})
	}
	resource.AddMetadata(jsii.String("cdk_nag"), object{"rules_to_suppress": rules})
}

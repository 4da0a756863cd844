package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"

	"quilt-rotate/infra/logicalid"
)

// pin and pinAt keep the logical ids of earlier releases, which used L1 constructs.
func pin[R awscdk.CfnResource](l2 constructs.IConstruct) R { return logicalid.Pin[R](l2) }

func pinAt[R awscdk.CfnResource](resource, scope constructs.IConstruct, id string) R {
	return logicalid.PinAt[R](resource, scope, id)
}

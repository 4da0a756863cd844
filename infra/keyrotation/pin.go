package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"

	"quilt-rotate/infra/logicalid"
)

// pin keeps the logical id of earlier releases, which used L1 constructs.
func pin[R awscdk.CfnResource](l2 constructs.IConstruct) R { return logicalid.Pin[R](l2) }

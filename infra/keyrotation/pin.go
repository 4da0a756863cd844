package keyrotation

import (
	"crypto/md5" //nolint:gosec // as the CDK itself
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// pin returns the resource of an L2 construct and gives it the logical id that an L1 construct with the same path has. Earlier releases used L1 constructs:
// with another id, an update would replace the resource. A logical id ends with 8 hexadecimal digits of the MD5 of the path, and the path of an L2
// construct's resource ends with /Resource (CDK developer guide, "Logical IDs").
func pin[R awscdk.CfnResource](l2 constructs.Construct) R {
	resource, stack := l2.Node().DefaultChild().(R), awscdk.Stack_Of(l2)
	path := strings.TrimPrefix(*l2.Node().Path(), *stack.Node().Path()+"/")
	human := strings.TrimSuffix(*stack.GetLogicalId(resource), hashOf(path+"/Resource"))
	resource.OverrideLogicalId(jsii.String(human + hashOf(path)))
	return resource
}

func hashOf(path string) string {
	return fmt.Sprintf("%X", md5.Sum([]byte(path)))[:8] //nolint:gosec // as the CDK itself
}

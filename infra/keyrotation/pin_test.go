package keyrotation

import (
	"os"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

func TestPinGivesTheIDOfAnL1Construct(t *testing.T) {
	if err := os.Setenv("TMPDIR", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer jsii.Close()
	idIn := func(resource func(constructs.Construct) awscdk.CfnResource) any {
		stack := awscdk.NewStack(awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir())}), jsii.String("a-stack"), nil)
		return stack.Resolve(resource(constructs.NewConstruct(stack, jsii.String("Key-Rotation"))).LogicalId())
	}
	l1 := idIn(func(scope constructs.Construct) awscdk.CfnResource {
		return awssqs.NewCfnQueue(scope, jsii.String("Rotation"), nil)
	})
	l2 := idIn(func(scope constructs.Construct) awscdk.CfnResource {
		return pin[awssqs.CfnQueue](awssqs.NewQueue(scope, jsii.String("Rotation"), nil))
	})
	if l1 != l2 {
		t.Errorf("the L1 construct has the id %s, the pinned L2 construct %s", l1, l2)
	}
}

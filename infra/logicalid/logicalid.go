// Package logicalid keeps the logical ids of deployed resources when an L2 construct replaces an L1
// construct. If the logical id of a resource changed, CloudFormation would create a new resource
// and delete the deployed one. It is a package of its own because keyrotation and stack both use
// it.
package logicalid

import (
	"crypto/md5" //nolint:gosec // as the CDK itself
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Pin gives the resource of an L2 construct the logical id of an L1 construct with the same path,
// and returns the resource.
func Pin[R awscdk.CfnResource](l2 constructs.IConstruct) R {
	return PinAt[R](l2.Node().DefaultChild(), l2.Node().Scope(), *l2.Node().Id())
}

// PinAt gives a resource the logical id of an L1 construct with this id in this scope.
func PinAt[R awscdk.CfnResource](resource, scope constructs.IConstruct, id string) R {
	path := strings.TrimPrefix(*scope.Node().Path(), *awscdk.Stack_Of(scope).Node().Path()) + "/" + id
	r := resource.(R)
	r.OverrideLogicalId(jsii.String(of(strings.TrimPrefix(path, "/"))))
	return r
}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]`)

// of returns the logical id for a path as the CDK does: the ids on the path without their special
// characters, and a digest of the path.
func of(path string) string {
	human, last := "", ""
	for id := range strings.SplitSeq(path, "/") {
		if last == "" || !strings.HasSuffix(last, id) {
			human, last = human+notAlphanumeric.ReplaceAllString(id, ""), id
		}
	}
	return fmt.Sprintf("%.240s%.4X", human, md5.Sum([]byte(path))) //nolint:gosec // as the CDK itself
}

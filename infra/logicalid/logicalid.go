// Package logicalid keeps the logical ids of resources when an L1 construct becomes an L2 construct. CloudFormation takes a resource with another id for another
// resource: it would create a second one and delete the first.
package logicalid

import (
	"crypto/md5"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// Pin gives the resource of an L2 construct the logical id that an L1 resource with this id in this scope has. It returns the resource.
func Pin(scope constructs.IConstruct, id string, l2 constructs.IConstruct) awscdk.CfnResource {
	resource, direct := l2.(awscdk.CfnResource)
	if !direct {
		resource = l2.Node().DefaultChild().(awscdk.CfnResource)
	}
	path := strings.TrimPrefix(*scope.Node().Path(), *awscdk.Stack_Of(scope).Node().Path()) + "/" + id
	resource.OverrideLogicalId(jsii.String(of(strings.TrimPrefix(path, "/"))))
	return resource
}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]`)

// of is the CDK's own rule: the ids on the path without their special characters, and a digest of the path.
func of(path string) string {
	digest := md5.Sum([]byte(path))
	human, last := "", ""
	for id := range strings.SplitSeq(path, "/") {
		if last == "" || !strings.HasSuffix(last, id) {
			human, last = human+notAlphanumeric.ReplaceAllString(id, ""), id
		}
	}
	return human[:min(len(human), 240)] + strings.ToUpper(hex.EncodeToString(digest[:4]))
}

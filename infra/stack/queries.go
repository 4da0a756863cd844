package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsathena"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/internal/quilt/trail"
)

// addQueries creates the queries of the registry's audit trail that the operators' command runs as
// named queries of Athena.
func addQueries(stack awscdk.Stack, c *config.Config) {
	if c.Audit == nil {
		return
	}
	for _, q := range trail.Stored() {
		awsathena.NewCfnNamedQuery(stack, jsii.String("Query"+q.ID), &awsathena.CfnNamedQueryProps{
			Name: jsii.String(c.Stack + ": " + q.Name), Description: jsii.String(q.Description),
			Database: jsii.String(c.Audit.Database), WorkGroup: jsii.String(c.Audit.Workgroup),
			QueryString: jsii.String(q.SQL),
		})
	}
}

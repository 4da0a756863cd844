package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/logicalid"
)

// object and list are JSON.
type (
	object = map[string]any
	list   = []any
)

// document returns a policy document.
func document(statements ...any) object {
	return object{"Version": "2012-10-17", "Statement": statements}
}

// allow returns a statement with at most one condition block.
func allow(sid string, actions list, resources any, condition ...object) object {
	statement := object{"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
	if len(condition) > 0 {
		statement["Condition"] = condition[0]
	}
	return statement
}

// newRole creates the role of a service, with the statements as its inline policy and with the
// permissions boundary.
func (k *keyRotation) newRole(id, service, description string, condition object, statements ...any) awsiam.Role {
	props := &awsiam.RoleProps{
		Description: jsii.String(description),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String(service),
			&awsiam.ServicePrincipalOpts{Conditions: &condition}),
	}
	if len(statements) > 0 {
		props.InlinePolicies = &map[string]awsiam.PolicyDocument{
			"Run": awsiam.PolicyDocument_FromJson(document(statements...))}
	}
	if k.props.PermissionsBoundary != nil {
		boundary := jsii.String(id + "Boundary")
		props.PermissionsBoundary = awsiam.ManagedPolicy_FromManagedPolicyArn(k, boundary, k.props.PermissionsBoundary)
	}
	role := awsiam.NewRole(k, jsii.String(id), props)
	logicalid.Pin[awsiam.CfnRole](role)
	return role
}

// fromHere returns the condition that a service acts for this account. It prevents other accounts
// from using a role or a topic through the service.
func (k *keyRotation) fromHere() object {
	return object{"StringEquals": object{"aws:SourceAccount": *awscdk.Stack_Of(k).Account()}}
}

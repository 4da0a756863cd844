package keyrotation

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"
)

// object and list are JSON.
type (
	object = map[string]any
	list   = []any
)

// document is a policy.
func document(statements ...any) object {
	return object{"Version": "2012-10-17", "Statement": statements}
}

// allow is a statement; a condition may follow.
func allow(sid string, actions list, resources any, condition ...object) object {
	statement := object{"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
	if len(condition) > 0 {
		statement["Condition"] = condition[0]
	}
	return statement
}

// newRole makes a role for a service, with the boundary that every role has.
func (k *keyRotation) newRole(name, service, description string, condition object, policies map[string]object) awsiam.CfnRole {
	trust := object{"Effect": "Allow", "Principal": object{"Service": service}, "Action": "sts:AssumeRole"}
	if condition != nil {
		trust["Condition"] = condition
	}
	var inline []any
	for policy, content := range policies { // one at most: no order
		inline = append(inline, &awsiam.CfnRole_PolicyProperty{PolicyName: jsii.String(policy), PolicyDocument: content})
	}
	return awsiam.NewCfnRole(k, jsii.String(name), &awsiam.CfnRoleProps{
		Description: jsii.String(description), AssumeRolePolicyDocument: document(trust),
		PermissionsBoundary: k.props.PermissionsBoundary, Policies: inline,
	})
}

func (k *keyRotation) newFunctionRole(name string, logs awslogs.CfnLogGroup) awsiam.CfnRole {
	statements := list{allow("Logs", list{"logs:CreateLogStream", "logs:PutLogEvents"}, *logs.AttrArn())}
	if k.props.Network != nil {
		// What Lambda asks of a function's role to place it in a VPC (Lambda developer guide, "Giving Lambda functions access to resources in an Amazon
		// VPC"); these actions know no resources that could be named before.
		statements = append(statements, allow("Network", list{
			"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
			"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
		}, "*"))
	}
	role := k.newRole(name+"Role", "lambda.amazonaws.com", "Quilt key rotation: the function "+name, nil, map[string]object{"Run": document(statements...)})
	if k.props.Network != nil {
		accept(role, accepted{rule: "AwsSolutions-IAM5", of: "Resource::*",
			reason: "Lambda makes the network interfaces of a function in a VPC with its role, and nobody knows their ids before."})
	}
	return role
}

// fromHere keeps a service from being talked into using a role or queue for another account.
func (k *keyRotation) fromHere() object {
	return object{"StringEquals": object{"aws:SourceAccount": *awscdk.Stack_Of(k).Account()}}
}

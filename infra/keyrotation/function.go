package keyrotation

import (
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
)

// function is a function with what is its own.
type function struct {
	awslambda.CfnFunction
	role awsiam.CfnRole
	logs awslogs.CfnLogGroup
}

// newFunction makes a function without reserved concurrency: that would be taken from the account's, whose quota may be as small as 10, and a throttled rotation is
// one that fails.
func (k *keyRotation) newFunction(name, description string, zip *string, timeout time.Duration, securityGroups *[]*string) function {
	f := function{}
	retention := k.props.LogRetentionDays
	if retention == nil {
		retention = jsii.Number(config.DefaultLogRetention)
	}
	f.logs = awslogs.NewCfnLogGroup(k, jsii.String(name+"Logs"), &awslogs.CfnLogGroupProps{RetentionInDays: retention})
	f.role = k.newFunctionRole(name, f.logs)
	code := awss3assets.NewAsset(k, jsii.String(name+"Code"), &awss3assets.AssetProps{Path: zip})
	f.CfnFunction = awslambda.NewCfnFunction(k, jsii.String(name), &awslambda.CfnFunctionProps{
		Description:   jsii.String(description),
		Runtime:       jsii.String("provided.al2023"),
		Architectures: jsii.Strings("arm64"),
		Handler:       jsii.String("bootstrap"),
		Code:          &awslambda.CfnFunction_CodeProperty{S3Bucket: code.S3BucketName(), S3Key: code.S3ObjectKey()},
		Role:          f.role.AttrArn(),
		MemorySize:    jsii.Number(256),
		Timeout:       jsii.Number(timeout.Seconds()),
		LoggingConfig: &awslambda.CfnFunction_LoggingConfigProperty{
			LogFormat: jsii.String("JSON"), LogGroup: f.logs.Ref(), ApplicationLogLevel: k.platformLogLevel(), SystemLogLevel: jsii.String("INFO"),
		},
	})
	if k.props.Network != nil {
		f.SetVpcConfig(&awslambda.CfnFunction_VpcConfigProperty{SubnetIds: jsii.Strings(k.props.Network.Subnets...), SecurityGroupIds: securityGroups})
	}
	return f
}

// platformLogLevel is what Lambda lets pass: never less than INFO, since the lines with the metrics have no level of their own, and would be dropped.
func (k *keyRotation) platformLogLevel() *string {
	if *k.logLevel() == "DEBUG" {
		return jsii.String("DEBUG")
	}
	return jsii.String("INFO")
}

func (k *keyRotation) newSecurityGroups() *[]*string {
	n := k.props.Network
	if n == nil {
		return nil
	}
	if len(n.SecurityGroups) > 0 {
		return jsii.Strings(n.SecurityGroups...)
	}
	group := awsec2.NewCfnSecurityGroup(k, jsii.String("Calls"), &awsec2.CfnSecurityGroupProps{
		GroupDescription:    jsii.String("Quilt key rotation: calls out by HTTPS, and is called by nobody"),
		VpcId:               jsii.String(n.VPC),
		SecurityGroupEgress: k.egress(),
	})
	return &[]*string{group.AttrGroupId()}
}

const httpsPort = 443

// egress opens the port of HTTPS, and the registry's own where its URL names another.
func (k *keyRotation) egress() []any {
	rule := func(port int, description string) any {
		return &awsec2.CfnSecurityGroup_EgressProperty{
			IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(float64(port)), ToPort: jsii.Number(float64(port)), CidrIp: jsii.String("0.0.0.0/0"),
			Description: jsii.String(description),
		}
	}
	if port := portOf(*k.props.RegistryURL); port != httpsPort {
		return []any{rule(httpsPort, "Secrets Manager"), rule(port, "The registry")}
	}
	return []any{rule(httpsPort, "The registry and Secrets Manager")}
}

func portOf(httpsURL string) int {
	u, err := url.Parse(httpsURL)
	if err != nil {
		return httpsPort
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return httpsPort
	}
	return port
}

// newInvokeConfig: a sweep that fails is simply due again; a copy that Lambda repeats later would only disturb it.
func (k *keyRotation) newInvokeConfig() {
	awslambda.NewCfnEventInvokeConfig(k, jsii.String("RevokeOnce"), &awslambda.CfnEventInvokeConfigProps{
		FunctionName: k.revoke.Ref(), Qualifier: jsii.String("$LATEST"),
		MaximumRetryAttempts: jsii.Number(0), MaximumEventAgeInSeconds: jsii.Number(900),
	})
}

package keyrotation

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"quilt-rotate/infra/config"
	"quilt-rotate/infra/logicalid"
	"quilt-rotate/internal/settings"
)

// function is a Lambda function with its role and logs.
type function struct {
	awslambda.Function
	role        awsiam.Role
	permissions awsiam.CfnManagedPolicy // what it may do with secrets
	logs        awslogs.LogGroup
}

// newFunction creates a function without reserved concurrency. That would reduce the concurrency of
// the account, which can be as low as 10, and a throttled rotation fails. The logs are the record
// of revocations, so they are kept when the stack is deleted.
func (k *keyRotation) newFunction(id, description string, zip *string, timeout time.Duration,
	network *awslambda.CfnFunction_VpcConfigProperty,
) function {
	logs := &awslogs.LogGroupProps{RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE}
	f := function{logs: awslogs.NewLogGroup(k, jsii.String(id+"Logs"), logs)}
	logicalid.Pin[awslogs.CfnLogGroup](f.logs).SetRetentionInDays(k.props.LogRetentionDays)
	statements := list{allow("Logs", list{"logs:CreateLogStream", "logs:PutLogEvents"}, *f.logs.LogGroupArn())}
	if network != nil {
		// Lambda uses the function's role to attach the function to the VPC (Lambda developer
		// guide, "Giving Lambda functions access to resources in an Amazon VPC").
		statements = append(statements, allow("Network", list{
			"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
			"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
		}, "*"))
	}
	f.role = k.newRole(id+"Role", "lambda.amazonaws.com", "Quilt key rotation: the function "+id, nil, statements...)
	accept(f.role.Node().DefaultChild().(awsiam.CfnRole), accepted{"AwsSolutions-IAM5",
		"The names of the log streams, and of the network interfaces of a function in a VPC, are not known before " +
			"the deployment."})
	f.Function = awslambda.NewFunction(k, jsii.String(id), &awslambda.FunctionProps{
		Description: jsii.String(description), Code: awslambda.Code_FromAsset(zip, nil), Role: f.role, LogGroup: f.logs,
		Runtime: awslambda.Runtime_PROVIDED_AL2023(), Architecture: awslambda.Architecture_ARM_64(),
		Handler: jsii.String("bootstrap"), MemorySize: jsii.Number(256), Environment: k.environment(),
		Timeout:       awscdk.Duration_Seconds(jsii.Number(timeout.Seconds())),
		LoggingFormat: awslambda.LoggingFormat_JSON, SystemLogLevelV2: awslambda.SystemLogLevel_INFO,
		ApplicationLogLevelV2: k.platformLogLevel(),
	})
	// The L2 property accepts only subnets that are constructs with availability zones.
	logicalid.Pin[awslambda.CfnFunction](f.Function).SetVpcConfig(network)
	return f
}

// environment returns the variables that both functions have.
func (k *keyRotation) environment() *map[string]*string {
	variables := map[string]*string{settings.EnvRegistryURL: k.props.RegistryURL,
		settings.EnvLogLevel: k.props.LogLevel}
	if k.props.CABundlePath != nil {
		variables[settings.EnvCABundle] = k.props.CABundlePath
	}
	if n := k.props.Network; n != nil && n.Proxy != "" {
		variables["HTTPS_PROXY"] = jsii.String(n.Proxy)
		variables["NO_PROXY"] = jsii.String(strings.Join(n.NoProxy, ","))
	}
	return &variables
}

// adapt sets each period of the functions to the longest one: the default, or that of a key. The
// tags of a secret take precedence. An update can remove them for a short time, and no period may
// become shorter then.
func (k *keyRotation) adapt() {
	expires, grace, quiet := settings.DefaultExpiresInDays, settings.DefaultGrace, settings.DefaultQuiet
	for _, key := range k.keys {
		expires = max(expires, key.ExpiresInDays)
		grace, quiet = max(grace, key.GracePeriod()), max(quiet, key.QuietPeriod())
	}
	k.rotate.AddEnvironment(jsii.String(settings.EnvExpiresInDays), jsii.String(strconv.Itoa(expires)), nil)
	k.revoke.AddEnvironment(jsii.String(settings.EnvGrace), text(grace), nil)
	k.revoke.AddEnvironment(jsii.String(settings.EnvQuiet), text(quiet), nil)
}

func text(d time.Duration) *string { return jsii.String(config.Duration(d).String()) }

// platformLogLevel returns DEBUG or INFO. Metrics are log lines without a level: with WARN or
// ERROR, Lambda would drop them.
func (k *keyRotation) platformLogLevel() awslambda.ApplicationLogLevel {
	if *k.props.LogLevel == "DEBUG" {
		return awslambda.ApplicationLogLevel_DEBUG
	}
	return awslambda.ApplicationLogLevel_INFO
}

// network returns the VPC configuration of the functions, or nil.
func (k *keyRotation) network() *awslambda.CfnFunction_VpcConfigProperty {
	n := k.props.Network
	if n == nil {
		return nil
	}
	vpc := &awslambda.CfnFunction_VpcConfigProperty{
		SubnetIds: jsii.Strings(n.Subnets...), SecurityGroupIds: jsii.Strings(n.SecurityGroups...),
	}
	if n.IPv6 {
		vpc.Ipv6AllowedForDualStack = jsii.Bool(true)
	}
	if len(n.SecurityGroups) == 0 {
		vpc.SecurityGroupIds = &[]*string{k.newSecurityGroup().AttrGroupId()}
	}
	return vpc
}

func (k *keyRotation) newSecurityGroup() awsec2.CfnSecurityGroup {
	return awsec2.NewCfnSecurityGroup(k, jsii.String("Calls"), &awsec2.CfnSecurityGroupProps{
		VpcId: jsii.String(k.props.Network.VPC), SecurityGroupEgress: k.egress(),
		// A change of the description would replace the group.
		GroupDescription: jsii.String("Quilt key rotation: calls out by HTTPS, and is called by nobody"),
	})
}

// egress allows HTTPS, the ports of the registry and the proxy, and DNS. Security groups do not
// filter the VPC's own DNS server, but they filter other DNS servers.
func (k *keyRotation) egress() (rules []any) {
	open := func(protocol string, port int, description string) {
		rule := awsec2.CfnSecurityGroup_EgressProperty{
			IpProtocol: jsii.String(protocol), FromPort: jsii.Number(port), ToPort: jsii.Number(port),
			CidrIp: jsii.String("0.0.0.0/0"), Description: jsii.String(description),
		}
		rules = append(rules, &rule)
		if k.props.Network.IPv6 {
			six := rule
			six.CidrIp, six.CidrIpv6 = nil, jsii.String("::/0")
			rules = append(rules, &six)
		}
	}
	ports := []int{httpsPort, portOf(*k.props.RegistryURL), portOf(k.props.Network.Proxy)}
	slices.Sort(ports)
	for _, port := range slices.Compact(ports) {
		open("tcp", port, "The registry and Secrets Manager")
	}
	open("udp", dnsPort, "DNS servers outside the VPC")
	open("tcp", dnsPort, "DNS servers outside the VPC")
	return rules
}

const (
	httpsPort = 443
	dnsPort   = 53
)

func portOf(httpsURL string) int {
	if u, err := url.Parse(httpsURL); err == nil && u.Port() != "" {
		port, _ := strconv.Atoi(u.Port()) // Parse takes digits only
		return port
	}
	return httpsPort
}

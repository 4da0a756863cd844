//go:build !awsconfig

package function

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
)

// plain are environments that this build understands, as changes of what Lambda gives.
var plain = map[string]map[string]string{
	"as Lambda gives it":             {},
	"only the default region":        {"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-2"},
	"no session":                     {"AWS_SESSION_TOKEN": ""},
	"China":                          {"AWS_REGION": "cn-north-1"},
	"GovCloud, FIPS":                 {"AWS_REGION": "us-gov-west-1", "AWS_USE_FIPS_ENDPOINT": "true"},
	"FIPS in other letters":          {"AWS_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "True"},
	"neither FIPS nor dual stack":    {"AWS_USE_FIPS_ENDPOINT": "false", "AWS_USE_DUALSTACK_ENDPOINT": "false"},
	"dual stack":                     {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
	"an endpoint of a VPC":           {"AWS_ENDPOINT_URL_SECRETS_MANAGER": "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com"},
	"an endpoint of all services":    {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"},
	"both endpoints":                 {"AWS_ENDPOINT_URL": "http://127.0.0.1:5000", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:6000/path"},
	"another service's endpoint":     {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:5000"},
	"more attempts":                  {"AWS_MAX_ATTEMPTS": "7"},
	"adaptive retries":               {"AWS_RETRY_MODE": "adaptive", "AWS_MAX_ATTEMPTS": "4"},
	"standard retries":               {"AWS_RETRY_MODE": "standard"},
	"a name in the user agent":       {"AWS_SDK_UA_APP_ID": "pipeline"},
	"what the SDK ignores here, too": {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x", "AWS_EXECUTION_ENV": "AWS_Lambda_x", "AWS_S3_USE_ARN_REGION": "true"},
	"keys before web identity":       {"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/such/file", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"},
	"keys before containers":         {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"},
}

func TestTheClientIsTheOneThatTheSDKsConfigurationMakes(t *testing.T) {
	// Protects deployments from a difference that only AWS would show: in each environment the request is the one that the SDK's whole
	// configuration leads to, in host, credentials, region, session, attempts and user agent.
	seen := map[sent]bool{}
	for name, changes := range plain {
		t.Run(name, func(t *testing.T) {
			setEnvironment(t, changes)
			ours, err := newSecretsManager(t.Context(), os.LookupEnv)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := requestOf(t, secretsmanager.NewFromConfig(whole))
			if diff := cmp.Diff(want, requestOf(t, ours)); diff != "" {
				t.Errorf("(-the SDK's +ours):\n%s", diff)
			}
			seen[want] = true
		})
	}
	if len(seen) < 12 {
		t.Errorf("the environments lead to %d different requests only: the comparison is blind", len(seen))
	}
}

func TestWhatThisBuildCannotDoIsRefused(t *testing.T) {
	// Protects from a function that passes over a variable and calls another AWS, or as somebody else, than its deployer meant; and the
	// variable's value from being quoted.
	for name, changes := range map[string]map[string]string{
		"AWS_REGION":                           {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""},
		"AWS_ACCESS_KEY_ID":                    {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"},
		"AWS_SECRET_ACCESS_KEY":                {"AWS_SECRET_ACCESS_KEY": ""},
		"AWS_PROFILE":                          {"AWS_PROFILE": "q-value"},
		"AWS_CONFIG_FILE":                      {"AWS_CONFIG_FILE": "q-value"},
		"AWS_CA_BUNDLE":                        {"AWS_CA_BUNDLE": "q-value"},
		"AWS_USE_FIPS_ENDPOINT":                {"AWS_USE_FIPS_ENDPOINT": "q-value"},
		"AWS_USE_DUALSTACK_ENDPOINT":           {"AWS_USE_DUALSTACK_ENDPOINT": "1"},
		"AWS_RETRY_MODE":                       {"AWS_RETRY_MODE": "q-value"},
		"AWS_MAX_ATTEMPTS":                     {"AWS_MAX_ATTEMPTS": "q-value"},
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS":  {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
		"AWS_CA_BUNDLE and AWS_MAX_ATTEMPTS x": {"AWS_CA_BUNDLE": "q-value", "AWS_MAX_ATTEMPTS": "q-value"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnvironment(t, changes)
			_, err := newSecretsManager(t.Context(), os.LookupEnv)
			if err == nil {
				t.Fatal("it is taken")
			}
			for word := range strings.FieldsSeq(name) {
				if strings.HasPrefix(word, "AWS_") && !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not name %s: %v", word, err)
				}
			}
			if strings.Contains(err.Error(), "q-value") {
				t.Errorf("the error quotes a value: %v", err)
			}
		})
	}
}

func TestTheFunctionsLinkNoSignIn(t *testing.T) {
	// Protects the cold start: an import somewhere that brings the SDK's configuration back, with SSO, STS and sign-in, costs a third more of it.
	list := exec.Command("go", "list", "-deps", "quilt-rotate/functions/rotate", "quilt-rotate/functions/revoke")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list the packages: %v", err)
	}
	const sdk = "github.com/aws/aws-sdk-go-v2/"
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, sdk+"service/secretsmanager") {
		t.Fatal("the functions do not even link Secrets Manager's client: the list is not theirs")
	}
	for _, name := range []string{"config", "service/sso", "service/ssooidc", "service/sts", "service/signin", "feature/ec2/imds"} {
		if slices.Contains(packages, sdk+name) {
			t.Errorf("a function links %s; see docs/performance.md", sdk+name)
		}
	}
}

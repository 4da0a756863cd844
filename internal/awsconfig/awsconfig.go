// Package awsconfig loads the AWS SDK's configuration, for the functions and the command alike.
//
// Region, credentials, endpoints, profiles, proxies and retries are what the SDK reads (AWS SDKs
// and Tools Reference Guide). This package adds limits for attempts, the rule for CA bundles, and
// [Send] for services that have no client here.
package awsconfig

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/settings"
)

// AttemptLimit is how long an attempt waits for a TCP connection, for the TLS handshake, and, in
// [SecretsManager], for the first byte of the answer. The SDK has 30 s, 10 s and no limit. Each is
// short enough that the SDK's retries get their turn within a function's time.
const AttemptLimit = 5 * time.Second

// Load loads the SDK's configuration. It does not retrieve credentials.
func Load(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
	client := awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = AttemptLimit }).
		WithTransportOptions(func(t *http.Transport) { t.TLSHandshakeTimeout = AttemptLimit })
	options = append(options, config.WithHTTPClient(client))
	if path := os.Getenv("AWS_CA_BUNDLE"); path != "" {
		bundle, err := readBundle(path)
		if err != nil {
			return aws.Config{}, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
		options = append(options, config.WithCustomCABundle(bundle))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return c, nil
}

// readBundle reads what the SDK would read itself, but refuses a file of which the SDK would use
// only a part.
func readBundle(path string) (*bytes.Buffer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	certificates, err := settings.ParseCABundle(text)
	if err != nil {
		return nil, err
	}
	bundle := new(bytes.Buffer)
	for _, c := range certificates {
		_ = pem.Encode(bundle, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return bundle, nil
}

// SecretsManager returns the client of Secrets Manager. An attempt without an answer ends after
// [AttemptLimit], so that the SDK retries it. This happens with a pooled connection whose packets
// vanish, as after the freeze of a Lambda function. The client speaks HTTP/1.1, where the retry
// gets another connection; with HTTP/2 it would go over the same one.
func SecretsManager(c aws.Config) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(c, func(o *secretsmanager.Options) {
		client, ok := o.HTTPClient.(*awshttp.BuildableClient)
		if !ok { // a test's
			return
		}
		o.HTTPClient = client.WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = AttemptLimit
			t.Protocols = new(http.Protocols)
			t.Protocols.SetHTTP1(true)
			t.TLSClientConfig.NextProtos = nil // a copy of a transport still offers HTTP/2 here
		})
	})
}

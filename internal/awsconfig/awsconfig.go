// Package awsconfig loads the configuration of the AWS SDK for the functions and the command.
//
// The SDK itself reads region, credentials, endpoints, profiles, proxies and retries (AWS SDKs and
// Tools Reference Guide). This package adds time limits for attempts, the rule for CA bundles, and
// [Send], which calls services without a client of the SDK.
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
// [SecretsManager], for the first byte of the answer. The SDK's own limits are 30 s, 10 s and none.
// The limit is short enough for the SDK to retry before the function's timeout.
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

// readBundle reads the file that the SDK would read itself. It refuses a file if the SDK would use
// only a part of it.
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

// SecretsManager returns a client of Secrets Manager. An attempt without an answer ends after
// [AttemptLimit], so that the SDK retries it. This happens if the packets of a pooled connection
// are lost, for example after Lambda froze the function. The client uses HTTP/1.1, so that the
// retry uses another connection. With HTTP/2 it would use the same connection.
func SecretsManager(c aws.Config) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(c, func(o *secretsmanager.Options) {
		client, ok := o.HTTPClient.(*awshttp.BuildableClient)
		if !ok { // in tests
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

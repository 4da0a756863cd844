package awsconfig

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/retry"
)

// A Request is a request to a service of which only one or two operations are needed. The SDK's
// client for a service would make a program larger by at least 100 KB, and would drop fields of an
// answer that are newer than the client.
type Request struct {
	Service string // name in the signature and the host, such as "scheduler"
	Method  string
	Path    string
	Target  string // X-Amz-Target of a service with JSON 1.1; empty for a REST service
	In      any    // the body, which is sent as JSON; nil without a body
}

// Send signs a request, sends it and decodes the answer into out, unless out is nil. It repeats the
// request while AWS throttles it or does not answer, so the request must be safe to repeat. If AWS
// refuses the request, Send fails with a [*smithy.GenericAPIError].
func Send(ctx context.Context, c aws.Config, r Request, out any) error {
	var body []byte
	if r.In != nil {
		var err error
		if body, err = json.Marshal(r.In); err != nil {
			return err
		}
	}
	const attempts = 8
	waits := retry.Waits{First: 200 * time.Millisecond, Longest: 5 * time.Second, AtMost: time.Minute,
		Attempts: cmp.Or(c.RetryMaxAttempts, attempts)}
	passes := func(err error) bool {
		api, answered := errors.AsType[*smithy.GenericAPIError](err)
		return !errors.Is(err, context.Canceled) && ctx.Err() == nil && (!answered || api.Fault == smithy.FaultServer)
	}
	answer, err := retry.While(ctx, waits, passes, func() ([]byte, error) { return sendOnce(ctx, c, r, body) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && out != nil:
		return json.Unmarshal(answer, out)
	}
	return err
}

func sendOnce(ctx context.Context, c aws.Config, r Request, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*AttemptLimit)
	defer cancel()
	client := SecretsManager(c).Options() // its HTTP client has the limits of an attempt
	endpoint, err := endpoint(ctx, c, client, r.Service)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, strings.TrimSuffix(endpoint, "/")+r.Path,
		bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if r.Target != "" {
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		request.Header.Set("X-Amz-Target", r.Target)
	}
	credentials, err := c.Credentials.Retrieve(ctx)
	if err == nil {
		err = v4.NewSigner().SignHTTP(ctx, credentials, request, fmt.Sprintf("%x", sha256.Sum256(body)), r.Service,
			c.Region, time.Now())
	}
	if err != nil {
		return nil, err
	}
	answer, err := client.HTTPClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	const maxAnswer = 1 << 20
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil || answer.StatusCode == http.StatusOK {
		return text, err
	}
	return nil, refusal(answer, text)
}

// refusal returns the error of an answer in either protocol.
func refusal(answer *http.Response, text []byte) error {
	var document struct {
		Type    string `json:"__type"`
		Message string // json.Unmarshal accepts "message" too
	}
	_ = json.Unmarshal(text, &document) // without a document, the status is used
	code, _, _ := strings.Cut(cmp.Or(answer.Header.Get("X-Amzn-Errortype"), document.Type, answer.Status), ":")
	fault := &smithy.GenericAPIError{Code: code[strings.LastIndex(code, "#")+1:], Message: document.Message}
	if answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests ||
		strings.Contains(code, "Throttl") {
		fault.Fault = smithy.FaultServer
	}
	return fault
}

// endpoint returns the URL of a service: the endpoint in AWS_ENDPOINT_URL or in the profile, or the
// endpoint of Secrets Manager with the name of the service, which has the partition, FIPS and
// dual-stack as configured.
func endpoint(ctx context.Context, c aws.Config, client secretsmanager.Options, service string) (string, error) {
	if c.BaseEndpoint != nil {
		return *c.BaseEndpoint, nil
	}
	o := client.EndpointOptions
	found, err := secretsmanager.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, secretsmanager.EndpointParameters{
		Region: &c.Region, UseFIPS: aws.Bool(o.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	return strings.Replace(found.URI.String(), "secretsmanager", service, 1), err
}

package awsclient

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

// A signedRequest is a request to a service of which the command needs one or two operations. The SDK's client of each would make the program larger by
// 100 KB and more, and would lose the members of a schedule that are newer than the client.
type signedRequest struct {
	service string // in the signature and the host: "scheduler"
	sdkID   string // in AWS_ENDPOINT_URL_<ID>: "Scheduler"
	method  string
	path    string
	target  string // X-Amz-Target of a service with JSON 1.1; "": a REST service
	in      any
}

// send sends a request and decodes the answer into out. It sends it again while AWS throttles it or does not answer, so the request must be safe to repeat.
func (c *Cloud) send(ctx context.Context, doing string, r signedRequest, out any) error {
	waits := retry.Waits{First: 200 * time.Millisecond, Longest: 5 * time.Second, AtMost: time.Minute, Attempts: cmp.Or(c.config.RetryMaxAttempts, attempts)}
	passes := func(err error) bool {
		api, answered := errors.AsType[*smithy.GenericAPIError](err)
		return !errors.Is(err, context.Canceled) && ctx.Err() == nil && (!answered || api.Fault == smithy.FaultServer)
	}
	answer, err := retry.While(ctx, waits, passes, func() ([]byte, error) { return c.sendOnce(ctx, r) })
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return newError(doing, err)
}

func (c *Cloud) sendOnce(ctx context.Context, r signedRequest) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var body []byte
	if r.in != nil {
		var err error
		if body, err = json.Marshal(r.in); err != nil {
			return nil, err
		}
	}
	endpoint, err := c.endpoint(ctx, r)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, r.method, strings.TrimSuffix(endpoint, "/")+r.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if r.target != "" {
		request.Header.Set("Content-Type", "application/x-amz-json-1.1")
		request.Header.Set("X-Amz-Target", r.target)
	}
	credentials, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	if err := v4.NewSigner().SignHTTP(ctx, credentials, request, fmt.Sprintf("%x", sha256.Sum256(body)), r.service, c.Region, time.Now()); err != nil {
		return nil, err
	}
	answer, err := c.secrets.Options().HTTPClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || answer.StatusCode == http.StatusOK {
		return text, err
	}
	var document struct {
		Type    string `json:"__type"`
		Message string // json.Unmarshal takes "message", too
	}
	_ = json.Unmarshal(text, &document) // an answer without a document has the status
	code, _, _ := strings.Cut(cmp.Or(answer.Header.Get("X-Amzn-Errortype"), document.Type, answer.Status), ":")
	fault := &smithy.GenericAPIError{Code: code[strings.LastIndex(code, "#")+1:], Message: document.Message}
	if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || strings.Contains(code, "Throttl") {
		fault.Fault = smithy.FaultServer
	}
	return nil, fault
}

// endpoint is where the service is: the endpoint that is configured, or the host beside Secrets Manager's in the same partition, with FIPS and dual stack as
// they are configured.
func (c *Cloud) endpoint(ctx context.Context, r signedRequest) (string, error) {
	for _, source := range c.config.ConfigSources { // the environment first, then the profile
		if s, ok := source.(interface {
			GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
		}); ok {
			if url, found, err := s.GetServiceBaseEndpoint(ctx, r.sdkID); found || err != nil {
				return url, err
			}
		}
	}
	if c.config.BaseEndpoint != nil {
		return *c.config.BaseEndpoint, nil
	}
	o := c.secrets.Options().EndpointOptions
	found, err := secretsmanager.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, secretsmanager.EndpointParameters{
		Region: &c.Region, UseFIPS: aws.Bool(o.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled), UseDualStack: aws.Bool(o.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	})
	return strings.Replace(found.URI.String(), "secretsmanager", r.service, 1), err
}

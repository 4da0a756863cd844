package awsconfig_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/awsconfig"
)

// answers returns its answers one after another and records the requests.
type answers struct {
	statuses []int
	requests []*http.Request
}

func (a *answers) Do(r *http.Request) (*http.Response, error) {
	a.requests = append(a.requests, r)
	status := a.statuses[min(len(a.requests), len(a.statuses))-1]
	if status == 0 {
		return nil, errors.New("the connection broke")
	}
	answer := http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{},
		Body: http.NoBody}
	if status == http.StatusForbidden {
		answer.Header.Set("X-Amzn-Errortype", "com.amazonaws.x#AccessDeniedException:http://internal")
	}
	return &answer, nil
}

func configuration(region string, client *answers) aws.Config {
	return aws.Config{Region: region, HTTPClient: client, Credentials: credentials.NewStaticCredentialsProvider("AKIA",
		"s", "")}
}

func TestSendFindsTheHostInEveryPartition(t *testing.T) {
	// Custom endpoints are used too.
	own := "http://127.0.0.1:1/aws"
	for _, c := range []struct {
		region string
		base   *string
		want   string
	}{
		{"eu-west-1", nil, "https://scheduler.eu-west-1.amazonaws.com/schedules/x"},
		{"cn-north-1", nil, "https://scheduler.cn-north-1.amazonaws.com.cn/schedules/x"},
		{"eu-west-1", &own, own + "/schedules/x"},
	} {
		client := &answers{statuses: []int{200}}
		config := configuration(c.region, client)
		config.BaseEndpoint = c.base
		err := awsconfig.Send(t.Context(), config, awsconfig.Request{Service: "scheduler", Method: "GET",
			Path: "/schedules/x"}, nil)
		if err != nil || client.requests[0].URL.String() != c.want {
			t.Errorf("%s: sent to %s: %v", c.region, client.requests[0].URL, err)
		}
		if signed := client.requests[0].Header.Get("Authorization"); !strings.Contains(signed, "/"+c.region+
			"/scheduler/aws4_request") {
			t.Errorf("%s: the signature is %q", c.region, signed)
		}
	}
}

func TestSendRepeatsTemporaryFailures(t *testing.T) {
	// A refusal, such as a missing permission, is not repeated.
	for name, c := range map[string]struct {
		statuses []int
		sent     int
		code     string
	}{
		"a broken connection": {[]int{0, 200}, 2, ""},
		"throttled":           {[]int{429, 200}, 2, ""},
		"a fault of AWS":      {[]int{503, 200}, 2, ""},
		"refused":             {[]int{403, 200}, 1, "AccessDeniedException"},
	} {
		client := &answers{statuses: c.statuses}
		err := awsconfig.Send(t.Context(), configuration("eu-west-1", client), awsconfig.Request{Service: "kms",
			Method: "POST", Path: "/", Target: "T.X"}, nil)
		code := ""
		if api, ok := errors.AsType[*smithy.GenericAPIError](err); ok {
			code = api.Code
		}
		if len(client.requests) != c.sent || code != c.code {
			t.Errorf("%s: %d requests, %v", name, len(client.requests), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awsconfig.Send(ctx, configuration("eu-west-1", &answers{statuses: []int{0}}),
		awsconfig.Request{Service: "kms", Method: "POST", Path: "/"}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

package awsconfig_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"quilt-rotate/internal/awsconfig"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/vault"
)

const arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/pipeline-a1b2c3"

func TestMain(m *testing.M) {
	hermetic.Clear()
	os.Exit(m.Run())
}

// setEnvironment sets the region and credentials that Lambda sets, and the given variables.
func setEnvironment(t *testing.T, given map[string]string) {
	t.Helper()
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "eu-central-1",
		"AWS_ACCESS_KEY_ID": "ASIAROLE", "AWS_SECRET_ACCESS_KEY": "s",
	} {
		t.Setenv(name, value)
	}
	for name, value := range given {
		t.Setenv(name, value)
	}
}

func load(t *testing.T) aws.Config {
	t.Helper()
	c, err := awsconfig.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// silence runs a test in a synctest bubble, with a client of a service that does not answer the
// requests with the given numbers. The service records the connection of each request.
func silence(t *testing.T, numbers []int, test func(t *testing.T, client *secretsmanager.Client,
	connections *[]net.Conn)) {
	t.Helper()
	setEnvironment(t, map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1"})
	c := load(t)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var requests, opened []net.Conn
		serve := func(connection net.Conn) {
			for reader := bufio.NewReader(connection); ; {
				r, err := http.ReadRequest(reader)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				mu.Lock()
				requests = append(requests, connection)
				answered := !slices.Contains(numbers, len(requests))
				mu.Unlock()
				if answered {
					// of the bubble: an answer in no time at all overtakes the end of the request
					time.Sleep(time.Millisecond)
					_, _ = io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				}
			}
		}
		c.HTTPClient = c.HTTPClient.(*awshttp.BuildableClient).WithTransportOptions(func(transport *http.Transport) {
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				mu.Lock()
				defer mu.Unlock()
				opened = append(opened, theirs)
				go serve(theirs)
				return ours, nil
			}
		})
		test(t, awsconfig.SecretsManager(c), &requests)
		for _, connection := range opened {
			_ = connection.Close()
		}
	})
}

func TestAnAttemptWithoutAnAnswerIsRepeatedOnAnotherConnection(t *testing.T) {
	// The packets of a pooled connection may be lost. Without a limit, one attempt would take all
	// of the step's time.
	silence(t, []int{2}, func(t *testing.T, client *secretsmanager.Client, connections *[]net.Conn) {
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second) // a function has 60 s
			defer cancel()
			if _, err := client.DescribeSecret(ctx,
				&secretsmanager.DescribeSecretInput{SecretId: aws.String(arn)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := *connections; len(got) != 3 || got[0] != got[1] || got[1] == got[2] {
			t.Errorf("%d requests came, want two over one connection, and the second again over another", len(got))
		}
	})
}

func TestServiceThatNeverAnswersIsAnError(t *testing.T) {
	// The connection works, so the error names the number of attempts, and does not mention the
	// VPC.
	silence(t, []int{1, 2, 3}, func(t *testing.T, client *secretsmanager.Client, _ *[]net.Conn) {
		from := time.Now()
		_, err := vault.New(client).Describe(t.Context(), arn)
		if _, ok := errors.AsType[*vault.Error](err); !ok || !strings.Contains(err.Error(),
			"no answer in time after 3 attempts; ") || strings.Contains(err.Error(), "VPC") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(from); took < 3*awsconfig.AttemptLimit || took > 30*time.Second {
			t.Errorf("the call took %v, want three attempts and the waits between them", took)
		}
	})
}

func TestTheBundleOfAWS(t *testing.T) {
	// AWS_CA_BUNDLE is trusted by the same rule as the registry's bundle, and HTTP/2 is not used.
	var protocol atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol.Store(r.Proto)
		_, _ = w.Write([]byte(`{}`))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	file := filepath.Join(t.TempDir(), "ca.pem")
	setEnvironment(t, map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_CA_BUNDLE": file})

	if err := os.WriteFile(file, []byte("\ufeff"+certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	client := awsconfig.SecretsManager(load(t))
	if _, err := client.DescribeSecret(t.Context(),
		&secretsmanager.DescribeSecretInput{SecretId: aws.String(arn)}); err != nil || protocol.Load() != "HTTP/1.1" {
		t.Errorf("a bundle with a byte order mark: %v over %v, want an answer over HTTP/1.1", err, protocol.Load())
	}

	if err := os.WriteFile(file, []byte(certificate+certificate[:100]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := awsconfig.Load(t.Context()); err == nil || !strings.Contains(err.Error(),
		"AWS_CA_BUNDLE: block 2 is damaged") {
		t.Errorf("a bundle with a damaged certificate: %v", err)
	}
}

func TestTheSDKsConfigurationIsRead(t *testing.T) {
	// A function may have a profile, or may run outside of Lambda.
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[profile pipeline]\nregion = ap-south-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	setEnvironment(t, map[string]string{"AWS_REGION": "", "AWS_PROFILE": "pipeline", "AWS_CONFIG_FILE": file})
	if c := load(t); c.Region != "ap-south-1" {
		t.Errorf("the region is %q, want that of the profile", c.Region)
	}
}

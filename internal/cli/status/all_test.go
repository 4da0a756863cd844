package status_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/hermetic"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/settings"
)

func TestMain(m *testing.M) {
	hermetic.Clear()
	os.Exit(m.Run())
}

type handler func() ([]byte, error)

func (h handler) Invoke(context.Context, []byte) ([]byte, error) { return h() }

func TestManySecretsAreReadConcurrently(t *testing.T) {
	// A plan for each secret takes too long sequentially, and too many invocations at once are
	// throttled. The invocations wait for each other here, so the test ends only if the maximum
	// number of them run at the same time. A throttled request is retried.
	t.Parallel()
	const secrets, together = 60, 10
	box, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	var mu sync.Mutex
	running, most := 0, 0
	full := make(chan struct{})
	_, err = box.Lambda.Add(awslambda.Config{Name: sandbox.RevokeFunction, Handler: handler(func() ([]byte, error) {
		mu.Lock()
		running++
		if most = max(most, running); most == together {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full
		mu.Lock()
		running--
		mu.Unlock()
		return []byte(`{"outcome": "swept"}`), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range secrets {
		names = append(names, fmt.Sprintf("prod/%d", i))
		_, err := box.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: &names[i], SecretString: aws.String("{}"), Tags: []types.Tag{{Key: aws.String(settings.TagGrace),
				Value: aws.String("24h")}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cloud := awsclient.New(aws.Config{
		Region: sandbox.Region, BaseEndpoint: &box.AWSURL, Credentials: credentials.NewStaticCredentialsProvider(
			sandbox.AccessKeyID, sandbox.SecretAccessKey, ""),
	})
	box.Hooks.Set(sandboxtest.On(sandboxtest.Nth(1, sandboxtest.AWSError(http.StatusBadRequest, "ThrottlingException",
		"slow down")), "DescribeSecret"))
	done := 0
	list, err := status.All(t.Context(), cloud, sandbox.RevokeFunction, names, func(int, int) {
		mu.Lock()
		done++
		mu.Unlock()
	})
	if err != nil || most != together || done != secrets {
		t.Errorf("got %d invocations at the same time, %d secrets, and the error %v; want %d and %d", most, done, err,
			together, secrets)
	}
	for i, s := range list {
		if s.Secret != names[i] || s.Error != "" {
			t.Errorf("%s: got %+v", names[i], s)
		}
	}
}

package doctor

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
)

func TestManySecretsAreCheckedConcurrently(t *testing.T) {
	// A sequential check of many secrets takes too long, and too many requests at once are
	// throttled. The requests wait for each other here, so the check ends only if the maximum
	// number of them run at the same time. A throttled request is retried.
	t.Parallel()
	const secrets = 40
	box, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	for i := range secrets {
		_, err := box.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: aws.String(fmt.Sprintf("prod/%02d", i)), SecretString: aws.String("{}"),
			Tags: []types.Tag{{Key: aws.String(settings.TagGrace), Value: aws.String("24h")}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cloud := awsclient.New(aws.Config{
		Region: sandbox.Region, BaseEndpoint: &box.AWSURL, Credentials: credentials.NewStaticCredentialsProvider(
			sandbox.AccessKeyID, sandbox.SecretAccessKey, ""),
	})
	var mu sync.Mutex
	scanned, running, most, calls := false, 0, 0, 0
	release, throttled := make(chan struct{}, 2*secrets+1), sandboxtest.AWSError(http.StatusBadRequest,
		"ThrottlingException", "slow down")
	box.Hooks.Set(sandboxtest.On(func(c *wire.Call, next func()) {
		mu.Lock()
		if !scanned { // the scan of the secrets' values has its own limit
			mu.Unlock()
			next()
			return
		}
		calls++
		first := calls == 1
		running++
		most = max(most, running)
		last, full := calls == secrets+1, running >= secretsAtOnce
		mu.Unlock()
		switch { // each new request releases another one
		case last:
			for range secrets {
				release <- struct{}{}
			}
		case full:
			for range 20_000 { // let further requests arrive, if there are any
				runtime.Gosched()
			}
			release <- struct{}{}
		}
		<-release
		if first {
			throttled(c, next)
		} else {
			next()
		}
		mu.Lock()
		running--
		mu.Unlock()
	}, "DescribeSecret"))
	checked := 0
	err = Run(t.Context(), cloud, Options{NoProbe: true, Progress: func(done, total int) {
		mu.Lock()
		scanned = scanned || done == total
		mu.Unlock()
	}}, func(g Group) {
		for _, r := range g.Results {
			if r.Check == "secret" {
				checked++
				if r.Status != OK {
					t.Errorf("%s: %+v", g.Subject, r)
				}
			}
		}
	})
	if err != nil || checked != secrets || most != secretsAtOnce || calls != secrets+1 {
		t.Errorf("got %d secrets, %d requests at the same time, %d in total, the error %v; want %d, %d and %d",
			checked, most, calls, err, secrets, secretsAtOnce, secrets+1)
	}
}

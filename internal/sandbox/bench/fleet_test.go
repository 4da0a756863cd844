package bench_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/fleet"
	"quilt-rotate/internal/revocation"
	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/quiltregistry"
	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/sandbox/sweeps"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

var fleetSize = flag.Int("fleet", 10000, "the number of secrets that BenchmarkFleet sweeps in one run")

// answerTime is the time of each request in BenchmarkFleet.
const answerTime = 20 * time.Millisecond

// environments is the number of secrets that the deployment sweeps at the same time. It is also the
// maximum number of processes of the function.
const environments = 20

// BenchmarkFleet measures a run of sweeps that have nothing to do: its time, its requests to
// Secrets Manager, and the peak memory of a process of the built function. The account has the same
// number of secrets of other teams, and the quotas of AWS apply. The benchmark fails if a sweep
// fails or sends too many requests.
func BenchmarkFleet(b *testing.B) {
	for b.Loop() {
		newFleetRun(b, *fleetSize).run()
	}
}

type fleetRun struct {
	*sandbox.Sandbox
	*testing.B
	size     int
	requests sync.Map // *atomic.Int64 by service and operation
	memory   atomic.Int64
	most     atomic.Int64 // the maximum number of concurrent invocations
	running  atomic.Int64
}

func newFleetRun(b *testing.B, size int) *fleetRun {
	b.Helper()
	s, err := sandbox.Start(sandbox.Options{Logs: io.Discard, RetryDelay: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	f := &fleetRun{Sandbox: s, B: b, size: size}
	_, err = s.AddFunction(sandbox.RevokeFunction, program(b, sandbox.RevokeFunction), revokeTimeout, nil,
		func(c *awslambda.Config) {
			c.MemoryMB = *functionMemory
			c.OnReport = func(r awslambda.Report) {
				for most := f.memory.Load(); int64(r.PeakMemory) > most && !f.memory.CompareAndSwap(most,
					int64(r.PeakMemory)); most = f.memory.Load() {
				}
			}
		})
	if err != nil {
		b.Fatal(err)
	}
	f.create()
	return f
}

// create creates the secrets, in their state a day after a rotation, and the secrets of other
// teams.
func (f *fleetRun) create() {
	f.Helper()
	ctx, client := context.Background(), f.SecretsManager()
	work := make(chan int)
	var all sync.WaitGroup
	for range environments {
		all.Go(func() {
			for i := range work {
				if err := f.createOne(ctx, client, i); err != nil {
					f.Error(err)
				}
			}
		})
	}
	for i := range f.size {
		if i%secretsOfUser == 0 {
			f.Registry.AddUser(quiltregistry.User{Name: fmt.Sprintf("svc_%d", i/secretsOfUser), Email: fleetUser(i)})
		}
		work <- i
	}
	close(work)
	all.Wait()
	f.Clock.Advance(25 * time.Hour)
}

func fleetUser(i int) string { return fmt.Sprintf("svc-%d@example.com", i/secretsOfUser) }

func (f *fleetRun) createOne(ctx context.Context, client *secretsmanager.Client, i int) error {
	other := fmt.Sprintf("others/%05d", i)
	if _, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &other,
		SecretString: aws.String("other")}); err != nil {
		return err
	}
	name := fmt.Sprintf("fleet/%05d", i)
	id, key := f.Registry.MintKey(fleetUser(i), apikey.Name(name, f.Clock.Now(), awssecrets.ARN(sandbox.Region,
		sandbox.Account, name)), 90)
	created, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: aws.String(sandboxtest.ValueWith(key)),
		Tags: []types.Tag{{Key: aws.String(settings.TagRegistry), Value: &f.RegistryURL}},
	})
	if err != nil {
		return err
	}
	_, err = client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: created.ARN, VersionStage: aws.String(vault.KeyLabel(id)), MoveToVersionId: created.VersionId,
	})
	return err
}

// invoke invokes the function as the state machine does.
func (f *fleetRun) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	now := f.running.Add(1)
	defer f.running.Add(-1)
	for most := f.most.Load(); now > most && !f.most.CompareAndSwap(most, now); most = f.most.Load() {
	}
	answer, functionError, err := f.Lambda.Invoke(ctx, sandboxtest.FunctionARN(sandbox.RevokeFunction), payload)
	if err == nil && functionError != "" {
		err = fmt.Errorf("%s: %s", functionError, answer)
	}
	return answer, err
}

func (f *fleetRun) run() {
	f.Helper()
	throttle := sandbox.Throttled(sandbox.ServiceLimits(registryLimit * 10))
	defer f.Hooks.Set(func(call *wire.Call, next func()) {
		count, _ := f.requests.LoadOrStore(call.Service+" "+call.Operation, &atomic.Int64{})
		count.(*atomic.Int64).Add(1)
		time.Sleep(answerTime)
		throttle(call, next)
	})()
	single := f.memoryOfOneSweep()
	f.requests.Clear()
	f.memory.Store(0)
	began := time.Now()
	machine := sweeps.Machine{Revoke: f.invoke, Secrets: f.SecretsManager(),
		RotateFunction: sandboxtest.FunctionARN(sandbox.RotateFunction)}
	report, err := machine.Run(context.Background(), "run", f.Clock.Now())
	took := time.Since(began)
	if err != nil || report.Do != fleet.Done || report.Outcomes[revocation.Swept] != f.size {
		f.Fatalf("the run ended with %q, %v, and the outcomes %v; want %d swept secrets", report.Do, err,
			report.Outcomes, f.size)
	}
	lists, reads := f.count("ListSecrets"), f.count("DescribeSecret")+f.count("GetSecretValue")
	f.ReportMetric(0, "ns/op")
	f.ReportMetric(took.Seconds(), "s-run")
	f.ReportMetric(float64(report.Pages), "pages")
	f.ReportMetric(float64(lists), "ListSecrets")
	f.ReportMetric(float64(reads)/float64(f.size), "secretsmanager-requests/sweep")
	f.ReportMetric(float64(f.most.Load()), "invocations-at-once")
	f.ReportMetric(kilobytes(int(f.memory.Load())), "KiB-peak")
	f.ReportMetric(kilobytes(single), "KiB-peak-of-one")
	if float64(reads) > 2*float64(f.size) {
		f.Errorf("got %d requests to Secrets Manager for %d sweeps, want at most 2 for each", reads, f.size)
	}
}

// memoryOfOneSweep returns the peak memory of a process that sweeps one secret once.
func (f *fleetRun) memoryOfOneSweep() int {
	f.Helper()
	arn, err := f.Secrets.Snapshot("fleet/00000")
	if err != nil {
		f.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{"secretId": arn.ARN, "time": f.Clock.Now(), "run": "single"})
	if err == nil {
		_, err = f.invoke(context.Background(), payload)
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Lambda.Recycle(sandbox.RevokeFunction)
	return int(f.memory.Load())
}

func (f *fleetRun) count(operation string) int64 {
	count, ok := f.requests.Load("secretsmanager " + operation)
	if !ok {
		return 0
	}
	return count.(*atomic.Int64).Load()
}

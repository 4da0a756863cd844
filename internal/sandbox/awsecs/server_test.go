package awsecs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/sandbox/awsecs"
	"quilt-rotate/internal/sandbox/clock"
)

// A service is the server under test with an SDK client.
type service struct {
	testing.TB
	*awsecs.Server
	client *ecs.Client
	clock  *clock.Clock
	url    string
}

func start(t testing.TB) *service {
	t.Helper()
	now := &clock.Clock{}
	server := awsecs.New(awsecs.Options{Clock: now, Region: "eu-central-1", Account: "123456789012"})
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return &service{t, server, ecs.New(ecs.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(listener.URL), HTTPClient: listener.Client(),
		Retryer:     aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "unused", ""),
	}), now, listener.URL}
}

// redeploy forces a new deployment of prod/api.
func (s *service) redeploy() types.Service {
	s.Helper()
	out, err := s.client.UpdateService(s.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("prod"),
		Service: aws.String("api"), ForceNewDeployment: true})
	if err != nil {
		s.Fatal(err)
	}
	return *out.Service
}

func (s *service) describe(services ...string) *ecs.DescribeServicesOutput {
	s.Helper()
	out, err := s.client.DescribeServices(s.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("prod"),
		Services: services})
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// summary returns the deployments and tasks of a service, such as "PRIMARY IN_PROGRESS 0+2, ACTIVE
// COMPLETED 2+0: 2 of 2".
func summary(found types.Service) string {
	var deployments []string
	for _, d := range found.Deployments {
		deployments = append(deployments, fmt.Sprintf("%s %s %d+%d", aws.ToString(d.Status), d.RolloutState,
			d.RunningCount, d.PendingCount))
	}
	return fmt.Sprintf("%s: %d of %d", strings.Join(deployments, ", "), found.RunningCount, found.DesiredCount)
}

const (
	stable  = "PRIMARY COMPLETED 2+0: 2 of 2"
	rolling = "PRIMARY IN_PROGRESS 0+2, ACTIVE COMPLETED 2+0: 2 of 2"
	broken  = "PRIMARY FAILED 0+0, ACTIVE COMPLETED 2+0: 2 of 2"
)

// expect checks the next answers of DescribeServices for prod/api.
func (s *service) expect(wants ...string) {
	s.Helper()
	for i, want := range wants {
		if got := summary(s.describe("api").Services[0]); got != want {
			s.Fatalf("answer %d: got %s, want %s", i+1, got, want)
		}
	}
}

func TestRolloutAdvancesWithEachAnswer(t *testing.T) {
	// The old tasks run until the rollout is complete. When an answer shows that it is complete,
	// the new tasks run.
	for name, test := range map[string]struct {
		rollout *awsecs.Rollout
		answers []string
	}{
		"default": {nil, []string{rolling, stable, stable}},
		"at once": {&awsecs.Rollout{}, []string{stable}},
		"slowly":  {&awsecs.Rollout{Slow: 3}, []string{rolling, rolling, rolling, stable}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			deployed := 0
			s.AddService("prod", "api", func() { deployed++ })
			if test.rollout != nil {
				if err := s.SetRollout("prod", "api", *test.rollout); err != nil {
					t.Fatal(err)
				}
			}
			s.expect(stable)
			if got := summary(s.redeploy()); got != rolling {
				t.Errorf("UpdateService: got %s, want %s", got, rolling)
			}
			for i, want := range test.answers {
				s.expect(want)
				if restarted := deployed == 1; restarted != (want == stable) {
					t.Errorf("answer %d: got %s after %d restarts", i+1, want, deployed)
				}
			}
			if n := s.Redeployments("prod", "api"); n != 1 || deployed != 1 {
				t.Errorf("got %d redeployments and %d restarts, want one of each", n, deployed)
			}
		})
	}
}

func TestRolloutsThatAreStuckOrFail(t *testing.T) {
	// The old tasks continue, nothing is restarted, and the next deployment can succeed.
	for name, test := range map[string]struct {
		rollout awsecs.Rollout
		answers []string
		reason  string
	}{
		"stuck": {awsecs.Rollout{Stuck: true}, []string{rolling, rolling, rolling}, "in progress."},
		"failing": {awsecs.Rollout{Slow: 1, Failure: "tasks failed to start."}, []string{rolling, broken, broken},
			"ECS deployment circuit breaker: tasks failed to start."},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			deployed := 0
			s.AddService("prod", "api", func() { deployed++ })
			if err := s.SetRollout("prod", "api", test.rollout); err != nil {
				t.Fatal(err)
			}
			s.redeploy()
			s.expect(test.answers...)
			if got := aws.ToString(s.describe("api").Services[0].Deployments[0].RolloutStateReason); deployed != 0 ||
				!strings.HasSuffix(got, test.reason) {
				t.Errorf("got %d restarts, want 0; got the reason %q, want %q", deployed, got, test.reason)
			}
			if err := s.SetRollout("prod", "api", awsecs.Rollout{Slow: 1}); err != nil {
				t.Fatal(err)
			}
			s.redeploy()
			s.expect(rolling, stable)
			if deployed != 1 || s.Redeployments("prod", "api") != 2 {
				t.Errorf("got %d restarts after %d redeployments, want 1 after 2", deployed,
					s.Redeployments("prod", "api"))
			}
		})
	}
}

func TestWaiterOfTheSDKEnds(t *testing.T) {
	// ServicesStableWaiter ends when the rollout is complete. It fails if the service does not
	// exist.
	s := start(t)
	s.AddService("prod", "api", nil)
	s.redeploy()
	waiter := ecs.NewServicesStableWaiter(s.client, func(o *ecs.ServicesStableWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, time.Millisecond
	})
	wait := func(service string) error {
		return waiter.Wait(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("prod"),
			Services: []string{service}}, time.Minute)
	}
	if err := wait("api"); err != nil {
		t.Errorf("the waiter failed: %v", err)
	}
	s.expect(stable)
	if err := wait("absent"); err == nil || !strings.Contains(err.Error(), "Failure") {
		t.Errorf("the waiter for a service that does not exist: got the error %v", err)
	}
}

func TestServicesAreFoundByNameAndARN(t *testing.T) {
	// A service that does not exist is in the answer as a failure.
	s := start(t)
	s.AddService("prod", "api", nil)
	s.AddService("default", "api", nil)
	arn := "arn:aws:ecs:eu-central-1:123456789012:service/"
	out := s.describe("api", arn+"prod/api", arn+"api", "absent", arn+"other/api")
	if len(out.Services) != 3 || len(out.Failures) != 2 || aws.ToString(out.Failures[0].Reason) != "MISSING" ||
		aws.ToString(out.Failures[0].Arn) != arn+"prod/absent" {
		t.Errorf("got %d services and the failures %+v, want 3 services and 2 failures", len(out.Services),
			out.Failures)
	}
	if got := out.Services[0]; aws.ToString(got.ServiceArn) != arn+"prod/api" ||
		aws.ToString(got.ServiceName) != "api" || aws.ToString(got.Status) != "ACTIVE" {
		t.Errorf("got the service %+v", got)
	}
	for cluster, want := range map[string]string{"": "default", "prod": "prod",
		"arn:aws:ecs:eu-central-1:123456789012:cluster/prod": "prod"} {
		in := &ecs.UpdateServiceInput{Service: aws.String("api")}
		if cluster != "" {
			in.Cluster = aws.String(cluster)
		}
		out, err := s.client.UpdateService(t.Context(), in)
		if err != nil || aws.ToString(out.Service.ClusterArn) != "arn:aws:ecs:eu-central-1:123456789012:cluster/"+want {
			t.Errorf("cluster %q: got the error %v, want the cluster %s", cluster, err, want)
		}
	}
	if n := s.Redeployments("prod", "api"); n != 0 {
		t.Errorf("got %d redeployments without forceNewDeployment, want 0", n)
	}
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	// If a tag has a wrong service, the error code says whether the cluster or the service does not
	// exist.
	s := start(t)
	s.AddService("prod", "api", nil)
	update := func(in ecs.UpdateServiceInput) error { _, err := s.client.UpdateService(t.Context(), &in); return err }
	describe := func(in ecs.DescribeServicesInput) error {
		_, err := s.client.DescribeServices(t.Context(), &in)
		return err
	}
	for name, test := range map[string]struct {
		err  error
		code string
	}{
		"no such cluster": {update(ecs.UpdateServiceInput{Cluster: aws.String("absent"),
			Service: aws.String("api")}), "ClusterNotFoundException"},
		"no such service": {update(ecs.UpdateServiceInput{Cluster: aws.String("prod"),
			Service: aws.String("absent")}), "ServiceNotFoundException"},
		"no name": {update(ecs.UpdateServiceInput{Cluster: aws.String("prod"), Service: aws.String("")}),
			"InvalidParameterException"},
		"unsupported parameter": {update(ecs.UpdateServiceInput{Cluster: aws.String("prod"), Service: aws.String("api"),
			DesiredCount: aws.Int32(0)}), "SerializationException"},
		"describe: no such cluster": {describe(ecs.DescribeServicesInput{Cluster: aws.String("absent"),
			Services: []string{"api"}}), "ClusterNotFoundException"},
		"describe: no services": {describe(ecs.DescribeServicesInput{Cluster: aws.String("prod"),
			Services: []string{}}), "InvalidParameterException"},
		"describe: too many": {describe(ecs.DescribeServicesInput{Cluster: aws.String("prod"),
			Services: strings.Split("abcdefghijk", "")}), "InvalidParameterException"},
	} {
		var refusal smithy.APIError
		if !errors.As(test.err, &refusal) || refusal.ErrorCode() != test.code {
			t.Errorf("%s: got the error %v, want %s", name, test.err, test.code)
		}
	}
	if s.Redeployments("prod", "api") != 0 || s.SetRollout("prod", "absent", awsecs.Rollout{}) == nil {
		t.Error("a refused request changed a service")
	}
}

func TestDatesHaveTheTimeOfTheSandboxsClock(t *testing.T) {
	s := start(t)
	s.AddService("prod", "api", nil)
	s.clock.Advance(48 * time.Hour)
	if got := aws.ToTime(s.redeploy().Deployments[0].CreatedAt); s.clock.Now().Sub(got).Abs() > time.Minute {
		t.Errorf("the deployment was created at %s, want %s", got, s.clock.Now())
	}
}

func TestOnDeployMayCallTheService(t *testing.T) {
	// No lock is held during the call, and the function is called only once.
	s := start(t)
	deployed := 0
	s.AddService("prod", "api", func() { deployed++; s.describe("api") })
	s.redeploy()
	s.expect(rolling, stable)
	if deployed != 1 {
		t.Errorf("got %d restarts, want 1", deployed)
	}
}

func TestConcurrentCallersRestartAServiceOnce(t *testing.T) {
	s := start(t)
	var restarts atomic.Int32
	s.AddService("prod", "api", func() { restarts.Add(1) })
	s.redeploy()
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 4 {
				if _, err := s.client.DescribeServices(t.Context(),
					&ecs.DescribeServicesInput{Cluster: aws.String("prod"), Services: []string{"api"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	s.expect(stable)
	if n := restarts.Load(); n != 1 {
		t.Errorf("got %d restarts, want 1", n)
	}
}

func TestSecondDeploymentDuringARolloutHasItsOwnRollout(t *testing.T) {
	// This also applies if it is started while the tasks of the first deployment start.
	s := start(t)
	restarts := 0
	s.AddService("prod", "api", func() {
		if restarts++; restarts == 1 {
			s.redeploy()
		}
	})
	s.redeploy()
	s.expect(rolling, rolling, rolling, stable)
	if restarts != 2 || s.Redeployments("prod", "api") != 2 {
		t.Errorf("got %d restarts after %d redeployments, want 2 after 2", restarts, s.Redeployments("prod", "api"))
	}
}

func TestAWSCLI(t *testing.T) {
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED: ECS with the AWS CLI: aws is not installed")
	}
	s := start(t)
	s.AddService("prod", "api", nil)
	command := exec.CommandContext(t.Context(), cli, "ecs", "update-service", "--cluster", "prod", "--service", "api",
		"--force-new-deployment", "--output", "json")
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYENV_ROOT=" + os.Getenv("PYENV_ROOT"),
		"AWS_ENDPOINT_URL=" + s.url, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=unused",
		"AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	out, err := command.CombinedOutput()
	var answer struct {
		Service struct {
			Deployments []struct{ RolloutState string }
		}
	}
	if err != nil || json.Unmarshal(out, &answer) != nil || len(answer.Service.Deployments) != 2 ||
		answer.Service.Deployments[0].RolloutState != "IN_PROGRESS" {
		t.Errorf("got the output %s, %v", out, err)
	}
}

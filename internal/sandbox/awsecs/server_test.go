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

// A service is the server under test, with an SDK client that talks to it over loopback.
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

// shown is a service as a person would note it: "PRIMARY IN_PROGRESS 0+2, ACTIVE COMPLETED 2+0: 2
// of 2".
func shown(found types.Service) string {
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

// next demands what the next looks at prod/api show.
func (s *service) next(wants ...string) {
	s.Helper()
	for i, want := range wants {
		if got := shown(s.describe("api").Services[0]); got != want {
			s.Fatalf("look %d shows %s, want %s", i+1, got, want)
		}
	}
}

func TestRolloutGoesOnAsItIsLookedAt(t *testing.T) {
	// Protects a caller that waits for consumers: the old tasks serve until the rollout completes,
	// and the new ones are at work when it shows.
	for name, test := range map[string]struct {
		rollout *awsecs.Rollout
		looks   []string
	}{
		"as usual": {nil, []string{rolling, stable, stable}},
		"at once":  {&awsecs.Rollout{}, []string{stable}},
		"slowly":   {&awsecs.Rollout{Slow: 3}, []string{rolling, rolling, rolling, stable}},
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
			s.next(stable)
			if got := shown(s.redeploy()); got != rolling {
				t.Errorf("UpdateService shows %s, want %s", got, rolling)
			}
			for i, want := range test.looks {
				s.next(want)
				if restarted := deployed == 1; restarted != (want == stable) {
					t.Errorf("look %d shows %s, and the consumer was restarted %d times", i+1, want, deployed)
				}
			}
			if n := s.Redeployments("prod", "api"); n != 1 || deployed != 1 {
				t.Errorf("%d redeployments, %d restarts, want one", n, deployed)
			}
		})
	}
}

func TestStuckAndFailingRollouts(t *testing.T) {
	// Protects the way out of a rollout that does not end: the old tasks go on, nothing is
	// restarted, and the next deployment can succeed.
	for name, test := range map[string]struct {
		rollout awsecs.Rollout
		looks   []string
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
			s.next(test.looks...)
			if got := aws.ToString(s.describe("api").Services[0].Deployments[0].RolloutStateReason); deployed != 0 ||
				!strings.HasSuffix(got, test.reason) {
				t.Errorf("%d restarts, want none; the reason is %q, want %q", deployed, got, test.reason)
			}
			if err := s.SetRollout("prod", "api", awsecs.Rollout{Slow: 1}); err != nil {
				t.Fatal(err)
			}
			s.redeploy()
			s.next(rolling, stable)
			if deployed != 1 || s.Redeployments("prod", "api") != 2 {
				t.Errorf("%d restarts after %d redeployments, want 1 after 2", deployed, s.Redeployments("prod", "api"))
			}
		})
	}
}

func TestTheWaiterOfTheSDKEnds(t *testing.T) {
	// Protects callers that wait with ServicesStableWaiter: it ends when the rollout completes, and
	// fails for a service that is not there.
	s := start(t)
	s.AddService("prod", "api", nil)
	s.redeploy()
	waiter := ecs.NewServicesStableWaiter(s.client, func(o *ecs.ServicesStableWaiterOptions) {
		o.MinDelay,
			o.MaxDelay = time.Millisecond, time.Millisecond
	})
	wait := func(service string) error {
		return waiter.Wait(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("prod"),
			Services: []string{service}}, time.Minute)
	}
	if err := wait("api"); err != nil {
		t.Errorf("the waiter fails: %v", err)
	}
	s.next(stable)
	if err := wait("absent"); err == nil || !strings.Contains(err.Error(), "Failure") {
		t.Errorf("for an absent service the waiter says %v", err)
	}
}

func TestServicesAreFoundByNameAndARN(t *testing.T) {
	// Protects every way to name a service that the API Reference allows; one that is not there is
	// told beside those that are.
	s := start(t)
	s.AddService("prod", "api", nil)
	s.AddService("default", "api", nil)
	arn := "arn:aws:ecs:eu-central-1:123456789012:service/"
	out := s.describe("api", arn+"prod/api", arn+"api", "absent", arn+"other/api")
	if len(out.Services) != 3 || len(out.Failures) != 2 || aws.ToString(out.Failures[0].Reason) != "MISSING" ||
		aws.ToString(out.Failures[0].Arn) != arn+"prod/absent" {
		t.Errorf("found %d, failures %+v", len(out.Services), out.Failures)
	}
	if got := out.Services[0]; aws.ToString(got.ServiceArn) != arn+"prod/api" ||
		aws.ToString(got.ServiceName) != "api" || aws.ToString(got.Status) != "ACTIVE" {
		t.Errorf("the service is %+v", got)
	}
	for cluster, want := range map[string]string{"": "default", "prod": "prod",
		"arn:aws:ecs:eu-central-1:123456789012:cluster/prod": "prod"} {
		in := &ecs.UpdateServiceInput{Service: aws.String("api")}
		if cluster != "" {
			in.Cluster = aws.String(cluster)
		}
		out, err := s.client.UpdateService(t.Context(), in)
		if err != nil || aws.ToString(out.Service.ClusterArn) != "arn:aws:ecs:eu-central-1:123456789012:cluster/"+want {
			t.Errorf("cluster %q: %v", cluster, err)
		}
	}
	if n := s.Redeployments("prod", "api"); n != 0 {
		t.Errorf("%d redeployments without force", n)
	}
}

func TestRefusals(t *testing.T) {
	// Protects what a person reads whose tag names the wrong service: the code tells the cluster
	// from the service.
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
		"what it does not do": {update(ecs.UpdateServiceInput{Cluster: aws.String("prod"), Service: aws.String("api"),
			DesiredCount: aws.Int32(0)}), "SerializationException"},
		"look: no such cluster": {describe(ecs.DescribeServicesInput{Cluster: aws.String("absent"),
			Services: []string{"api"}}), "ClusterNotFoundException"},
		"look: no services": {describe(ecs.DescribeServicesInput{Cluster: aws.String("prod"),
			Services: []string{}}), "InvalidParameterException"},
		"look: too many": {describe(ecs.DescribeServicesInput{Cluster: aws.String("prod"),
			Services: strings.Split("abcdefghijk", "")}), "InvalidParameterException"},
	} {
		var refusal smithy.APIError
		if !errors.As(test.err, &refusal) || refusal.ErrorCode() != test.code {
			t.Errorf("%s: got %v, want %s", name, test.err, test.code)
		}
	}
	if s.Redeployments("prod", "api") != 0 || s.SetRollout("prod", "absent", awsecs.Rollout{}) == nil {
		t.Error("a refused request was carried out")
	}
}

func TestDatesAreTheSandboxs(t *testing.T) {
	// Protects a timeline: a deployment is dated by the sandbox's clock.
	s := start(t)
	s.AddService("prod", "api", nil)
	s.clock.Advance(48 * time.Hour)
	if got := aws.ToTime(s.redeploy().Deployments[0].CreatedAt); s.clock.Now().Sub(got).Abs() > time.Minute {
		t.Errorf("the deployment is of %s, at %s", got, s.clock.Now())
	}
}

func TestTasksMayUseTheService(t *testing.T) {
	// Protects tests whose consumer asks about its own service when it starts: no lock is held
	// meanwhile, and it starts once.
	s := start(t)
	deployed := 0
	s.AddService("prod", "api", func() { deployed++; s.describe("api") })
	s.redeploy()
	s.next(rolling, stable)
	if deployed != 1 {
		t.Errorf("restarted %d times", deployed)
	}
}

func TestManyLookAtOneRollout(t *testing.T) {
	// Protects a consumer from being restarted twice by two callers that wait for it.
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
	s.next(stable)
	if n := restarts.Load(); n != 1 {
		t.Errorf("restarted %d times", n)
	}
}

func TestADeploymentThatComesMeanwhile(t *testing.T) {
	// Protects who forces two deployments at once: the second is a rollout of its own, also where
	// it comes while the first one's tasks start.
	s := start(t)
	restarts := 0
	s.AddService("prod", "api", func() {
		if restarts++; restarts == 1 {
			s.redeploy()
		}
	})
	s.redeploy()
	s.next(rolling, rolling, rolling, stable)
	if restarts != 2 || s.Redeployments("prod", "api") != 2 {
		t.Errorf("%d restarts after %d redeployments, want 2 after 2", restarts, s.Redeployments("prod", "api"))
	}
}

func TestAWSCLI(t *testing.T) {
	// Protects people who redeploy by hand.
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
		t.Errorf("%v: %s", err, out)
	}
}

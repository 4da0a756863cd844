package sandbox

import (
	"net/http"
	"strings"

	"quilt-rotate/internal/sandbox/awsecs"
	"quilt-rotate/internal/sandbox/awskms"
	"quilt-rotate/internal/sandbox/awslambda"
	"quilt-rotate/internal/sandbox/awslogs"
	"quilt-rotate/internal/sandbox/awsscheduler"
	"quilt-rotate/internal/sandbox/awssecrets"
	"quilt-rotate/internal/sandbox/awsssm"
	"quilt-rotate/internal/sandbox/awssts"
)

// The names of the AWS services in a [wire.Call]. They are the prefixes of IAM actions.
const (
	secretsManager = "secretsmanager"
	lambda         = "lambda"
	logs           = "logs"
	ecs            = "ecs"
	sts            = "sts"
	athena         = "athena"
	scheduler      = "scheduler"
	ssm            = "ssm"
	kms            = "kms"
)

// caller answers for every caller, because the sandbox does not check credentials.
var caller = &awssts.Server{Account: Account, User: AccessKeyID, Alias: "sandbox"}

// aws is the one endpoint of all AWS services.
func (s *Sandbox) aws() http.Handler {
	services := map[string]http.Handler{
		secretsManager: s.Hooks.Wrap(secretsManager, awssecrets.Operation, s.Secrets),
		lambda:         s.Hooks.Wrap(lambda, awslambda.Operation, s.Lambda),
		logs:           s.Hooks.Wrap(logs, awslogs.Operation, s.Logs),
		ecs:            s.Hooks.Wrap(ecs, awsecs.Operation, s.Services),
		sts:            s.Hooks.Wrap(sts, awssts.Operation, caller),
		scheduler:      s.Hooks.Wrap(scheduler, awsscheduler.Operation, s.Schedules),
		ssm:            s.Hooks.Wrap(ssm, awsssm.Operation, s.Parameters),
		kms:            s.Hooks.Wrap(kms, awskms.Operation, s.Keys),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if added := s.athena.Load(); added != nil && strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonAthena.") {
			(*added).ServeHTTP(w, r)
			return
		}
		services[serviceOf(r)].ServeHTTP(w, r)
	})
}

// ServeAthena adds Athena to the endpoint. Package awsathena is optional, because it contains a
// database that most tests do not need. operation returns the name of a request's operation.
func (s *Sandbox) ServeAthena(service http.Handler, operation func(*http.Request, []byte) string) {
	wrapped := s.Hooks.Wrap(athena, operation, service)
	s.athena.Store(&wrapped)
}

// serviceOf returns the service of a request. Lambda and Scheduler have their operation in the
// path, STS in a form, the other services in a header. Unknown requests go to Secrets Manager,
// which refuses them.
func serviceOf(r *http.Request) string {
	target := r.Header.Get("X-Amz-Target")
	switch {
	case strings.HasPrefix(r.URL.Path, "/20"):
		return lambda
	case strings.HasPrefix(target, awslogs.Target):
		return logs
	case strings.HasPrefix(target, awsecs.Target):
		return ecs
	case strings.HasPrefix(target, awsssm.Target):
		return ssm
	case strings.HasPrefix(target, awskms.Target):
		return kms
	case awsscheduler.IsPath(r.URL.Path):
		return scheduler
	case target == "" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return sts
	}
	return secretsManager
}

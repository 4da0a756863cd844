package doctor

import (
	"context"
	"errors"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
)

// account is the AWS account that the secrets are in.
type account struct {
	*examination
	secrets []string // to check
}

var accountChecks = []check[*account]{
	{"credentials", nil, (*account).credentials},
	{"concurrency", []string{"credentials"}, (*account).concurrency},
	{"secrets", []string{"credentials"}, (*account).managed},
}

// credentials asks AWS who the credentials belong to. Every principal has this permission. If this
// service cannot be reached, the check is a warning, because other services may be reachable.
func (a *account) credentials(ctx context.Context) finding {
	caller, err := a.cloud.Caller(ctx)
	if e, ok := errors.AsType[*awsclient.Error](err); ok && e.Code == "" {
		return warning("", "could not check who the AWS credentials belong to: %s", e)
	}
	if err != nil {
		return broken(err, "")
	}
	return ok("%s in %s", caller.ARN, a.cloud.Region)
}

// leastConcurrency is the concurrency that rotations need. Below it, Lambda throttles steps (AWS
// Secrets Manager user guide, "Troubleshoot rotation").
const leastConcurrency = 10

func (a *account) concurrency(ctx context.Context) finding {
	n, err := a.cloud.Concurrency(ctx)
	switch {
	case err != nil:
		return broken(err, "")
	case n < leastConcurrency:
		return failure("request a higher limit: Service Quotas, AWS Lambda, Concurrent executions",
			"Lambda runs at most %d functions at once in this account; below %d, Lambda throttles the steps of a "+
				"rotation, and Secrets Manager repeats them", n, leastConcurrency)
	}
	return ok("Lambda runs up to %d functions at once", n)
}

// managed finds the managed secrets and reads the keys that they hold. It also reads secrets that
// the caller did not name, because they may hold the same keys.
func (a *account) managed(ctx context.Context) finding {
	a.secrets = a.Secrets
	a.holders, a.scanErr = managed.Scan(ctx, a.cloud, a.Progress)
	switch {
	case a.scanErr != nil && len(a.secrets) == 0: // nothing else can be checked, so the command must fail
		return failure("name the secrets: quilt-rotate doctor SECRET…", "%s", awsclient.Explain(a.scanErr))
	case a.scanErr != nil:
		return broken(a.scanErr, "")
	case len(a.secrets) == 0:
		for _, l := range a.holders.Secrets {
			a.secrets = append(a.secrets, l.Name)
		}
	}
	switch {
	case len(a.secrets) == 0:
		return warning("check AWS_REGION and AWS_PROFILE; to manage a secret that holds a key: quilt-rotate adopt "+
			"SECRET --schedule 'rate(30 days)'; to create the first key of a secret: quilt-rotate bootstrap SECRET",
			"%s", a.holders.Scope())
	case len(a.holders.Unread) > 0:
		u := a.holders.Unread[0]
		return warning("use AWS credentials that may read it", "%s; %s could not be read: %s", a.holders.Scope(),
			u.Secret, awsclient.Explain(u.Err))
	}
	return ok("%s", a.holders.Scope())
}

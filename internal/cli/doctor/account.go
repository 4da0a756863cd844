package doctor

import (
	"context"
	"errors"

	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
)

// account is what all secrets share.
type account struct {
	*visit
	secrets []string // to be looked at
}

var accountChecks = []check[*account]{
	{"credentials", nil, (*account).credentials},
	{"concurrency", []string{"credentials"}, (*account).concurrency},
	{"secrets", []string{"credentials"}, (*account).inCare},
}

// credentials are asked for their owner, which every principal may do. Where that service alone cannot be reached, the others may be.
func (a *account) credentials(ctx context.Context) finding {
	caller, err := a.cloud.Caller(ctx)
	if e, ok := errors.AsType[*awsclient.Error](err); ok && e.Code == "" {
		return warning("", "not known whose they are: %s", e)
	}
	if err != nil {
		return broken(err, "")
	}
	return ok("%s in %s", caller.ARN, a.cloud.Region)
}

// leastConcurrency is what a rotation needs: with less, throttled steps are called again and again (AWS Secrets Manager user guide,
// "Troubleshoot rotation").
const leastConcurrency = 10

func (a *account) concurrency(ctx context.Context) finding {
	n, err := a.cloud.Concurrency(ctx)
	switch {
	case err != nil:
		return broken(err, "")
	case n < leastConcurrency:
		return failure("have the limit raised: Service Quotas, AWS Lambda, Concurrent executions",
			"Lambda runs %d functions at once here; below %d, Secrets Manager calls the steps of a rotation over and over", n, leastConcurrency)
	}
	return ok("Lambda runs %d functions at once", n)
}

// inCare finds the secrets, and the keys that all of them hold: a key may sit in a secret that nobody asked for.
func (a *account) inCare(ctx context.Context) finding {
	a.secrets = a.Secrets
	a.holdings, a.unread, a.unheld = managed.Holdings(ctx, a.cloud)
	if len(a.secrets) > 0 {
		return ok("%s to look at", plural(len(a.secrets), "secret"))
	}
	listed, err := a.cloud.Managed(ctx)
	if err != nil {
		return broken(err, "name the secrets: quilt-rotate doctor SECRET…")
	}
	for _, l := range listed {
		a.secrets = append(a.secrets, l.Name)
	}
	if len(a.secrets) == 0 {
		return warning("quilt-rotate bootstrap NAME, or quilt-rotate adopt NAME", "no secret is in care in this account and region")
	}
	return ok("%s in care", plural(len(a.secrets), "secret"))
}

package doctor

import (
	"context"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/fault"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// patient is a secret, and what the checks found out about it. A check stores what later checks
// need.
type patient struct {
	*visit
	name string

	secret      *managed.Secret
	openErr     error
	function    awsclient.Function // that rotates
	functionErr error
	url         string // of its registry

	rotation  settings.Rotation
	sweeping  *settings.Revocation // nil: not known
	current   vault.Version
	value     apikey.Value
	session   *quilt.Session // by the current key
	me        quilt.Identity
	keys      []quilt.APIKey // of its user
	manageErr error          // why the current key cannot list them
	key       quilt.APIKey   // the current one, at the registry
	issuer    *quilt.Session // by the issuing credential; nil: there is none that works
	left      string         // what to do about a probe key that may be left
}

// secretChecks are in the order in which an operator fixes things.
var secretChecks = []check[*patient]{
	// The deployment.
	{"secret", nil, (*patient).exists},
	{"function", []string{"secret"}, (*patient).rotateFunction},
	{"permission", []string{"function"}, (*patient).permission},
	{"sweeper", []string{"function"}, (*patient).sweeper},
	{"sweeps", []string{"function"}, (*patient).sweeps},
	{"encryption", []string{"secret"}, (*patient).encryption},
	{"tags", []string{"secret"}, (*patient).tags},
	{"rotation", []string{"secret", "function"}, (*patient).rotates},
	{"lifetime", []string{"rotation", "tags"}, (*patient).lifetime},
	{"replicas", []string{"secret"}, (*patient).replicas},

	// The labels.
	{"labels", []string{"secret"}, (*patient).labels},
	{"pending", []string{"secret"}, (*patient).pending},

	// The key.
	{"value", []string{"secret", "tags"}, (*patient).holdsKey},
	{"sharing", []string{"value"}, (*patient).sharing},
	{"login", []string{"value"}, (*patient).logsIn},
	{"issuer", []string{"tags"}, (*patient).issuerWorks},
	{"management", []string{"login"}, (*patient).manages},
	{"key", []string{"login"}, (*patient).known},
	{"next", []string{"key", "rotation"}, (*patient).rotatedInTime},
	{"use", []string{"key"}, (*patient).useIsRecorded},
}

// open describes the secret and its function.
func (p *patient) open(ctx context.Context) {
	if p.secret, p.openErr = managed.Open(ctx, p.cloud, p.name); p.openErr != nil {
		return
	}
	p.name = p.secret.Name
	p.secret.RevokeFunction = p.RevokeFunction
	if p.secret.Rotation.Function == "" {
		return
	}
	var err error
	p.function, p.functionErr = p.secret.RotateFunction(ctx)
	if p.url, err = p.secret.RegistryURL(ctx); p.functionErr == nil {
		p.functionErr = err
	}
}

// now is Secrets Manager's clock.
func (p *patient) now() time.Time { return p.secret.Now }

func (p *patient) exists(context.Context) finding {
	if p.openErr != nil {
		return broken(p.openErr, "")
	}
	if err := fault.NoReplica(p.secret.Secret); err != nil {
		return failure("run this with AWS_REGION="+p.secret.PrimaryRegion, "%s", err)
	}
	return ok("%s with labels", plural(len(p.secret.Versions), "version"))
}

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

// examined is a secret with the results that later checks need.
type examined struct {
	*examination
	name string

	secret      *managed.Secret
	openErr     error
	function    awsclient.Function // rotate function
	functionErr error
	url         string // URL of the registry

	rotation  settings.Rotation
	sweeping  *settings.Revocation // nil: not known
	current   vault.Version
	value     apikey.Value
	session   *quilt.Session // login with the current key
	me        quilt.Identity
	keys      []quilt.APIKey // keys of the user
	manageErr error          // why the current key cannot list keys
	key       quilt.APIKey   // the current key at the registry
	issuer    *quilt.Session // login with the issuing credential; nil: none works
	left      string         // what to do about a probe key that may be left
}

// secretChecks are in the order in which an operator fixes problems.
var secretChecks = []check[*examined]{
	// The deployment.
	{"secret", nil, (*examined).exists},
	{"function", []string{"secret"}, (*examined).rotateFunction},
	{"permission", []string{"function"}, (*examined).permission},
	{"sweeper", []string{"function"}, (*examined).sweeper},
	{"sweeps", []string{"function"}, (*examined).sweeps},
	{"encryption", []string{"secret"}, (*examined).encryption},
	{"tags", []string{"secret"}, (*examined).tags},
	{"rotation", []string{"secret", "function"}, (*examined).rotates},
	{"lifetime", []string{"rotation", "tags"}, (*examined).lifetime},
	{"replicas", []string{"secret"}, (*examined).replicas},

	// The labels.
	{"labels", []string{"secret"}, (*examined).labels},
	{"pending", []string{"secret"}, (*examined).pending},

	// The key.
	{"value", []string{"secret", "tags"}, (*examined).holdsKey},
	{"sharing", []string{"value"}, (*examined).sharing},
	{"login", []string{"value"}, (*examined).logsIn},
	{"issuer", []string{"tags"}, (*examined).issuerWorks},
	{"management", []string{"login"}, (*examined).manages},
	{"key", []string{"login"}, (*examined).known},
	{"next", []string{"key", "rotation"}, (*examined).rotatedInTime},
	{"use", []string{"key"}, (*examined).useIsRecorded},
}

// open describes the secret and its function.
func (p *examined) open(ctx context.Context) {
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

// now returns Secrets Manager's time.
func (p *examined) now() time.Time { return p.secret.Now }

func (p *examined) exists(context.Context) finding {
	if p.openErr != nil {
		return broken(p.openErr, "")
	}
	if err := fault.NoReplica(p.secret.Secret); err != nil {
		return failure("run this with AWS_REGION="+p.secret.PrimaryRegion, "%s", err)
	}
	return ok("%s with labels", plural(len(p.secret.Versions), "version"))
}

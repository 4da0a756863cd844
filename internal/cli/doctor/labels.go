package doctor

import (
	"context"
	"strings"
	"time"

	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

func (p *examined) labels(context.Context) finding {
	n := p.secret.Labels()
	var unknown []string
	for _, v := range p.secret.Sorted() {
		unknown = append(unknown, v.Unknown...)
	}
	switch {
	case len(unknown) > 0:
		return failure("deploy the newest release, which may have written it: docs/runbook/UnknownLabel.md",
			"sweeps stop because this label is unknown: %s", strings.Join(unknown, ", "))
	case n > vault.LabelQuota-status.RotationLabels:
		pending, there := p.secret.Holder(vault.Pending)
		return failure(status.FreeLabels(p.name, status.FromLabels(p.secret.Secret), there &&
			!pending.Has(vault.Current)), "%d of %d staging labels are in use, and a rotation needs %d free labels", n,
			vault.LabelQuota, status.RotationLabels)
	}
	return ok("%d of %d staging labels in use", n, vault.LabelQuota)
}

// longestStep is the longest run of a Lambda function. If AWSPENDING is older, no step of its
// rotation is running.
const longestStep = 15 * time.Minute

func (p *examined) pending(ctx context.Context) finding {
	v, there := p.secret.Holder(vault.Pending)
	if !there || v.Has(vault.Current) {
		return ok("no rotation is under way")
	}
	unstick := "to end it: quilt-rotate unstick " + p.name
	since, err := p.cloud.Vault.VersionCreated(ctx, p.secret.ARN, v.ID)
	age := p.now().Sub(since)
	switch {
	case err != nil || since.IsZero():
		return warning(unstick, "a rotation is under way or stuck: AWSPENDING is on %s, and its age is not known",
			v.ID)
	case age < longestStep:
		return warning("wait until it ends: quilt-rotate status "+p.name, "a rotation has been under way for %s",
			terminal.About(age))
	}
	return failure(unstick, "a rotation has been stuck for %s: AWSPENDING is on %s", terminal.About(age), v.ID)
}

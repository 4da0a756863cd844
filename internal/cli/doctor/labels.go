package doctor

import (
	"context"
	"strings"
	"time"

	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// freeLabels is how many labels a rotation must find free (package rotation, LabelQuota).
const freeLabels = 5

func (p *patient) labels(context.Context) finding {
	n, most := p.secret.Labels(), vault.LabelQuota-freeLabels
	var unknown []string
	for _, v := range p.secret.Sorted() {
		unknown = append(unknown, v.Unknown...)
	}
	switch {
	case len(unknown) > 0:
		return failure("deploy the newest release, or take the label off by hand: aws secretsmanager update-secret-version-stage",
			"sweeps stop at a label that they do not know: %s", strings.Join(unknown, ", "))
	case n >= most:
		return failure("see what still holds them: quilt-rotate status "+p.name+"; sweep: quilt-rotate revoke "+p.name,
			"%d of %d labels are taken, and fewer than %d may be", n, vault.LabelQuota, most)
	}
	return ok("%d of %d taken", n, vault.LabelQuota)
}

// longestStep is Lambda's longest run: AWSPENDING that is older belongs to no step that still runs.
const longestStep = 15 * time.Minute

func (p *patient) pending(ctx context.Context) finding {
	v, there := p.secret.Holder(vault.Pending)
	if !there || v.Has(vault.Current) {
		return ok("no rotation is under way")
	}
	unstick := "see why: quilt-rotate status " + p.name + "; to end it: quilt-rotate unstick " + p.name
	born, err := p.cloud.Born(ctx, p.secret.ARN)
	if err != nil {
		return warning(unstick, "a rotation is under way, or stuck: AWSPENDING is on %s (its age cannot be seen: %s)", v.ID, err)
	}
	since, known := born[v.ID]
	age := p.now().Sub(since)
	switch {
	case !known:
		return warning(unstick, "a rotation is under way, or stuck: AWSPENDING is on %s", v.ID)
	case age < longestStep:
		return warning("wait for its end: quilt-rotate status "+p.name, "a rotation is under way for %s", terminal.About(age))
	}
	return failure(unstick, "a rotation is stuck for %s: AWSPENDING is on %s", terminal.About(age), v.ID)
}

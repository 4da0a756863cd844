package managed

import (
	"context"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/awsclient"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/vault"
)

// List has the managed secrets of an account and region.
type List struct {
	Place   awsclient.Place
	Total   int                // number of all secrets, managed or not
	Secrets []awsclient.Listed // managed secrets by name, including those that are marked for deletion
	// secrets that may be managed: their rotation function could not be read
	Unknown []Unread

	marks   map[string]awsclient.Listed // all secrets, by the mark in the names of their keys
	issuers []awsclient.Listed          // issuing credentials that tags of managed secrets name
}

// Unread is a secret that could not be read.
type Unread struct {
	Secret string // name
	Err    error
}

// readers is the number of requests that run at the same time.
const readers = 12

// ListSecrets finds the managed secrets: the secrets that our rotate function rotates, and the
// secrets that have a tag or a label of ours, whether rotation is on or off. A function is ours if
// it has the tag that names its revoke function, or if a secret with a tag or a label of ours names
// it.
func ListSecrets(ctx context.Context, c *awsclient.Cloud) (List, error) {
	all, err := c.Secrets(ctx)
	if err != nil {
		return List{}, err
	}
	l := List{Total: len(all), marks: map[string]awsclient.Listed{}}
	ours, unnamed := map[string]bool{}, map[string]bool{}
	for _, s := range all {
		l.marks[apikey.SecretMark(s.ARN)] = s
		if Marked(s.Tags, s.Versions) && s.Function != "" {
			ours[s.Function] = true
		}
	}
	for _, s := range all {
		if s.Function != "" && !ours[s.Function] {
			unnamed[s.Function] = true
		}
	}
	var mu sync.Mutex
	unknown := map[string]error{}
	var group errgroup.Group
	group.SetLimit(readers)
	for function := range unnamed {
		group.Go(func() error {
			f, err := c.Function(ctx, function)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !awsclient.NotFound(err) {
				unknown[function] = err
			}
			ours[function] = f.Tags[settings.TagRevokeFunction] != ""
			return nil
		})
	}
	group.Go(func() error {
		l.Place = c.Place(ctx)
		return nil
	})
	_ = group.Wait() // no function fails
	for _, s := range all {
		if Marked(s.Tags, s.Versions) || ours[s.Function] {
			l.Secrets = append(l.Secrets, s)
		} else if err := unknown[s.Function]; err != nil {
			l.Unknown = append(l.Unknown, Unread{s.Name, err})
		}
	}
	for _, s := range all {
		isIssuer := func(m awsclient.Listed) bool {
			name := m.Tags[settings.TagIssuer]
			// an ARN may lack its last six characters
			return name != "" && (name == s.Name || strings.HasPrefix(name, "arn:") && strings.HasPrefix(s.ARN, name))
		}
		if slices.ContainsFunc(l.Secrets, isIssuer) && !slices.ContainsFunc(l.Secrets,
			func(m awsclient.Listed) bool { return m.ARN == s.ARN }) {
			l.issuers = append(l.issuers, s)
		}
	}
	return l, ctx.Err()
}

// Marked reports whether a secret has a tag or a label of ours.
func Marked(tags map[string]string, versions []vault.Version) bool {
	for name := range tags {
		if strings.HasPrefix(name, settings.TagPrefix) {
			return true
		}
	}
	for _, v := range versions {
		if len(v.Keys)+len(v.Marks)+len(v.Pauses)+len(v.Unknown) > 0 {
			return true
		}
	}
	return false
}

// Elsewhere reports whether the name of a key says that it was created for a secret that is not in
// this account and region.
func (l List) Elsewhere(keyName string) bool {
	mark, ours := apikey.MarkOf(keyName)
	_, here := l.marks[mark]
	return ours && !here
}

// RestoreCommand returns the command that restores a secret that is marked for deletion.
func RestoreCommand(secret string) string {
	return "aws secretsmanager restore-secret --secret-id " + secret
}

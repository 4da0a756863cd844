package quilt

import (
	"context"

	"github.com/Khan/genqlient/graphql"
)

// AdminKeyFilter narrows [Session.AdminListKeys]. The zero AdminKeyFilter selects every key of
// every user.
type AdminKeyFilter struct {
	Email       string // the owner's
	Name        string
	Fingerprint string
	Status      Status
}

// AdminListKeys lists the keys of all users. The session's user must be an administrator. There is
// no call to create a key for another user, not even for an administrator.
func (s *Session) AdminListKeys(ctx context.Context, f AdminKeyFilter) ([]APIKey, error) {
	got, c, err := ask(ctx, s, "adminApiKeysList", reads,
		func(ctx context.Context, g graphql.Client) (*adminApiKeysListResponse, error) {
			return adminApiKeysList(ctx, g, f.Email, f.Name, f.Fingerprint, f.Status)
		})
	if err != nil {
		return nil, err
	}
	return c.keys(got.Admin.ApiKeys.List)
}

// AdminGetKey returns a key of any user. It returns nil without an error if the registry answers
// that there is no such key.
func (s *Session) AdminGetKey(ctx context.Context, id string) (*APIKey, error) {
	got, c, err := ask(ctx, s, "adminApiKeyGet", reads,
		func(ctx context.Context, g graphql.Client) (*adminApiKeyGetResponse, error) {
			return adminApiKeyGet(ctx, g, id)
		})
	if err != nil {
		return nil, err
	}
	return c.keyByID(id, got.Admin.ApiKeys.Get, "data", "admin", "apiKeys", "get")
}

// AdminRevokeKey deletes a key of any user, immediately and permanently. Otherwise it is like
// [Session.RevokeKey].
func (s *Session) AdminRevokeKey(ctx context.Context, id string) error {
	c, err := s.start(ctx, "adminApiKeyRevoke", revokes)
	if err != nil {
		return err
	}
	if id == "" {
		return c.noKeyNamed()
	}
	got, err := adminApiKeyRevoke(ctx, c, id)
	if err != nil {
		return err
	}
	return c.revoked(got.Admin.ApiKeys.Revoke)
}

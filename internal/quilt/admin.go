package quilt

import "context"

// AdminKeyFilter narrows [Session.AdminListKeys]. The zero AdminKeyFilter takes every key of every user.
type AdminKeyFilter struct {
	Email       string // the owner's
	Name        string
	Fingerprint string
	Status      Status
}

// AdminListKeys lists the keys of all users. Only an admin may; nobody, admins included, can make a key for somebody
// else.
func (s *Session) AdminListKeys(ctx context.Context, filter AdminKeyFilter) ([]APIKey, error) {
	c, err := s.start(ctx, "adminApiKeysList", reads)
	if err != nil {
		return nil, err
	}
	got, err := adminApiKeysList(ctx, c, filter.Email, filter.Name, filter.Fingerprint, filter.Status)
	if err != nil {
		return nil, err
	}
	return c.keys(got.Admin.ApiKeys.List)
}

// AdminGetKey asks for a key of any user. It is nil, without an error, where the registry says that it knows no such
// key.
func (s *Session) AdminGetKey(ctx context.Context, id string) (*APIKey, error) {
	c, err := s.start(ctx, "adminApiKeyGet", reads)
	if err != nil {
		return nil, err
	}
	got, err := adminApiKeyGet(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return c.keyByID(id, got.Admin.ApiKeys.Get, "data", "admin", "apiKeys", "get")
}

// AdminRevokeKey deletes a key of any user, at once and for good, as [Session.RevokeKey] does for one's own.
func (s *Session) AdminRevokeKey(ctx context.Context, id string) error {
	c, err := s.start(ctx, "adminApiKeyRevoke", revokes)
	if err != nil {
		return err
	}
	if id == "" {
		return c.nothingNamed()
	}
	got, err := adminApiKeyRevoke(ctx, c, id)
	if err != nil {
		return err
	}
	return c.revoked(got.Admin.ApiKeys.Revoke)
}

package quilt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Khan/genqlient/graphql"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// Status of a key. A registry may have more than these. Only [Active] means that the key works. A
// revoked key has no status, because it is deleted (quilt: shared/graphql/schema.graphql).
type Status string

// The statuses that the schema names.
const (
	Active  Status = "ACTIVE"
	Expired Status = "EXPIRED" // is still listed; when it is purged is not documented
)

// Identity is the user that a credential belongs to.
type Identity struct {
	Name         string
	Email        string
	IsAdmin      bool
	RegistryTime time.Time // the registry's clock when it answered
}

// SameUser reports whether two e-mail addresses belong to the same registry user. Case does not
// count, because people and registries write it differently. An empty address belongs to nobody.
func SameUser(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

// APIKey is a key as the registry shows it (quilt: shared/graphql/schema.graphql, type APIKey). All
// times are the registry's.
type APIKey struct {
	ID           string // opaque, from the registry
	Name         string // neither unique nor unchangeable by contract
	Fingerprint  string // prefix, first and last characters of the key: for people, not unique
	CreatedAt    time.Time
	ExpiresAt    time.Time
	LastUsedAt   *time.Time // nil: the registry records no use; may be coarse, so use [APIKey.LatestUse]
	Status       Status
	UserEmail    string    // the owner's
	RegistryTime time.Time // the registry's clock when it answered; after [Session.CreateKey] it may be zero
}

// Old reports whether a key has less than half of its lifetime left, by the registry's own clock.
func (k APIKey) Old(now time.Time) bool {
	return k.ExpiresAt.Sub(now) < k.ExpiresAt.Sub(k.CreatedAt)/2
}

// LatestUse is the latest time at which the last use of the key may have been; nil if the registry
// records no use. The precision of the record is not documented. So midnight may stand for the
// whole day that starts then, a full hour for the hour, and a full minute for the minute: in UTC,
// or in the zone in which the registry writes the time. The end of that time counts.
func (k APIKey) LatestUse() *time.Time {
	if k.LastUsedAt == nil {
		return nil
	}
	latest := *k.LastUsedAt
	_, offset := latest.Zone()
	written := latest.Add(time.Duration(offset) * time.Second)
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		if latest.Equal(latest.Truncate(unit)) || written.Equal(written.Truncate(unit)) { // Truncate counts in UTC
			latest = latest.Add(unit)
			break
		}
	}
	return &latest
}

// OnlyFit returns the only key in the list whose fingerprint fits the key; ok is false if none
// fits, or more than one.
func OnlyFit(keys []APIKey, key apikey.Key) (fit APIKey, ok bool) {
	n := 0
	for _, k := range keys {
		if key.Fits(k.Fingerprint) {
			fit, n = k, n+1
		}
	}
	return fit, n == 1
}

// Account is a user with all keys, including expired ones.
type Account struct {
	Identity
	Keys []APIKey
}

// Login is a user with one key.
type Login struct {
	Identity
	Key *APIKey // nil: the registry answered that this user has no key with that id
}

// CreatedKey is a new key with its secret, which the registry shows only once.
type CreatedKey struct {
	APIKey
	Secret  apikey.Key
	Differs []string // what is not as it was asked for, as short texts; the caller compares the owner
}

// lifetimeTolerance is how far a lifetime may be from the one that was asked for. A registry may
// count whole days.
const lifetimeTolerance = 24 * time.Hour

// differs compares a new key with what was asked for.
func (k APIKey) differs(asked createInput) (differences []string) {
	wantedMark, _ := apikey.MarkOf(asked.Name)
	if mark, _ := apikey.MarkOf(k.Name); mark != wantedMark {
		differences = append(differences,
			"the registry changed the end of the key's name, by which a key that a crash leaves behind is found")
	}
	wanted := time.Duration(asked.ExpiresInDays) * 24 * time.Hour
	if got := k.ExpiresAt.Sub(k.CreatedAt); (got - wanted).Abs() > lifetimeTolerance {
		differences = append(differences, fmt.Sprintf("the key is valid for %.1f days, not for the %d that were "+
			"asked for",
			got.Hours()/24, asked.ExpiresInDays))
	}
	return differences
}

// KeyFilter narrows a list. The registry applies it; how it compares is not documented. The zero
// KeyFilter selects all keys.
type KeyFilter struct {
	Name        string
	Fingerprint string
	Status      Status
}

// Me returns the user that the credential belongs to. It fails with an [*UnauthenticatedError] if
// there is none.
func (s *Session) Me(ctx context.Context) (Identity, error) {
	got, c, err := ask(ctx, s, "me", reads, me)
	if err != nil {
		return Identity{}, err
	}
	return identity(c, got.Me)
}

// Account returns, in one request, the user that the credential belongs to and all keys of that
// user.
func (s *Session) Account(ctx context.Context) (a Account, err error) {
	got, c, err := ask(ctx, s, "account", reads, account)
	if err != nil {
		return Account{}, err
	}
	if a.Identity, err = identity(c, got.Me); err != nil {
		return Account{}, err
	}
	a.Keys, err = c.keys(got.Me.ApiKeys)
	return a, err
}

// Login returns, in one request, the user that the credential belongs to and that user's key with
// the given id. It is the strictest test of a key.
func (s *Session) Login(ctx context.Context, keyID string) (l Login, err error) {
	got, c, err := ask(ctx, s, "login", reads, func(ctx context.Context, g graphql.Client) (*loginResponse, error) {
		return login(ctx, g, keyID)
	})
	if err != nil {
		return Login{}, err
	}
	if l.Identity, err = identity(c, got.Me); err != nil {
		return Login{}, err
	}
	l.Key, err = c.keyByID(keyID, got.Me.ApiKey, "data", "me", "apiKey")
	return l, err
}

// GetKey returns one of the user's keys. It returns nil without an error if the registry answers
// that the user has no such key.
func (s *Session) GetKey(ctx context.Context, id string) (*APIKey, error) {
	l, err := s.Login(ctx, id)
	return l.Key, err
}

// ListKeys lists the user's keys. An empty list is not nil: the registry answered that there are no
// keys.
func (s *Session) ListKeys(ctx context.Context, filter KeyFilter) ([]APIKey, error) {
	got, c, err := ask(ctx, s, "apiKeysList", reads,
		func(ctx context.Context, g graphql.Client) (*apiKeysListResponse, error) {
			return apiKeysList(ctx, g, filter.Name, filter.Fingerprint, filter.Status)
		})
	if err != nil {
		return nil, err
	}
	if got.Me == nil {
		return nil, c.nobody()
	}
	return c.keys(got.Me.ApiKeys)
}

// CreateKey creates a key for the user, valid for expiresInDays days (1 to 365, which the registry
// checks). It is the one operation that must not be done twice. It is sent again only if the first
// request provably was not carried out (no connection, or status 429), and fails with an
// [*AnswerLostError] if a key may have been created that nobody holds.
func (s *Session) CreateKey(ctx context.Context, name string, expiresInDays int) (CreatedKey, error) {
	c, err := s.start(ctx, "apiKeyCreate", creates)
	if err != nil {
		return CreatedKey{}, err
	}
	created, err := c.create(ctx, createInput{Name: name, ExpiresInDays: expiresInDays})
	if err != nil && mayHaveCreated(err) {
		return CreatedKey{}, &AnswerLostError{Where: s.client.at(c.operation), KeyName: name, cause: err}
	}
	return created, err
}

func (c *call) create(ctx context.Context, input createInput) (CreatedKey, error) {
	got, err := apiKeyCreate(ctx, c, input)
	if err != nil {
		return CreatedKey{}, err
	}
	switch result := got.ApiKeyCreate.(type) {
	case *createResultInvalidInput:
		return CreatedKey{}, c.invalid(result.refusal)
	case *createResultAPIKeyCreated:
		key, err := c.key(result.ApiKey)
		if err != nil {
			return CreatedKey{}, err
		}
		secret, err := apikey.Parse(result.Secret)
		if err != nil {
			return CreatedKey{}, c.garbled("the secret of the new key is " + err.Error())
		}
		return CreatedKey{key, secret, key.differs(input)}, nil
	}
	return CreatedKey{}, c.missing("apiKeyCreate")
}

// mayHaveCreated is false only if it is proved that no key was created: no request was sent, or a
// complete answer refuses it.
func mayHaveCreated(err error) bool {
	if down, ok := errors.AsType[*UnavailableError](err); ok {
		return down.reached
	}
	if failed, ok := errors.AsType[*GraphQLError](err); ok {
		return failed.executed
	}
	if garbled, ok := errors.AsType[*ProtocolError](err); ok {
		return garbled.Status < 400 || garbled.Status > 499
	}
	return !Refused(err)
}

// RevokeKey deletes one of the user's keys, at once and permanently. It is sent once, whatever
// comes back: time passes between attempts, and before each one the caller must check again that
// nobody needs the key. What a registry answers to an id that it does not know is not documented.
// After an [*InvalidInputError], [Session.GetKey] shows whether the key still exists.
func (s *Session) RevokeKey(ctx context.Context, id string) error {
	return s.revoke(ctx, id, redact.Text{})
}

// RevokeKeyBySecret deletes the given key, as [Session.RevokeKey] does by id. The text proves which
// key is meant; an id keeps the key from being sent.
func (s *Session) RevokeKeyBySecret(ctx context.Context, key apikey.Key) error {
	return s.revoke(ctx, "", redact.New(key.Reveal()))
}

func (s *Session) revoke(ctx context.Context, id string, secret redact.Text) error {
	c, err := s.start(ctx, "apiKeyRevoke", revokes)
	if err != nil {
		return err
	}
	if id == "" && secret.Empty() { // what a registry does if no key is named is not documented
		return c.nothingNamed()
	}
	c.carried = secrets{secret}
	got, err := apiKeyRevoke(ctx, c, id, secret.Reveal())
	if err != nil {
		return err
	}
	return c.revoked(got.ApiKeyRevoke)
}

func (c *call) nothingNamed() error {
	return &InvalidInputError{Where: c.client.at(c.operation),
		Faults: []InputFault{{Message: "no key is named, so nothing was sent"}}}
}

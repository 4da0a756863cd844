package quilt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// Status of a key. A registry may know more than these; only [Active] means that the key works. A revoked key has no
// status: it is deleted (quilt: shared/graphql/schema.graphql).
type Status string

// The statuses that the schema names.
const (
	Active  Status = "ACTIVE"
	Expired Status = "EXPIRED" // stays listed; when it is purged is not documented
)

// Identity is the user a credential belongs to.
type Identity struct {
	Name         string
	Email        string
	IsAdmin      bool
	RegistryTime time.Time // the registry's clock when it answered
}

// SameUser reports whether two e-mail addresses are those of one registry user. Case does not count: people and
// registries write it differently. No address is nobody's.
func SameUser(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

// APIKey is a key as the registry shows it (quilt: shared/graphql/schema.graphql, type APIKey). All times are the
// registry's.
type APIKey struct {
	ID           string // opaque; made by the registry
	Name         string // neither unique nor unchangeable by contract
	Fingerprint  string // prefix, first and last characters of the key: for reading, not unique
	CreatedAt    time.Time
	ExpiresAt    time.Time
	LastUsedAt   *time.Time // nil: never used, as far as the registry records it; may be coarse: judge by [APIKey.LatestUse]
	Status       Status
	UserEmail    string    // its owner's
	RegistryTime time.Time // the registry's clock when it showed the key; zero only after [Session.CreateKey], where the answer had no date
}

// Old tells whether a key has less than half its life left, by the registry's own clock.
func (k APIKey) Old(now time.Time) bool {
	return k.ExpiresAt.Sub(now) < k.ExpiresAt.Sub(k.CreatedAt)/2
}

// LatestUse is the latest time at which the key may have been used last; nil if the registry records no use. How finely
// a registry records it is not documented, so a time without a rest may stand for the day, the hour or the minute that
// starts then, and its end counts.
func (k APIKey) LatestUse() *time.Time {
	if k.LastUsedAt == nil {
		return nil
	}
	latest := *k.LastUsedAt
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		if k.LastUsedAt.Equal(k.LastUsedAt.Truncate(unit)) { // in UTC, as Truncate counts
			latest = latest.Add(unit)
			break
		}
	}
	return &latest
}

// OnlyFit is the only key in the list that shows the key's fingerprint; ok is false where none does, or more than one.
func OnlyFit(keys []APIKey, key apikey.Key) (fit APIKey, ok bool) {
	n := 0
	for _, k := range keys {
		if key.Fits(k.Fingerprint) {
			fit, n = k, n+1
		}
	}
	return fit, n == 1
}

// Account is a user with all keys, expired ones included.
type Account struct {
	Identity
	Keys []APIKey
}

// Login is a user with one key.
type Login struct {
	Identity
	Key *APIKey // nil where the registry says that this user has no key with that id
}

// CreatedKey is a new key with its secret, which the registry shows this once.
type CreatedKey struct {
	APIKey
	Secret  apikey.Key
	Differs []string // what is not as it was asked for, each as a short text; the owner is for the caller to compare
}

// lifetimeTolerance is how much another lifetime than the one that was asked for may differ: a registry may count whole
// days.
const lifetimeTolerance = 24 * time.Hour

// differs compares a new key with what was asked for.
func (k APIKey) differs(asked createInput) (differences []string) {
	wantedMark, _ := apikey.MarkOf(asked.Name)
	if mark, _ := apikey.MarkOf(k.Name); mark != wantedMark {
		differences = append(differences, "the registry changed the end of the key's name, by which a key that a crash leaves behind is found")
	}
	wanted := time.Duration(asked.ExpiresInDays) * 24 * time.Hour
	if got := k.ExpiresAt.Sub(k.CreatedAt); (got - wanted).Abs() > lifetimeTolerance {
		differences = append(differences, fmt.Sprintf("the key is valid for %.1f days, not for the %d that were asked for", got.Hours()/24, asked.ExpiresInDays))
	}
	return differences
}

// KeyFilter narrows a list; the registry applies it, and how exactly it compares is not documented. The zero KeyFilter
// takes all.
type KeyFilter struct {
	Name        string
	Fingerprint string
	Status      Status
}

// Me tells who the credential belongs to. It fails with an [*UnauthenticatedError] where that is nobody.
func (s *Session) Me(ctx context.Context) (Identity, error) {
	c, err := s.start(ctx, "me", reads)
	if err != nil {
		return Identity{}, err
	}
	got, err := me(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	if got.Me == nil {
		return Identity{}, c.nobody()
	}
	return c.identity(got.Me.Name, got.Me.Email, got.Me.IsAdmin)
}

// Account tells in one request who the credential belongs to and which keys that user has.
func (s *Session) Account(ctx context.Context) (Account, error) {
	c, err := s.start(ctx, "account", reads)
	if err != nil {
		return Account{}, err
	}
	got, err := account(ctx, c)
	if err != nil {
		return Account{}, err
	}
	if got.Me == nil {
		return Account{}, c.nobody()
	}
	who, err := c.identity(got.Me.Name, got.Me.Email, got.Me.IsAdmin)
	if err != nil {
		return Account{}, err
	}
	keys, err := c.keys(got.Me.ApiKeys)
	if err != nil {
		return Account{}, err
	}
	return Account{Identity: who, Keys: keys}, nil
}

// Login tells in one request who the credential belongs to and what the registry knows of that user's key with the
// given id: the strictest test of a key there is.
func (s *Session) Login(ctx context.Context, keyID string) (Login, error) {
	c, err := s.start(ctx, "login", reads)
	if err != nil {
		return Login{}, err
	}
	got, err := login(ctx, c, keyID)
	if err != nil {
		return Login{}, err
	}
	if got.Me == nil {
		return Login{}, c.nobody()
	}
	who, err := c.identity(got.Me.Name, got.Me.Email, got.Me.IsAdmin)
	if err != nil {
		return Login{}, err
	}
	key, err := c.keyByID(keyID, got.Me.ApiKey, "data", "me", "apiKey")
	if err != nil {
		return Login{}, err
	}
	return Login{Identity: who, Key: key}, nil
}

// ListKeys lists the user's keys. An empty list is not nil, and means that the registry said so.
func (s *Session) ListKeys(ctx context.Context, filter KeyFilter) ([]APIKey, error) {
	c, err := s.start(ctx, "apiKeysList", reads)
	if err != nil {
		return nil, err
	}
	got, err := apiKeysList(ctx, c, filter.Name, filter.Fingerprint, filter.Status)
	if err != nil {
		return nil, err
	}
	if got.Me == nil {
		return nil, c.nobody()
	}
	return c.keys(got.Me.ApiKeys)
}

// GetKey asks for one of the user's keys. It is nil, without an error, where the registry says that it knows no such
// key.
func (s *Session) GetKey(ctx context.Context, id string) (*APIKey, error) {
	c, err := s.start(ctx, "apiKeyGet", reads)
	if err != nil {
		return nil, err
	}
	got, err := apiKeyGet(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if got.Me == nil {
		return nil, c.nobody()
	}
	return c.keyByID(id, got.Me.ApiKey, "data", "me", "apiKey")
}

// CreateKey creates a key for the user, valid for expiresInDays days (1 to 365, which the registry checks). It is the
// one operation that must not be done twice. It is sent again only if the first request provably was not carried out
// (no connection, or status 429), and fails with an [*AnswerLostError] if a key may have been created that nobody
// holds.
func (s *Session) CreateKey(ctx context.Context, name string, expiresInDays int) (CreatedKey, error) {
	c, err := s.start(ctx, "apiKeyCreate", creates)
	if err != nil {
		return CreatedKey{}, err
	}
	created, err := c.create(ctx, createInput{Name: name, ExpiresInDays: expiresInDays})
	if err != nil && mayHaveCreated(err) {
		return CreatedKey{}, &AnswerLostError{Operation: c.operation, Host: s.client.host, KeyName: name, cause: err}
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

// mayHaveCreated is false only if it is proved that there is no key: no request was sent, or a complete answer refuses
// it.
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

// RevokeKey deletes one of the user's keys, at once and for good. It is sent once, whatever comes back: time passes
// between attempts, and the caller must see before each that nobody needs the key. What a registry answers to an id
// that it does not know is not documented: after an [*InvalidInputError], [Session.GetKey] tells whether the key is
// gone.
func (s *Session) RevokeKey(ctx context.Context, id string) error {
	c, err := s.start(ctx, "apiKeyRevoke", revokes)
	if err != nil {
		return err
	}
	if id == "" { // what the registry makes of a revoke that names no key is not documented
		return c.nothingNamed()
	}
	got, err := apiKeyRevoke(ctx, c, id, "")
	if err != nil {
		return err
	}
	return c.revoked(got.ApiKeyRevoke)
}

// RevokeKeyBySecret deletes the given key, as [Session.RevokeKey] does by id. Prefer the id where it is known: then the
// key itself does not travel.
func (s *Session) RevokeKeyBySecret(ctx context.Context, key apikey.Key) error {
	c, err := s.start(ctx, "apiKeyRevoke", revokes)
	if err != nil {
		return err
	}
	if key.IsZero() {
		return c.nothingNamed()
	}
	c.carried = secrets{redact.New(key.Reveal())}
	got, err := apiKeyRevoke(ctx, c, "", key.Reveal())
	if err != nil {
		return err
	}
	return c.revoked(got.ApiKeyRevoke)
}

func (c *call) nothingNamed() error {
	return &InvalidInputError{Operation: c.operation, Host: c.client.host, Faults: []InputFault{{Message: "no key is named, so nothing was sent"}}}
}

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

// Status is the status of a key. A registry may return other values than the constants below. Only
// [Active] means that the key works. A revoked key has no status, because it is deleted (quilt:
// shared/graphql/schema.graphql).
type Status string

// The statuses that the schema names.
const (
	Active  Status = "ACTIVE"
	Expired Status = "EXPIRED" // still listed; it is not documented when an expired key is deleted
)

// Identity is the user that a credential belongs to.
type Identity struct {
	Name         string
	Email        string
	IsAdmin      bool
	RegistryTime time.Time // the registry's clock when it answered
}

// SameUser reports whether two email addresses belong to the same registry user. It ignores case,
// because people and registries write addresses in different cases. An empty address belongs to
// nobody.
func SameUser(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

// APIKey is a key as the registry describes it (quilt: shared/graphql/schema.graphql, type APIKey).
// All times are times on the registry's clock.
type APIKey struct {
	ID           string // opaque
	Name         string // not unique; the registry may change it
	Fingerprint  string // prefix, first and last characters of the key: for people, not unique
	CreatedAt    time.Time
	ExpiresAt    time.Time
	LastUsedAt   *time.Time // nil if the registry records no use; may be coarse, so use [APIKey.LatestUse]
	Status       Status
	UserEmail    string    // of the owner
	RegistryTime time.Time // when the registry answered; may be zero after [Session.CreateKey]
}

// Old reports whether a key has less than half of its lifetime left. now is a time on the
// registry's clock.
func (k APIKey) Old(now time.Time) bool {
	return k.ExpiresAt.Sub(now) < k.ExpiresAt.Sub(k.CreatedAt)/2
}

// LatestUse returns the latest possible time of the last use of the key, or nil if the registry
// records no use. The precision of LastUsedAt is not documented. So midnight counts as the end of
// the day that it begins, a full hour as the end of that hour, and a full minute as the end of that
// minute, in UTC and in the time zone of the registry's answer.
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

// OnlyFit returns the only key in the list whose fingerprint fits the key. ok is false if no
// fingerprint or more than one fits.
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
	Key *APIKey // nil if the registry answered that the user has no key with that id
}

// CreatedKey is a new key with its secret text, which the registry returns only once.
type CreatedKey struct {
	APIKey
	Secret  apikey.Key
	Differs []string // how the key differs from the request, as short texts; the caller compares the owner
}

// lifetimeTolerance is how much a key's lifetime may differ from the requested one. A registry may
// count whole days.
const lifetimeTolerance = 24 * time.Hour

// differs compares a new key with the request.
func (k APIKey) differs(asked createInput) (differences []string) {
	wantedMark, _ := apikey.MarkOf(asked.Name)
	if mark, _ := apikey.MarkOf(k.Name); mark != wantedMark {
		differences = append(differences,
			"the registry changed the end of the key's name, so an orphan of this secret cannot be found")
	}
	wanted := time.Duration(asked.ExpiresInDays) * 24 * time.Hour
	if got := k.ExpiresAt.Sub(k.CreatedAt); (got - wanted).Abs() > lifetimeTolerance {
		differences = append(differences, fmt.Sprintf("the key is valid for %.1f days instead of the requested %d",
			got.Hours()/24, asked.ExpiresInDays))
	}
	return differences
}

// KeyFilter selects keys of a list. The registry applies it, and it is not documented how it
// compares the texts. The zero KeyFilter selects all keys.
type KeyFilter struct {
	Name        string
	Fingerprint string
	Status      Status
}

// Me returns the user that the credential belongs to. If there is none, it fails with an
// [*UnauthenticatedError].
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
// the given id. It is the strictest check of a key.
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
		return nil, c.notLoggedIn()
	}
	return c.keys(got.Me.ApiKeys)
}

// CreateKey creates a key for the user, valid for expiresInDays days (1 to 365; the registry checks
// it). It must not create two keys, so it sends its request again only if the first request was
// certainly not carried out (no connection, or status 429). It fails with an [*AnswerLostError] if
// a key may have been created whose secret text was not received.
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
			return CreatedKey{}, c.protocol("the secret text of the new key is " + err.Error())
		}
		return CreatedKey{key, secret, key.differs(input)}, nil
	}
	return CreatedKey{}, c.missing("apiKeyCreate")
}

// mayHaveCreated reports whether a key may have been created. It returns false only if no request
// was sent, or if a complete answer refuses the request.
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

// RevokeKey deletes one of the user's keys, immediately and permanently. It sends one request and
// never repeats it, because the caller must check again before each attempt that nobody needs the
// key. It is not documented what a registry answers for an unknown id: after an
// [*InvalidInputError], [Session.GetKey] shows whether the key still exists.
func (s *Session) RevokeKey(ctx context.Context, id string) error {
	return s.revoke(ctx, id, redact.Text{})
}

// RevokeKeyBySecret deletes the given key. Otherwise it is like [Session.RevokeKey]. The text
// identifies the key with certainty, but the key is sent. With an id, no key is sent.
func (s *Session) RevokeKeyBySecret(ctx context.Context, key apikey.Key) error {
	return s.revoke(ctx, "", redact.New(key.Reveal()))
}

func (s *Session) revoke(ctx context.Context, id string, secret redact.Text) error {
	c, err := s.start(ctx, "apiKeyRevoke", revokes)
	if err != nil {
		return err
	}
	if id == "" && secret.Empty() { // it is not documented what a registry does in this case
		return c.noKeyNamed()
	}
	c.carried = secrets{secret}
	got, err := apiKeyRevoke(ctx, c, id, secret.Reveal())
	if err != nil {
		return err
	}
	return c.revoked(got.ApiKeyRevoke)
}

func (c *call) noKeyNamed() error {
	return &InvalidInputError{Where: c.client.at(c.operation),
		Faults: []InputFault{{Message: "the request names no key, so it was not sent"}}}
}

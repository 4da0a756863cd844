package quiltregistry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The states of a key. A revoked key has no state, because it is deleted.
const (
	StatusActive  = "ACTIVE"
	StatusExpired = "EXPIRED"
)

// An APIKey has all data of a key, for tests.
type APIKey struct {
	ID          string
	Name        string
	Fingerprint string
	Owner       string // email
	Secret      string
	CreatedAt   time.Time
	ExpiresAt   time.Time
	LastUsedAt  time.Time // zero: never used
	Status      string    // at the time of the request
}

// String returns a description without the secret.
func (k APIKey) String() string {
	return fmt.Sprintf("key %s %q of %s (%s, %s)", k.ID, k.Name, k.Owner, k.Fingerprint, k.Status)
}

// GoString returns a description without the secret.
func (k APIKey) GoString() string { return k.String() }

type key struct {
	APIKey
	owner      *user
	refusals   int       // how many more logins are refused: Switches.RefuseNewKeyLogins
	usableFrom time.Time // Switches.NewKeyDelay
	loginsLeft int       // how many more requests are accepted after the revocation: Switches.RevokedKeyLogins
}

func (k *key) expired(now time.Time) bool { return !now.Before(k.ExpiresAt) }

// at returns the key with its status at a time.
func (k *key) at(now time.Time) APIKey {
	view := k.APIKey
	view.Status = StatusActive
	if k.expired(now) {
		view.Status = StatusExpired
	}
	return view
}

// fingerprint returns the prefix and the first and last characters of a secret. It shows three
// characters of each end, or Switches.FingerprintEnds.
func fingerprint(secret string, switches *Switches) string {
	ends := switches.FingerprintEnds
	if ends == 0 {
		ends = 3
	}
	random := strings.TrimPrefix(secret, secretPrefix)
	if len(random) < 4*ends { // the registry did not create it, and it is too short to show a part of it
		return secretPrefix + "..."
	}
	return secretPrefix + random[:ends] + "..." + random[len(random)-ends:]
}

// shown returns a key with the fingerprint that Switches.FingerprintForm selects.
func (c *call) shown(k APIKey) APIKey {
	switch c.switches.FingerprintForm {
	case FingerprintStart:
		k.Fingerprint = k.Secret[:min(len(k.Secret), len(secretPrefix)+3)] + "…"
	case FingerprintMasked:
		k.Fingerprint = secretPrefix + "***...***"
	case FingerprintHash:
		sum := sha256.Sum256([]byte(k.Secret))
		k.Fingerprint = hex.EncodeToString(sum[:8])
	}
	return k
}

func newSecret(switches *Switches) string {
	random := rand.Text() + rand.Text() // 52 characters
	if switches.DuplicateFingerprints {
		random = "DUP" + random[3:len(random)-3] + "DUP"
	}
	return secretPrefix + random
}

func newID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// mint creates a key. The caller must hold the lock.
func (r *Registry) mint(owner *user, name string, days int, switches *Switches, now time.Time) *key {
	secret := newSecret(switches)
	k := &key{owner: owner, APIKey: APIKey{
		ID: newID(), Name: name, Fingerprint: fingerprint(secret, switches), Owner: owner.Email, Secret: secret,
		CreatedAt: now, ExpiresAt: now.AddDate(0, 0, days),
	}}
	owner.keys = append(owner.keys, k)
	r.keys[k.ID], r.bySecret[secret] = k, k
	return k
}

// remove deletes a key. The caller must hold the lock.
func (r *Registry) remove(k *key) {
	delete(r.keys, k.ID)
	delete(r.bySecret, k.Secret)
	k.owner.drop(k)
}

func (u *user) drop(k *key) {
	i := slices.Index(u.keys, k)
	u.keys = slices.Delete(u.keys, i, i+1)
}

// A problem is the content of an InvalidInput: why a request was refused.
type problem struct {
	path, name, message string
}

// createKey creates a key of the caller. A user cannot create a key for another user.
func (c *call) createKey(name string, days int) (APIKey, *problem) {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	owner := r.userByEmail(c.session.user.Email)
	event := Event{
		EventName: "APIKeys.Create", UserIdentity: c.session.identity,
		RequestParameters:   map[string]any{"input": map[string]any{"name": name, "expiresInDays": days}},
		AdditionalEventData: map[string]any{"graphql_path": "Mutation.apiKeyCreate"},
	}
	if p := c.checkNewKey(owner, name, days); p != nil {
		c.record(event.failed(p))
		return APIKey{}, p
	}
	if limit := c.switches.NameLimit; limit > 0 && len(name) > limit {
		name = name[:limit]
	}
	if limit := c.switches.DaysLimit; limit > 0 {
		days = min(days, limit)
	}
	k := r.mint(owner, name, days, c.switches, c.now)
	k.refusals = c.switches.RefuseNewKeyLogins
	if c.switches.NewKeyDelay > 0 { // without this check, the key would be refused after the clock is set back
		k.usableFrom = c.now.Add(c.switches.NewKeyDelay)
	}
	created := c.shown(k.at(c.now))
	event.ResponseElements = map[string]any{"secret": "***", "apiKey": map[string]any{
		"id": created.ID, "name": created.Name, "fingerprint": created.Fingerprint, "status": created.Status,
		"createdAt": created.CreatedAt, "expiresAt": created.ExpiresAt,
	}}
	c.record(event)
	return created, nil
}

func (c *call) checkNewKey(owner *user, name string, days int) *problem {
	limit := c.switches.MaxKeysPerUser
	switch {
	case c.keysMayNotManage(RefuseInvalidInput):
		return managementProblem
	case strings.TrimSpace(name) == "":
		return &problem{"input.name", "ValidationError", "The name must not be empty."}
	case days < 1 || days > 365:
		return &problem{"input.expiresInDays", "ValidationError", "The lifetime must be 1 to 365 days."}
	case limit > 0 && len(owner.keys) >= limit:
		return &problem{"input", "TooManyKeys", fmt.Sprintf("A user may have at most %d API keys.", limit)}
	}
	return nil
}

// revokeKey deletes one of the caller's own keys, by id or by secret.
func (c *call) revokeKey(id, secret *string) *problem {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	parameters := map[string]any{}
	if id != nil {
		parameters["id"] = *id
	}
	if secret != nil {
		parameters["secret"] = "***"
	}
	event := Event{
		EventName: "APIKeys.Revoke", UserIdentity: c.session.identity, RequestParameters: parameters,
		AdditionalEventData: map[string]any{"graphql_path": "Mutation.apiKeyRevoke"},
	}
	k, p := c.ownKey(id, secret)
	if p != nil {
		c.record(event.failed(p))
		return p
	}
	c.revoke(k)
	c.record(event)
	return nil
}

// ownKey returns the key to revoke. It answers for the key of another user as for a key that does
// not exist.
func (c *call) ownKey(id, secret *string) (*key, *problem) {
	var k *key
	path := "id"
	switch {
	case c.keysMayNotManage(RefuseInvalidInput):
		return nil, managementProblem
	case (id == nil) == (secret == nil):
		return nil, &problem{"", "ValidationError", "Give either the id or the secret of the key."}
	case id != nil:
		k = c.registry.keys[*id]
	default:
		path, k = "secret", c.registry.bySecret[*secret]
	}
	if k == nil || k.Owner != c.session.user.Email {
		return nil, &problem{path, "NotFound", "There is no such API key."}
	}
	if c.switches.ExpiredNotRevoked && k.expired(c.now) {
		return nil, &problem{path, "Expired", "The API key has expired."}
	}
	return k, nil
}

// adminRevokeKey deletes a key of any user.
func (c *call) adminRevokeKey(id string) *problem {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	event := Event{
		EventName: "APIKeys.Admin.Revoke", UserIdentity: c.session.identity,
		RequestParameters:   map[string]any{"id": id},
		AdditionalEventData: map[string]any{"graphql_path": "Mutation.admin.apiKeys.revoke"},
	}
	k := r.keys[id]
	if k == nil {
		p := &problem{"id", "NotFound", "There is no such API key."}
		c.record(event.failed(p))
		return p
	}
	c.revoke(k)
	c.record(event)
	return nil
}

// revoke deletes a key. With Switches.RevokedKeyLogins, the key is still accepted for a few
// requests.
func (c *call) revoke(k *key) {
	c.registry.remove(k)
	if k.loginsLeft = c.switches.RevokedKeyLogins; k.loginsLeft > 0 {
		c.registry.stillAccepted[k.Secret] = k
	}
}

// managementProblem is the typed answer to a session that may not manage keys.
var managementProblem = &problem{"", "Forbidden", managementRefused}

const managementRefused = "API keys cannot be managed with an API key."

// keysMayNotManage reports whether this session may not manage keys and the refusal has this form.
func (c *call) keysMayNotManage(form string) bool {
	return c.session.key != nil && c.switches.KeysMayNotManage == form
}

// A filter selects keys of a list. A nil field matches every key.
type filter struct {
	email, name, fingerprint, status *string
}

func (f filter) matches(k *APIKey) bool {
	equal := func(want *string, got string) bool { return want == nil || *want == got }
	return equal(f.email, k.Owner) && equal(f.name, k.Name) && equal(f.fingerprint, k.Fingerprint) &&
		equal(f.status, k.Status)
}

// listKeys returns the keys that a list shows, ordered by user and then by age, oldest first.
func (c *call) listKeys(f filter) []APIKey {
	listed := c.registry.snapshot(f, c.now)
	if omits := c.switches.ListOmits; omits != nil {
		listed = slices.DeleteFunc(listed, omits)
	}
	for i, k := range listed {
		listed[i] = c.shown(k)
	}
	return listed
}

// getKey returns a key of the owner, or of any user if owner is empty.
func (c *call) getKey(id, owner string) (APIKey, bool) {
	got, ok := c.registry.keyAt(id, c.now)
	if !ok || (owner != "" && got.Owner != owner) {
		return APIKey{}, false
	}
	if omits := c.switches.GetOmits; omits != nil && omits(got) {
		return APIKey{}, false
	}
	return c.shown(got), true
}

func (r *Registry) keyAt(id string, now time.Time) (APIKey, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.keys[id]; k != nil {
		return k.at(now), true
	}
	return APIKey{}, false
}

func (r *Registry) snapshot(f filter, now time.Time) []APIKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []APIKey{}
	for _, u := range r.users {
		if f.email != nil && *f.email != u.Email {
			continue
		}
		for _, k := range u.keys {
			if view := k.at(now); f.matches(&view) {
				found = append(found, view)
			}
		}
	}
	return found
}

// MintKey creates a key without a request: no limit, delay or rule applies, and no event is
// recorded. If expiresInDays is 0 or less, the key has already expired. MintKey panics if the user
// does not exist.
func (r *Registry) MintKey(email, name string, expiresInDays int) (id, secret string) {
	switches := r.switches.Load()
	now := r.now(switches)
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.mint(r.mustUser(email), name, expiresInDays, switches, now)
	return k.ID, k.Secret
}

// Keys returns a copy of all keys, with the expired ones. They are ordered by user and then by age,
// oldest first.
func (r *Registry) Keys() []APIKey {
	return r.snapshot(filter{}, r.now(r.switches.Load()))
}

// KeyBySecret returns the key with this secret, expired or not.
func (r *Registry) KeyBySecret(secret string) (APIKey, bool) {
	now := r.now(r.switches.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.bySecret[secret]; k != nil {
		return k.at(now), true
	}
	return APIKey{}, false
}

// Valid reports whether a request with this key would be accepted now. The call does not count as a
// use of the key.
func (r *Registry) Valid(secret string) bool {
	now := r.now(r.switches.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	_, code := r.checkKey(secret, now)
	return code == ""
}

// Delete deletes a key without a request, and reports whether the key existed. Unlike a revoked key
// with Switches.RevokedKeyLogins, the key is refused at once.
func (r *Registry) Delete(id string) bool {
	return r.change(id, r.remove)
}

// Expire sets the expiry of a key to the current time, and reports whether the key exists.
func (r *Registry) Expire(id string) bool {
	now := r.now(r.switches.Load())
	return r.change(id, func(k *key) { k.ExpiresAt = now })
}

// TransferKey changes the owner of a key, and reports whether the key exists. It panics if the user
// does not exist.
func (r *Registry) TransferKey(id, email string) bool {
	return r.change(id, func(k *key) {
		k.owner.drop(k)
		k.owner = r.mustUser(email)
		k.Owner = k.owner.Email
		k.owner.keys = append(k.owner.keys, k)
	})
}

func (r *Registry) change(id string, apply func(*key)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys[id]
	if k != nil {
		apply(k)
	}
	return k != nil
}

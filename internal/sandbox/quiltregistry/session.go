package quiltregistry

import (
	"net/http"
	"strings"
	"time"
)

// A session is the user who sent a request, as of the time of the request.
type session struct {
	user     User
	key      *APIKey // nil for an interactive login
	identity *Identity
}

// secretPrefix is the prefix of API keys. Other bearer tokens are access tokens.
const secretPrefix = "qk_"

// authenticate sets the session of the request. A request without credentials is not an error: its
// session is nil.
func (c *call) authenticate(request *http.Request) *refusal {
	bearer := bearer(request.Header.Get("Authorization"))
	if bearer == "" {
		return nil
	}
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasPrefix(bearer, secretPrefix) {
		c.session = c.keySession(bearer)
	} else if t, ok := r.access[bearer]; ok && t.valid(c.now) {
		c.session = &session{user: t.user.User, identity: t.user.identity(nil)}
	}
	if c.session == nil {
		return &refusal{http.StatusUnauthorized, "Token invalid."}
	}
	r.counts.ByUser[c.session.user.Email]++
	return nil
}

// bearer returns the token of an Authorization header. The scheme is optional, because the catalog
// omits it in GraphQL requests.
func bearer(header string) string {
	const scheme = "bearer "
	if len(header) >= len(scheme) && strings.EqualFold(header[:len(scheme)], scheme) {
		header = header[len(scheme):]
	}
	return strings.TrimSpace(header)
}

// keySession logs in with an API key. A login counts as a use of the key. If the key is refused,
// keySession records an event and returns nil. The caller must hold the lock.
func (c *call) keySession(secret string) *session {
	r := c.registry
	k, code := r.checkKey(secret, c.now)
	if code != "" {
		if k != nil && k.refusals > 0 {
			k.refusals--
		}
		c.record(Event{
			EventName: "Auth.APIKey", ErrorCode: code,
			RequestParameters: map[string]any{"fingerprint": fingerprint(secret, c.switches)},
		})
		return nil
	}
	if _, revoked := r.stillAccepted[secret]; revoked {
		if k.loginsLeft--; k.loginsLeft == 0 {
			delete(r.stillAccepted, secret)
		}
	}
	if !c.switches.UseNotRecorded {
		k.LastUsedAt = c.now.Truncate(c.switches.UseGranularity)
	}
	r.counts.ByKey[k.ID]++
	view := k.at(c.now)
	return &session{user: k.owner.User, key: &view, identity: k.owner.identity(&view)}
}

// checkKey returns the error code of a login with this secret for the audit trail, or "" if the key
// is accepted. It changes nothing. The caller must hold the lock.
func (r *Registry) checkKey(secret string, at time.Time) (k *key, code string) {
	k = r.bySecret[secret]
	if k == nil {
		k = r.stillAccepted[secret]
	}
	switch {
	case k == nil:
		return nil, "INVALID"
	case k.expired(at):
		return k, "EXPIRED"
	case !k.owner.active:
		return k, "USER_INACTIVE"
	case k.refusals > 0 || at.Before(k.usableFrom):
		return k, "INVALID"
	}
	return k, ""
}

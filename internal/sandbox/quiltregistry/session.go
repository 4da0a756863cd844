package quiltregistry

import (
	"net/http"
	"strings"
	"time"
)

// A session is who made a request, as it was when the request arrived.
type session struct {
	user     User
	key      *APIKey // nil for an interactive login
	identity *Identity
}

// secretPrefix is what tells the registry that a bearer is an API key.
const secretPrefix = "qk_"

// authenticate finds out who makes the request. Nobody at all is no error: the session is then nil.
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

// bearer is the token of an Authorization header: the catalog sends GraphQL's without the scheme.
func bearer(header string) string {
	const scheme = "bearer "
	if len(header) >= len(scheme) && strings.EqualFold(header[:len(scheme)], scheme) {
		header = header[len(scheme):]
	}
	return strings.TrimSpace(header)
}

// keySession logs in with an API key, which counts as its use. It returns nil, and leaves an event,
// when the key is refused. It needs the lock.
func (c *call) keySession(secret string) *session {
	r := c.registry
	k, code := r.verdict(secret, c.now)
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
	if _, revoked := r.lingering[secret]; revoked {
		if k.lingers--; k.lingers == 0 {
			delete(r.lingering, secret)
		}
	}
	if !c.switches.UseNotRecorded {
		k.LastUsedAt = c.now.Truncate(c.switches.UseGranularity)
	}
	r.counts.ByKey[k.ID]++
	view := k.at(c.now)
	return &session{user: k.owner.User, key: &view, identity: k.owner.identity(&view)}
}

// verdict is what a login with this secret comes to: "" is let in, else the audit trail's code. It
// changes nothing, and needs the lock.
func (r *Registry) verdict(secret string, at time.Time) (k *key, code string) {
	k = r.bySecret[secret]
	if k == nil {
		k = r.lingering[secret]
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

package quiltregistry

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// roleName is the role that every user has: one of the two that a new Quilt stack comes with.
const roleName = "ReadWriteQuiltBucket"

// A User is a person or a machine that can log in. The email is what owns keys; the name is what
// logs in.
type User struct {
	Name, Email string
	Admin       bool
	Password    string
}

// String leaves the password out.
func (u User) String() string { return fmt.Sprintf("%s <%s>", u.Name, u.Email) }

// GoString leaves the password out.
func (u User) GoString() string { return u.String() }

type user struct {
	User
	id        int
	active    bool
	joined    time.Time
	lastLogin time.Time
	keys      []*key // oldest first
}

// AddUser adds an active user, or changes the one with the same email, whose keys and state stay.
func (r *Registry) AddUser(added User) {
	now := r.now(r.switches.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.userByEmail(added.Email); known != nil {
		known.User = added
		return
	}
	r.users = append(r.users, &user{User: added, id: len(r.users) + 1, active: true, joined: now})
}

// SetActive switches a user on or off. It panics if there is no such user.
func (r *Registry) SetActive(email string, active bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mustUser(email).active = active
}

// userByEmail needs the lock.
func (r *Registry) userByEmail(email string) *user {
	return r.findUser(func(u *user) bool { return u.Email == email })
}

func (r *Registry) findUser(is func(*user) bool) *user {
	if i := slices.IndexFunc(r.users, is); i >= 0 {
		return r.users[i]
	}
	return nil
}

// mustUser is for the Go API, where an unknown email is the test's mistake.
func (r *Registry) mustUser(email string) *user {
	u := r.userByEmail(email)
	if u == nil {
		panic("quiltregistry: no user " + email + ": add it with AddUser first")
	}
	return u
}

// A grant is what an interactive login yields.
type grant struct {
	refresh, access string
	expires         time.Time // of the access token
}

// login checks a password and starts an interactive session.
func (c *call) login(name, password string) (grant, bool) {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	event := Event{EventName: "Auth.Login", RequestParameters: map[string]any{"username": name}}
	u := r.findUser(func(u *user) bool { return u.Name == name })
	if u == nil || !u.active || u.Password == "" || u.Password != password {
		event.ErrorCode = "INVALID"
		c.record(event)
		return grant{}, false
	}
	u.lastLogin = c.now
	event.UserIdentity = u.identity(nil)
	c.record(event)
	return c.grant(u), true
}

// renew spends a refresh token: each can be used once.
func (c *call) renew(refresh string) (grant, bool) {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	event := Event{EventName: "Auth.RefreshToken"}
	t, known := r.refresh[refresh]
	delete(r.refresh, refresh)
	if !known || !t.valid(c.now) {
		event.ErrorCode = "INVALID"
		c.record(event)
		return grant{}, false
	}
	event.UserIdentity = t.user.identity(nil)
	c.record(event)
	return c.grant(t.user), true
}

// code is a refresh token for the user of that name, or for the first user when the name is empty:
// what a browser that is logged in would be shown.
func (c *call) code(name string) (code, owner string, ok bool) {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.findUser(func(u *user) bool { return u.active && (name == "" || u.Name == name) })
	if u == nil {
		return "", "", false
	}
	return c.refreshToken(u), u.Name, true
}

// How long tokens last. The refresh token's 90 days stand in the platform's audit samples; the
// access token's hour is ours, as the real one is not documented.
const (
	refreshLife = 90 * 24 * time.Hour
	accessLife  = time.Hour
)

type token struct {
	user    *user
	expires time.Time
}

func (t token) valid(now time.Time) bool { return now.Before(t.expires) && t.user.active }

// grant needs the lock, like refreshToken.
func (c *call) grant(u *user) grant {
	g := grant{refresh: c.refreshToken(u), access: newToken(), expires: c.now.Add(accessLife)}
	c.registry.access[g.access] = token{u, g.expires}
	return g
}

func (c *call) refreshToken(u *user) string {
	text := newToken()
	c.registry.refresh[text] = token{u, c.now.Add(refreshLife)}
	return text
}

func newToken() string { return rand.Text() + rand.Text() }

package quiltregistry

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// roleName is the role of every user. It is one of the two roles of a new Quilt stack.
const roleName = "ReadWriteQuiltBucket"

// A User is a person or a machine that can log in. The email identifies the owner of a key. The
// name is used for the login with a password.
type User struct {
	Name, Email string
	Admin       bool
	Password    string
}

// String returns a description without the password.
func (u User) String() string { return fmt.Sprintf("%s <%s>", u.Name, u.Email) }

// GoString returns a description without the password.
func (u User) GoString() string { return u.String() }

type user struct {
	User
	id        int
	active    bool
	joined    time.Time
	lastLogin time.Time
	keys      []*key // oldest first
}

// AddUser adds an active user. If a user with this email exists, AddUser changes the name, password
// and permission of that user, but not the keys.
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

// SetActive activates or deactivates a user. It panics if the user does not exist.
func (r *Registry) SetActive(email string, active bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mustUser(email).active = active
}

// userByEmail returns a user, or nil. The caller must hold the lock.
func (r *Registry) userByEmail(email string) *user {
	return r.findUser(func(u *user) bool { return u.Email == email })
}

func (r *Registry) findUser(is func(*user) bool) *user {
	if i := slices.IndexFunc(r.users, is); i >= 0 {
		return r.users[i]
	}
	return nil
}

// mustUser returns a user. It panics if the user does not exist, because then the test is wrong.
func (r *Registry) mustUser(email string) *user {
	u := r.userByEmail(email)
	if u == nil {
		panic("quiltregistry: there is no user " + email + ": call AddUser first")
	}
	return u
}

// A grant has the tokens of an interactive login.
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

// renew returns new tokens for a refresh token. A refresh token can be used only once.
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

// code returns a refresh token of the user with this name, or of the first user if name is empty.
// The real registry shows it to a user who is logged in with a browser.
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

// The lifetimes of tokens. The examples in the platform's audit documentation show 90 days for the
// refresh token. The lifetime of the access token is not documented, so one hour is an assumption.
const (
	refreshLife = 90 * 24 * time.Hour
	accessLife  = time.Hour
)

type token struct {
	user    *user
	expires time.Time
}

func (t token) valid(now time.Time) bool { return now.Before(t.expires) && t.user.active }

// grant creates tokens for a user. The caller must hold the lock.
func (c *call) grant(u *user) grant {
	g := grant{refresh: c.refreshToken(u), access: newToken(), expires: c.now.Add(accessLife)}
	c.registry.access[g.access] = token{u, g.expires}
	return g
}

// refreshToken creates a refresh token. The caller must hold the lock.
func (c *call) refreshToken(u *user) string {
	text := newToken()
	c.registry.refresh[text] = token{u, c.now.Add(refreshLife)}
	return text
}

func newToken() string { return rand.Text() + rand.Text() }

package quiltregistry

import (
	"crypto/rand"
	"slices"
	"time"
)

// An Event is an entry of the audit trail, in the format that the platform documents. It shows
// "***" in place of a secret.
type Event struct {
	EventVersion        string         `json:"eventVersion"`
	EventTime           time.Time      `json:"eventTime"`
	EventID             string         `json:"eventID"`
	EventSource         string         `json:"eventSource"`
	EventType           string         `json:"eventType"`
	EventName           string         `json:"eventName"`
	UserAgent           string         `json:"userAgent"`
	SourceIPAddress     string         `json:"sourceIPAddress"`
	UserIdentity        *Identity      `json:"userIdentity"` // nil if the login failed
	RequestID           string         `json:"requestID"`
	RequestParameters   map[string]any `json:"requestParameters"`
	ResponseElements    map[string]any `json:"responseElements"`
	ErrorCode           string         `json:"errorCode,omitempty"`
	ErrorMessage        string         `json:"errorMessage,omitempty"`
	AdditionalEventData map[string]any `json:"additionalEventData"`
}

// An Identity is the user who caused an event.
type Identity struct {
	Type           string          `json:"type"`
	ID             int             `json:"id"`
	UserName       string          `json:"userName"`
	Email          string          `json:"email"`
	IsAdmin        bool            `json:"isAdmin"`
	IsActive       bool            `json:"isActive"`
	IsSSOOnly      bool            `json:"isSsoOnly"`
	IsService      bool            `json:"isService"`
	LastLogin      time.Time       `json:"lastLogin"`
	DateJoined     time.Time       `json:"dateJoined"`
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
}

// A SessionContext describes how the user logged in.
type SessionContext struct {
	Auth Auth `json:"auth"`
}

// Auth is the type of the login: "interactive", or "api_key" with the id, name and fingerprint of
// the key.
type Auth struct {
	Type           string `json:"type"`
	KeyID          string `json:"keyId,omitempty"`
	KeyName        string `json:"keyName,omitempty"`
	KeyFingerprint string `json:"keyFingerprint,omitempty"`
}

// identity returns the user for an event. login is the key that the user logged in with, or nil for
// an interactive login. The caller must hold the lock.
func (u *user) identity(login *APIKey) *Identity {
	auth := Auth{Type: "interactive"}
	if login != nil {
		auth = Auth{Type: "api_key", KeyID: login.ID, KeyName: login.Name, KeyFingerprint: login.Fingerprint}
	}
	return &Identity{
		Type: "QuiltUser", ID: u.id, UserName: u.Name, Email: u.Email, IsAdmin: u.Admin, IsActive: u.active,
		IsSSOOnly: u.Password == "", LastLogin: u.lastLogin, DateJoined: u.joined,
		SessionContext: &SessionContext{Auth: auth},
	}
}

func (e Event) failed(p *problem) Event {
	e.ErrorCode, e.ErrorMessage = p.name, p.message
	return e
}

// record adds the fields that all events of a request share, and appends the event to the audit
// trail. The caller must hold the lock.
func (c *call) record(e Event) {
	e.EventVersion, e.EventSource, e.EventType = "1.0", "QuiltServer", "QuiltApiCall"
	e.EventTime, e.EventID, e.RequestID = c.now, rand.Text(), c.requestID
	e.UserAgent, e.SourceIPAddress = c.userAgent, c.sourceIP
	c.registry.events = append(c.registry.events, e)
}

// Audit returns the audit trail, oldest event first. The caller must not change the maps in it.
func (r *Registry) Audit() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

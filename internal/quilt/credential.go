package quilt

import "quilt-rotate/internal/redact"

// Password is a registry user's password, which cannot be printed.
type Password struct{ redact.Text }

// NewPassword seals s.
func NewPassword(s string) Password { return Password{redact.New(s)} }

// RefreshToken is the code that {registry}/login shows to a user who is logged in: a token that is good for one use,
// since the registry replaces it each time (quilt: api/python/quilt3/session.py). It cannot be printed.
type RefreshToken struct{ redact.Text }

// NewRefreshToken seals s.
func NewRefreshToken(s string) RefreshToken { return RefreshToken{redact.New(s)} }

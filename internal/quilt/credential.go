package quilt

import "quilt-rotate/internal/redact"

// Password is a registry user's password. It cannot be printed.
type Password struct{ redact.Text }

// NewPassword returns s as a password.
func NewPassword(s string) Password { return Password{redact.New(s)} }

// RefreshToken is the code that {registry}/login shows to a user who is logged in. It works once,
// because the registry replaces it after each use (quilt: api/python/quilt3/session.py). It cannot
// be printed.
type RefreshToken struct{ redact.Text }

// NewRefreshToken returns s as a refresh token.
func NewRefreshToken(s string) RefreshToken { return RefreshToken{redact.New(s)} }

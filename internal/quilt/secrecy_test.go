package quilt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"quilt-rotate/internal/quilt"
)

// unwrapped returns the messages of an error and of all errors that it wraps.
func unwrapped(err error) string {
	all := err.Error()
	for err = errors.Unwrap(err); err != nil; err = errors.Unwrap(err) {
		all += "\n" + err.Error()
	}
	return all
}

func TestEchoedCredentialsAreRemoved(t *testing.T) {
	// A registry may quote the request in any form, and errors are logged.
	const other, token = "qk_anotherKeyOfAnotherUser", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
	texts := []string{
		"bad key " + secret + ".", "bad key " + strings.TrimPrefix(secret, "qk_"), "key " + other, "token " + token,
		"qk_\x00" + strings.TrimPrefix(secret, "qk_"), "q\u200bk_anotherKeyOfAnotherUser", strings.Repeat("x ", 90) +
			secret,
		"line\nbreak\x1b[31m", strings.Repeat("word ", 100), "\xff\xfe",
	}
	for _, text := range texts {
		quoted, _ := json.Marshal(text)
		bodies := map[int]string{
			200: `{"errors":[{"message":` + string(quoted) + `}]}`,
			400: `{"message":` + string(quoted) + `,"error_code":` + string(quoted) + `}`,
			401: `{"error":` + string(quoted) + `}`, 403: `{"message":` + string(quoted) + `}`, 503: `{"message":` +
				string(quoted) + `}`,
		}
		for code, body := range bodies {
			check(t, newFake(t, status(code, body)), body)
		}
		typed := `{"data":{"apiKeyRevoke":{"__typename":"InvalidInput","errors":[{"path":` + string(quoted) +
			`,"name":` + string(quoted) + `,"message":` + string(quoted) + `}]}}}`
		check(t, newFake(t, ok(typed)), typed)
		unknown := `{"data":{"apiKeyRevoke":{"__typename":` + string(quoted) + `}}}`
		check(t, newFake(t, ok(unknown)), unknown)
	}
	check(t, newFake(t, redirect("https://"+secret+".example.com/"+secret)), "a redirect")
	check(t, newFake(t, garble("HTTP/1.1 "+secret+"\r\n\r\n")), "a malformed status line")
	check(t, newFake(t, garble(secret+"\r\n\r\n")), "another protocol")
}

// garble answers with bytes that are no HTTP.
func garble(text string) func(http.ResponseWriter, received) {
	return func(w http.ResponseWriter, _ received) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = connection.Write([]byte(text))
		_ = connection.Close()
	}
}

func check(t *testing.T, registry *fake, answer string) {
	t.Helper()
	s := registry.session(t, quilt.Options{})
	for _, err := range []error{s.RevokeKey(t.Context(), "key-1"), s.RevokeKeyBySecret(t.Context(), key(t))} {
		if err == nil {
			t.Errorf("%q: no error", answer)
			continue
		}
		text := unwrapped(err)
		for _, leak := range []string{strings.TrimPrefix(secret, "qk_"), "anotherKeyOf", "eyJhbGci"} {
			if strings.Contains(text, leak) {
				t.Errorf("%q: the error holds a credential: %s", answer, text)
			}
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: the error holds control characters: %q", answer, err)
		}
		if len(err.Error()) > 1200 {
			t.Errorf("%q: the error is %d bytes long", answer, len(err.Error()))
		}
	}
}

func TestEchoedPasswordsAreRemoved(t *testing.T) {
	// An error of a login contains neither the password nor the code.
	for _, credential := range []string{"hunter22", "p&ss wörd\t1", `a"b\c/d+e=`, "a/b+c="} {
		for _, code := range []int{200, 400, 401, 500} {
			registry := newFake(t, func(w http.ResponseWriter, r received) {
				split := credential[:3] + "\x00" + credential[3:]
				message, _ := json.Marshal("rejected: " + credential + " or " + split + " in " + r.Body)
				status(code, `{"error":`+string(message)+`}`)(w, r)
			})
			c := registry.client(t, quilt.Options{})
			_, byPassword := c.LoginPassword(t.Context(), "ada", quilt.NewPassword(credential))
			_, byCode := c.LoginRefreshToken(t.Context(), quilt.NewRefreshToken(credential))
			for _, err := range []error{byPassword, byCode} {
				if err == nil {
					t.Errorf("%d: no error", code)
					continue
				}
				for _, form := range []string{credential, strings.ReplaceAll(credential, "\t", " "),
					url.QueryEscape(credential), inJSON(credential)} {
					if strings.Contains(unwrapped(err), form) {
						t.Errorf("%d: the error holds %q: %v", code, form, err)
					}
				}
			}
		}
	}
}

// inJSON returns a text as it is encoded in a JSON string.
func inJSON(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted[1 : len(quoted)-1])
}

func TestCredentialsCannotBePrinted(t *testing.T) {
	// fmt, slog and JSON show no credential, also inside another struct.
	registry := newFake(t, ok(issued(1, 3600e9)))
	c := registry.client(t, quilt.Options{})
	login, err := c.LoginRefreshToken(t.Context(), quilt.NewRefreshToken("hunter22"))
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		password quilt.Password
		Token    quilt.RefreshToken
		session  *quilt.Session
	}
	for _, value := range []any{
		quilt.NewPassword("hunter22"), quilt.NewRefreshToken("hunter22"), c.WithKey(key(t)), *c.WithKey(key(t)), login,
		*login,
		holder{quilt.NewPassword("hunter22"), quilt.NewRefreshToken("hunter22"), login},
		quilt.CreatedKey{Secret: key(t)},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		encoded, _ := json.Marshal(value)
		printed := fmt.Sprintf("%v %+v %#v %s %q %x", value, value, value, value, value, value) + log.String() +
			string(encoded)
		for _, leak := range []string{"hunter22", "68756e74", secret, "access-1", "refresh-1"} {
			if strings.Contains(printed, leak) {
				t.Errorf("%T shows %q: %s", value, leak, printed)
			}
		}
	}
}

func FuzzAnswers(f *testing.F) {
	// No bytes that a server may answer make an operation panic, or bring the key into an error.
	for _, op := range operations {
		f.Add(200, []byte(op.answer))
	}
	f.Add(200, []byte(created(secret)+secret))
	f.Add(200, []byte(`{"data":{"apiKeyCreate":{"__typename":"`+secret+`"}}}`))
	f.Add(200, []byte(`{"errors":[{"message":"`+secret+`","path":["apiKeyCreate",null,1.5,{}]}]}`))
	f.Add(200, []byte(`{"data":{"me":{"apiKeys":[`+keyJSON+`,null]}},"errors":null}`))
	f.Add(200, []byte(issued(1, 3600e9)))
	f.Add(401, []byte(`{"message":"`+secret+`","errors":[null]}`))
	f.Add(503, []byte(`{"error":"`+secret+`"}`))
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		if code < 200 || code > 599 {
			t.Skip("no final status")
		}
		network := transport(func(*http.Request) (*http.Response, error) { return reply(code, string(body)), nil })
		options := quilt.Options{Transport: network, MaxAttempts: 1}
		s := over(t, options, network)
		var errs []error
		for _, op := range operations {
			errs = append(errs, op.run(t.Context(), s))
		}
		c, err := quilt.NewClient("https://registry.example.com", options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.LoginPassword(t.Context(), "ada", quilt.NewPassword(secret))
		errs = append(errs, err)
		_, err = c.LoginRefreshToken(t.Context(), quilt.NewRefreshToken(secret))
		errs = append(errs, err)
		_, err = quilt.Discover(t.Context(), "https://catalog.example.com", options)
		errs = append(errs, err)
		for _, err := range errs {
			if err != nil && strings.Contains(unwrapped(err), secret) {
				t.Errorf("status %d, %q: the error holds the key: %v", code, body, err)
			}
		}
	})
}

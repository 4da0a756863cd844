package quilt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quilt-rotate/internal/quilt"
)

var (
	errDial  = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	errReset = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
)

// script returns its answers one after another, and repeats the last one.
func script(sent *int, steps ...func(*http.Request) (*http.Response, error)) transport {
	return func(r *http.Request) (*http.Response, error) {
		step := steps[min(*sent, len(steps)-1)]
		*sent++
		return step(r)
	}
}

func answers(code int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		return reply(code, body, headers...), nil
	}
}

// unsent fails before the request's body is read, as a failed connection does.
func unsent(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// lost fails after the request went out.
func lost(err error) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		return nil, err
	}
}

// silent never answers.
func silent(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestTransientFailuresAreRetried(t *testing.T) {
	// A temporary failure is repeated until a success, and at most MaxAttempts times.
	for name, failure := range map[string]func(*http.Request) (*http.Response, error){
		"429": answers(429, ``), "500": answers(500, ``), "502": answers(502, ``), "503": answers(503, ``),
		"504":  answers(504, ``),
		"dial": unsent(errDial), "reset": lost(errReset), "silence": silent,
	} {
		for _, op := range operations {
			if op.name == "apiKeyCreate" || revokes(op) {
				continue
			}
			t.Run(name+"/"+op.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var sent int
					err := op.run(t.Context(), over(t, quilt.Options{}, script(&sent, failure)))
					down, is := err.(*quilt.UnavailableError)
					if !is || sent != quilt.DefaultMaxAttempts || down.Attempts != sent {
						t.Errorf("%d attempts, %v; want %d and an UnavailableError that counts them", sent, err,
							quilt.DefaultMaxAttempts)
					}
					sent = 0
					if err := op.run(t.Context(),
						over(t, quilt.Options{}, script(&sent, failure, failure,
							answers(200, op.answer)))); err != nil || sent != 3 {
						t.Errorf("%d attempts, %v; want the third to succeed", sent, err)
					}
				})
			})
		}
	}
}

func revokes(op operation) bool { return strings.Contains(op.name, "Revoke") }

func TestARevocationIsSentOnce(t *testing.T) {
	// The key may become current again between two attempts, so the caller must check before each
	// one.
	for _, failure := range []func(*http.Request) (*http.Response, error){answers(429, ``, "Retry-After", "1"),
		answers(503, ``), unsent(errDial), lost(errReset)} {
		for _, op := range operations {
			if !revokes(op) {
				continue
			}
			var sent int
			_, down := errors.AsType[*quilt.UnavailableError](op.run(t.Context(),
				over(t, quilt.Options{}, script(&sent, failure))))
			if sent != 1 || !down {
				t.Errorf("%s was sent %d times; want once, and an UnavailableError", op.name, sent)
			}
		}
	}
}

func TestRefusalsAreNotRetried(t *testing.T) {
	// Repeated logins could lock a user out.
	for _, code := range []int{400, 401, 403, 404, 409} {
		var sent int
		if _, err := over(t, quilt.Options{}, script(&sent, answers(code, `{"message":"no"}`))).Me(
			t.Context()); err == nil || sent != 1 {
			t.Errorf("%d: %d attempts, %v; want one that fails", code, sent, err)
		}
	}
}

func TestCreateIsSentOnce(t *testing.T) {
	// One call never creates two keys. It is repeated only if the first request was certainly not
	// carried out.
	for _, test := range []struct {
		name  string
		steps []func(*http.Request) (*http.Response, error)
		sent  int
		want  string
	}{
		{"no connection, then well", []func(*http.Request) (*http.Response, error){unsent(errDial), unsent(errDial),
			answers(200, created("qk_new"))}, 3, "<nil>"},
		{"429, then well", []func(*http.Request) (*http.Response, error){answers(429, ``),
			answers(200, created("qk_new"))}, 2, "<nil>"},
		{"no connection at all", []func(*http.Request) (*http.Response, error){unsent(errDial)}, 4, "UnavailableError"},
		{"429 for ever", []func(*http.Request) (*http.Response, error){answers(429, ``)}, 4, "UnavailableError"},
		{"no connection, then lost", []func(*http.Request) (*http.Response, error){unsent(errDial), lost(errReset)}, 2,
			"AnswerLostError"},
		{"lost", []func(*http.Request) (*http.Response, error){lost(errReset)}, 1, "AnswerLostError"},
		{"silence", []func(*http.Request) (*http.Response, error){silent}, 1, "AnswerLostError"},
		{"500", []func(*http.Request) (*http.Response, error){answers(500, ``)}, 1, "AnswerLostError"},
		{"503", []func(*http.Request) (*http.Response, error){answers(503, ``, "Retry-After", "1")}, 1,
			"AnswerLostError"},
		{"504", []func(*http.Request) (*http.Response, error){answers(504, ``)}, 1, "AnswerLostError"},
		{"401", []func(*http.Request) (*http.Response, error){answers(401, ``)}, 1, "UnauthenticatedError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent int
				_, err := over(t, quilt.Options{}, script(&sent, test.steps...)).CreateKey(t.Context(), "svc-20261122",
					90)
				if kind(err) != test.want || sent != test.sent {
					t.Errorf("%s after %d requests (%v), want %s after %d", kind(err), sent, err, test.want, test.sent)
				}
				if test.want == "AnswerLostError" && !strings.Contains(err.Error(), "svc-20261122") {
					t.Errorf("%q does not name the key to look for", err)
				}
			})
		})
	}
}

func TestCreateIsNotSentAgainByTheTransport(t *testing.T) {
	// net/http repeats a request by itself if its body can be read again, which is not so for
	// apiKeyCreate. The registry closes the kept connection during the request.
	var turn int
	registry := newFake(t, func(w http.ResponseWriter, r received) {
		if turn++; turn == 1 {
			_, _ = io.WriteString(w, meJSON(""))
			return
		}
		cut(w, r)
	})
	s := registry.session(t, quilt.Options{MaxAttempts: 4})
	if _, err := s.Me(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := s.CreateKey(t.Context(), "svc", 90)
	if _, lost := err.(*quilt.AnswerLostError); !lost || len(registry.requests()) != 2 {
		t.Errorf("%d requests, %v; want the login, one create, and an AnswerLostError", len(registry.requests()), err)
	}
	var getBody bool
	_, _ = over(t, quilt.Options{}, func(r *http.Request) (*http.Response, error) {
		getBody = r.GetBody != nil
		return reply(200, created("qk_new")), nil
	}).CreateKey(t.Context(), "svc", 90)
	if getBody {
		t.Error("the request for a new key has GetBody, with which a transport may send it again")
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	// Clients that got the same answer wait for different times. A date is compared with the
	// registry's clock.
	for _, test := range []struct {
		header string
		want   time.Duration
	}{
		{"7", 7 * time.Second},
		{registryTime.Add(9 * time.Second).Format(http.TimeFormat), 9 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			moments := map[time.Duration]bool{}
			for range 10 {
				var sent int
				began := time.Now()
				_, err := over(t, quilt.Options{}, script(&sent, answers(429, ``, "Retry-After", test.header),
					answers(200, meJSON("")))).Me(t.Context())
				took := time.Since(began)
				if err != nil || sent != 2 || took < test.want || took > test.want+2*quilt.DefaultRetryInterval {
					t.Errorf("Retry-After %s: %d attempts in %v, %v; want 2 in %v and a little", test.header, sent,
						took, err, test.want)
				}
				moments[took] = true
			}
			if len(moments) < 5 {
				t.Errorf("Retry-After %s: ten clients came back at %d moments", test.header, len(moments))
			}
		})
	}
}

func TestWaitsEndBeforeTheDeadline(t *testing.T) {
	// If a wait would exceed the deadline, the caller gets the last error immediately. A registry
	// cannot cause a wait of more than a minute.
	for _, test := range []struct {
		header, deadline string
	}{
		{"30", "20s"}, {"61", ""}, {"4000000000", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if test.deadline != "" {
				limit, _ := time.ParseDuration(test.deadline)
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			var sent int
			began := time.Now()
			_, err := over(t, quilt.Options{}, script(&sent, answers(503, `{"message":"maintenance"}`, "Retry-After",
				test.header))).Me(ctx)
			down, is := err.(*quilt.UnavailableError)
			if !is || down.Status != 503 || fmt.Sprintf("%.0f", down.RetryAfter.Seconds()) != test.header ||
				sent != 1 || time.Since(began) != 0 {
				t.Errorf("Retry-After %s: %d attempts in %v, %v; want one that fails at once with its cause",
					test.header, sent, time.Since(began), err)
			}
		})
	}
}

func TestJitterIsFull(t *testing.T) {
	// Functions that were refused together must not retry together. The three waits are in [0, 0.4
	// s], [0, 0.8 s] and [0, 1.6 s].
	synctest.Test(t, func(t *testing.T) {
		shortest, longest := time.Hour, time.Duration(0)
		for range 200 {
			var sent int
			began := time.Now()
			_, _ = over(t, quilt.Options{}, script(&sent, answers(503, ``))).Me(t.Context())
			shortest, longest = min(shortest, time.Since(began)), max(longest, time.Since(began))
		}
		if shortest > time.Second || longest < 1800*time.Millisecond || longest > 2800*time.Millisecond+
			time.Microsecond {
			t.Errorf("waits between %v and %v in all, want them spread over [0, 2.8 s]", shortest, longest)
		}
	})
}

func TestCancelledContextEndsTheWait(t *testing.T) {
	// The error wraps both the cancellation and the last failure.
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var sent int
		began := time.Now()
		_, err := over(t, quilt.Options{}, script(&sent, answers(503, ``, "Retry-After", "30"))).Me(ctx)
		down, is := err.(*quilt.UnavailableError)
		if !is || !errors.Is(err, context.Canceled) || down.Status != 503 || time.Since(began) != time.Second {
			t.Errorf("%v after %v, want status 503 and context.Canceled after 1s", err, time.Since(began))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	registry := newFake(t, ok(created("qk_new")))
	_, err := registry.session(t, quilt.Options{MaxAttempts: 4}).CreateKey(ctx, "svc", 90)
	if _, is := err.(*quilt.UnavailableError); !is || !errors.Is(err, context.Canceled) ||
		len(registry.requests()) != 0 {
		t.Errorf("cancelled before: %v after %d requests, want an UnavailableError and nothing sent", err,
			len(registry.requests()))
	}
}

func TestAttemptTimeoutIsPerAttempt(t *testing.T) {
	// An attempt without an answer does not use the time of the others.
	synctest.Test(t, func(t *testing.T) {
		var sent int
		began := time.Now()
		_, err := over(t, quilt.Options{AttemptTimeout: 3 * time.Second},
			script(&sent, silent, answers(200, meJSON("")))).Me(t.Context())
		if took := time.Since(began); err != nil || sent != 2 || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("%d attempts in %v, %v; want the second to succeed after 3 s and a wait", sent, took, err)
		}
	})
}

// after answers with a delay.
func after(wait time.Duration, answer func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response,
	error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(wait):
			return answer(r)
		case <-r.Context().Done():
			return lost(r.Context().Err())(r)
		}
	}
}

func TestPatientRequestsAreLimitedByTheCallerOnly(t *testing.T) {
	// With a slow registry, each attempt that is cancelled early could leave an orphan. Without a
	// deadline, the limit is a minute.
	const token = `{"refresh_token":"r","access_token":"a","expires_at":99999999999}`
	for _, c := range []struct {
		name   string
		takes  time.Duration
		limit  time.Duration // the caller's; 0: none
		passes bool
	}{
		{"slow", 11 * time.Second, 30 * time.Second, true},
		{"slow, without a deadline", 50 * time.Second, 0, true},
		{"slower than the caller's deadline", 31 * time.Second, 30 * time.Second, false},
		{"too slow without a deadline", 61 * time.Second, 0, false},
	} {
		for name, do := range map[string]func(ctx context.Context) error{
			"apiKeyCreate": func(ctx context.Context) error {
				_, err := over(t, quilt.Options{}, after(c.takes, answers(200, created("qk_new")))).CreateKey(ctx,
					"svc", 90)
				return err
			},
			"login by password": func(ctx context.Context) error {
				var sent int
				client, err := quilt.NewClient("https://registry.example.com",
					quilt.Options{Transport: script(&sent, after(c.takes, answers(200, token)), answers(200, token)),
						MaxAttempts: 1})
				if err == nil {
					_, err = client.LoginPassword(ctx, "ann", quilt.NewPassword("p"))
				}
				return err
			},
			"refresh": func(ctx context.Context) error {
				client, err := quilt.NewClient("https://registry.example.com",
					quilt.Options{Transport: transport(after(c.takes, answers(200, token)))})
				if err == nil {
					_, err = client.LoginRefreshToken(ctx, quilt.NewRefreshToken("code"))
				}
				return err
			},
		} {
			t.Run(name+", "+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx := t.Context()
					if c.limit > 0 {
						limited, cancel := context.WithTimeout(ctx, c.limit)
						defer cancel()
						ctx = limited
					}
					if err := do(ctx); (err == nil) != c.passes {
						t.Errorf("an answer after %v gives %v", c.takes, err)
					}
				})
			})
		}
	}
}

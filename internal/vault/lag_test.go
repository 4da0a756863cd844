package vault_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"quilt-rotate/internal/redact"
	"quilt-rotate/internal/vault"
)

// These tests run in a synctest bubble. Its clock does not wait, and shows the length of each wait.

const maxLag = vault.DefaultMaxLag

// labelledAfter returns a vault whose reads see the pending label only after the lag.
func labelledAfter(lag time.Duration, reads *int) *vault.Vault {
	from := time.Now()
	return vault.New(stub{describe: func(context.Context) (*secretsmanager.DescribeSecretOutput, error) {
		*reads++
		stages := map[string][]string{oldVersion: {vault.Current}}
		if time.Since(from) >= lag {
			stages[newVersion] = []string{vault.Pending}
		}
		return &secretsmanager.DescribeSecretOutput{ARN: aws.String(arn), VersionIdsToStages: stages}, nil
	}})
}

func isPending(s vault.Secret) bool {
	_, ok := s.Holder(vault.Pending)
	return ok
}

// valueAfter returns a vault whose reads see the value only after the lag.
func valueAfter(lag time.Duration, reads *int) *vault.Vault {
	from := time.Now()
	return vault.New(stub{get: func(context.Context, *secretsmanager.GetSecretValueInput) (
		*secretsmanager.GetSecretValueOutput, error) {
		*reads++
		if time.Since(from) < lag {
			return nil, &smithy.OperationError{Err: &types.ResourceNotFoundException{Message: aws.String("no value")}}
		}
		return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(value)}, nil
	}})
}

func TestAwaitWaitsForALaggingDescription(t *testing.T) {
	// Without a lag, it does not wait.
	for _, lag := range []time.Duration{0, 30 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var reads int
			v, from := labelledAfter(lag, &reads), time.Now()
			got, err := v.Await(t.Context(), arn, isPending)
			if err != nil || !isPending(got) {
				t.Errorf("a lag of %v: got %+v, %v", lag, got, err)
			}
			if waited := time.Since(from); waited < lag || waited > lag+time.Second || lag == 0 &&
				(waited > 0 || reads != 1) {
				t.Errorf("a lag of %v: waited %v, read %d times", lag, waited, reads)
			}
		})
	}
}

func TestAwaitReturnsTheLastDescription(t *testing.T) {
	// After two seconds, the caller gets the last description and no error.
	synctest.Test(t, func(t *testing.T) {
		var reads int
		v, from := labelledAfter(time.Hour, &reads), time.Now()
		got, err := v.Await(t.Context(), arn, isPending)
		if err != nil || got.ARN != arn || isPending(got) {
			t.Errorf("got %+v, %v", got, err)
		}
		if waited := time.Since(from); waited < maxLag/2 || waited > maxLag || reads < 4 || reads > 40 {
			t.Errorf("waited %v, read %d times", waited, reads)
		}
	})
}

func TestReadWaitsForALaggingValue(t *testing.T) {
	// testSecret and finishSecret read the value that createSecret has just stored.
	for _, lag := range []time.Duration{0, 30 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var reads int
			v, from := valueAfter(lag, &reads), time.Now()
			got, err := v.Read(t.Context(), arn, newVersion)
			if err != nil || got.Reveal() != value {
				t.Errorf("a lag of %v: %v", lag, err)
			}
			if waited := time.Since(from); waited < lag || waited > lag+time.Second || lag == 0 &&
				(waited > 0 || reads != 1) {
				t.Errorf("a lag of %v: waited %v, read %d times", lag, waited, reads)
			}
		})
	}
}

func TestReadOfAVersionWithoutAValueFails(t *testing.T) {
	// Secrets Manager creates the pending version without a value. ErrNoValue is returned after two
	// seconds.
	synctest.Test(t, func(t *testing.T) {
		var reads int
		v, from := valueAfter(time.Hour, &reads), time.Now()
		if _, err := v.Read(t.Context(), arn, newVersion); !errors.Is(err, vault.ErrNoValue) {
			t.Errorf("got %v, want ErrNoValue", err)
		}
		if waited := time.Since(from); waited < maxLag/2 || waited > maxLag || reads < 4 || reads > 40 {
			t.Errorf("waited %v, read %d times", waited, reads)
		}
	})
}

func TestMaxLagLimitsTheWait(t *testing.T) {
	// A limit of zero means one read.
	for limit, most := range map[time.Duration]int{0: 1, time.Nanosecond: 1, 100 * time.Millisecond: 3} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var reads int
			from := time.Now()
			if _, err := valueAfter(time.Hour, &reads).WithMaxLag(limit).Read(ctx, arn, newVersion); !errors.Is(err,
				vault.ErrNoValue) {
				t.Errorf("Read with a limit of %v: %v", limit, err)
			}
			if _, err := labelledAfter(time.Hour, &reads).WithMaxLag(limit).Await(ctx, arn, isPending); err != nil {
				t.Errorf("Await with a limit of %v: %v", limit, err)
			}
			if waited := time.Since(from); waited > 2*limit || reads < 2 || reads > 2*most {
				t.Errorf("a limit of %v: waited %v, read %d times", limit, waited, reads)
			}
		})
	}
}

func TestReadIfAnyDoesNotWait(t *testing.T) {
	// In createSecret, a missing value is the usual case.
	synctest.Test(t, func(t *testing.T) {
		var reads int
		v, from := valueAfter(time.Hour, &reads), time.Now()
		_, err := v.ReadIfAny(t.Context(), arn, newVersion)
		if waited := time.Since(from); !errors.Is(err, vault.ErrNoValue) || reads != 1 || waited > 0 {
			t.Errorf("got %v after %v and %d reads", err, waited, reads)
		}
	})
}

func TestFailuresAreReturnedImmediately(t *testing.T) {
	// Only a lag is waited for, not a refusal.
	denied := &smithy.OperationError{Err: &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}}
	synctest.Test(t, func(t *testing.T) {
		var reads int
		v := vault.New(stub{
			describe: func(context.Context) (*secretsmanager.DescribeSecretOutput, error) {
				reads++
				return nil, denied
			},
			get: func(context.Context, *secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput,
				error) {
				reads++
				return nil, denied
			},
		})
		from := time.Now()
		_, awaitErr := v.Await(t.Context(), arn, isPending)
		_, readErr := v.Read(t.Context(), arn, newVersion)
		for _, err := range []error{awaitErr, readErr} {
			if service := new(vault.Error); !errors.As(err, &service) || service.Code != "AccessDeniedException" {
				t.Errorf("got %v", err)
			}
		}
		if reads != 2 || time.Since(from) > 0 {
			t.Errorf("read %d times in %v", reads, time.Since(from))
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	// A wait that the context ends is an error, and not ErrNoValue.
	for _, cause := range []error{context.DeadlineExceeded, context.Canceled} {
		synctest.Test(t, func(t *testing.T) {
			var reads int
			for name, wait := range map[string]func(context.Context) error{
				"Await": func(ctx context.Context) error {
					_, err := labelledAfter(time.Hour, &reads).Await(ctx, arn, isPending)
					return err
				},
				"Read": func(ctx context.Context) error {
					_, err := valueAfter(time.Hour, &reads).Read(ctx, arn, newVersion)
					return err
				},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				if errors.Is(cause, context.Canceled) {
					var stop context.CancelFunc
					ctx, stop = context.WithCancel(t.Context())
					time.AfterFunc(200*time.Millisecond, stop)
				}
				from := time.Now()
				err := wait(ctx)
				cancel()
				service := new(vault.Error)
				if !errors.As(err, &service) || service.Secret != arn || !errors.Is(err, cause) ||
					errors.Is(err, vault.ErrNoValue) {
					t.Errorf("%s: got %v, want an error of the vault for %v", name, err, cause)
				}
				if waited := time.Since(from); waited != 200*time.Millisecond {
					t.Errorf("%s: waited %v", name, waited)
				}
			}
		})
	}
}

func TestReadsRequestTheRightVersion(t *testing.T) {
	// A label may move between two calls, so versions are read by id. The secret of an issuing
	// credential is read as it is current.
	s, v := start(t)
	s.set("GetSecretValue", http.StatusOK, `{"SecretString":"x"}`)
	for _, read := range []func() (redact.Text, error){
		func() (redact.Text, error) { return v.Read(t.Context(), arn, newVersion) },
		func() (redact.Text, error) { return v.ReadIfAny(t.Context(), arn, newVersion) },
		func() (redact.Text, error) { return v.ReadCurrent(t.Context(), arn) },
	} {
		if got, err := read(); err != nil || got.Reveal() != "x" {
			t.Fatalf("got %q, %v", got.Reveal(), err)
		}
	}
	for i, want := range []any{newVersion, newVersion, nil} {
		if got := s.requests()[i].input; got["SecretId"] != arn || got["VersionId"] != want ||
			got["VersionStage"] != nil {
			t.Errorf("read %d asked for %v, want the version %v", i, got, want)
		}
	}
}

func TestReadRefusesABinaryValue(t *testing.T) {
	// The error differs from that of a missing value.
	s, v := start(t)
	s.set("GetSecretValue", http.StatusOK, `{"SecretBinary":"AAEC"}`)
	for name, read := range map[string]func(context.Context, string, string) (redact.Text, error){"Read": v.Read,
		"ReadIfAny": v.ReadIfAny} {
		if _, err := read(t.Context(), arn, newVersion); !errors.Is(err, vault.ErrBinary) {
			t.Errorf("%s: got %v, want ErrBinary", name, err)
		}
	}
}

func TestReadCurrentDistinguishesAMissingSecret(t *testing.T) {
	// A secret of an issuing credential that does not exist is not a missing value, so the error
	// has a hint.
	s, v := start(t)
	s.set("GetSecretValue", http.StatusBadRequest,
		`{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`)
	_, err := v.ReadCurrent(t.Context(), "issuer")
	service := new(vault.Error)
	if !errors.As(err, &service) || service.Code != "ResourceNotFoundException" || service.Secret != "issuer" ||
		service.Hint == "" {
		t.Errorf("got %v", err)
	}
}

// throttledFor returns a vault whose changes are throttled for that long.
func throttledFor(d time.Duration, tries *int) *vault.Vault {
	from := time.Now()
	return vault.New(stub{
		stage: func(context.Context, *secretsmanager.UpdateSecretVersionStageInput) (
			*secretsmanager.UpdateSecretVersionStageOutput, error) {
			*tries++
			if time.Since(from) < d {
				return nil, &smithy.OperationError{Err: &smithy.GenericAPIError{Code: "ThrottlingException",
					Message: "Rate exceeded"}}
			}
			return &secretsmanager.UpdateSecretVersionStageOutput{}, nil
		},
		describe: func(context.Context) (*secretsmanager.DescribeSecretOutput, error) {
			return &secretsmanager.DescribeSecretOutput{}, nil
		},
	})
}

func TestFailedMoveSucceedsIfTheLabelMoved(t *testing.T) {
	// An answer may be lost, or a concurrent run may have made the move. So the labels in
	// DescribeSecret decide, after the lag.
	refused := &smithy.GenericAPIError{Code: "InvalidParameterException", Message: "the staging label is attached to " +
		"another version"}
	const label = "quilt-key:a"
	moves := map[string]struct {
		move func(*vault.Vault, context.Context) error
		done map[string][]string
	}{
		"Promote": {func(v *vault.Vault, ctx context.Context) error {
			return v.Promote(ctx, arn, newVersion, oldVersion)
		}, map[string][]string{newVersion: {vault.Current}}},
		"Attach": {func(v *vault.Vault, ctx context.Context) error { return v.Attach(ctx, arn, label, newVersion) },
			map[string][]string{newVersion: {label}}},
		"Move": {func(v *vault.Vault, ctx context.Context) error {
			return v.Move(ctx, arn, label, newVersion, oldVersion)
		}, map[string][]string{newVersion: {label}}},
		"Detach": {func(v *vault.Vault, ctx context.Context) error { return v.Detach(ctx, arn, label, oldVersion) },
			map[string][]string{newVersion: {label}}},
	}
	for name, c := range moves {
		for _, seenAfter := range []time.Duration{0, time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				from, sent := time.Now(), 0
				v := vault.New(stub{
					stage: func(context.Context, *secretsmanager.UpdateSecretVersionStageInput) (
						*secretsmanager.UpdateSecretVersionStageOutput, error) {
						sent++
						return nil, &smithy.OperationError{Err: refused}
					},
					describe: func(context.Context) (*secretsmanager.DescribeSecretOutput, error) {
						stages := map[string][]string{oldVersion: {vault.Current, label}}
						if time.Since(from) >= seenAfter {
							stages = c.done
						}
						return &secretsmanager.DescribeSecretOutput{VersionIdsToStages: stages}, nil
					},
				})
				err := c.move(v, t.Context())
				if seenAfter < time.Hour && err != nil {
					t.Errorf("%s, seen after %v: %v", name, seenAfter, err)
				}
				if failed, ok := errors.AsType[*vault.Error](err); seenAfter == time.Hour &&
					(!ok || failed.Code != refused.Code || failed.Operation != "UpdateSecretVersionStage") {
					t.Errorf("%s, not carried out: got %v, want the refusal", name, err)
				}
				if sent != 1 {
					t.Errorf("%s was sent %d times", name, sent)
				}
			})
		}
	}
}

func TestThrottledChangeIsRepeated(t *testing.T) {
	// Secrets Manager allows 50 changes a second, so a thousand rotations must wait. The wait ends
	// at its limit and with the context.
	for _, test := range []struct {
		throttled, limit time.Duration
		fails            bool
	}{
		{throttled: 0}, {throttled: 3 * time.Second}, {throttled: 30 * time.Second}, {throttled: time.Hour,
			fails: true},
		{throttled: 30 * time.Second, limit: 10 * time.Second, fails: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if test.limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.limit)
				defer cancel()
			}
			var tries int
			v, from := throttledFor(test.throttled, &tries), time.Now()
			err := v.Promote(ctx, arn, newVersion, oldVersion)
			took := time.Since(from)
			if (err != nil) != test.fails || took > time.Minute || test.limit > 0 && took > test.limit {
				t.Errorf("throttled for %v: %v after %v and %d tries", test.throttled, err, took, tries)
			}
			if refused, ok := errors.AsType[*vault.Error](err); test.fails &&
				(!ok || refused.Code != "ThrottlingException") {
				t.Errorf("throttled for %v: the error is %v, which does not say so", test.throttled, err)
			}
			if tries > 25 {
				t.Errorf("throttled for %v: %d tries, which throttle others", test.throttled, tries)
			}
		})
	}
}

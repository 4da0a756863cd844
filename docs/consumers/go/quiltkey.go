// Package quiltkey gives a program the current Quilt API key of a Secrets Manager secret. It is an
// example to copy, and it needs only the AWS SDK.
//
// The key is cached for some minutes. If the registry answers with status 401, the key is fetched
// once more, and the request is sent again if there is a newer key. So requests succeed after a key
// was revoked.
package quiltkey

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// DefaultMaxAge is how long a key is used before it is fetched again. The secret's grace period
// must be longer.
const DefaultMaxAge = 5 * time.Minute

// SecretsManager is the part of the API that a [Source] needs. [secretsmanager.Client] implements
// it.
type SecretsManager interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (
		*secretsmanager.GetSecretValueOutput, error)
}

// Source fetches the key and caches it. It is safe for concurrent use.
type Source struct {
	Client   SecretsManager
	SecretID string        // name or ARN
	Field    string        // of the secret's JSON; "": the value is the key alone
	MaxAge   time.Duration // zero: DefaultMaxAge

	mu      sync.Mutex
	key     string
	fetched time.Time
}

// Key returns the key to use now. refused is a key that the registry refused, or "". It is not
// returned again if there is a newer one.
func (s *Source) Key(ctx context.Context, refused string) (string, error) {
	s.mu.Lock() // one fetch for all callers that wait
	defer s.mu.Unlock()
	maxAge := s.MaxAge
	if maxAge == 0 {
		maxAge = DefaultMaxAge
	}
	if s.key != "" && s.key != refused && time.Since(s.fetched) < maxAge {
		return s.key, nil
	}
	key, err := s.fetch(ctx)
	if err != nil && s.key != "" && s.key != refused {
		return s.key, nil // Secrets Manager does not answer now, and the key works as far as is known
	}
	if err != nil {
		return "", fmt.Errorf("fetch the Quilt API key: %w", err)
	}
	s.key, s.fetched = key, time.Now()
	return key, nil
}

func (s *Source) fetch(ctx context.Context) (string, error) {
	out, err := s.Client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.SecretID})
	if err != nil {
		return "", err
	}
	if out.SecretString == nil {
		return "", fmt.Errorf("the secret %s is binary", s.SecretID)
	}
	key := *out.SecretString
	if s.Field != "" {
		var fields map[string]any
		if json.Unmarshal([]byte(key), &fields) != nil { // its error might quote the value
			return "", fmt.Errorf("the secret %s is not a JSON object", s.SecretID)
		}
		key, _ = fields[s.Field].(string)
	}
	if key = strings.TrimSpace(key); !strings.HasPrefix(key, "qk_") {
		return "", fmt.Errorf("the secret %s holds no key", s.SecretID)
	}
	return key, nil
}

// Transport adds the key to each request. Use it only in an [http.Client] for the registry, because
// it sends the key to the host of every request.
type Transport struct {
	Source *Source
	Base   http.RoundTripper // nil: http.DefaultTransport
}

// RoundTrip sends the request with the current key. If the key is refused, it sends the request
// once more with a newer key.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	key, err := t.Source.Key(request.Context(), "")
	if err != nil {
		return nil, err
	}
	response, err := t.send(request, key)
	if err != nil || response.StatusCode != http.StatusUnauthorized || request.Body != nil && request.GetBody == nil {
		return response, err
	}
	newer, err := t.Source.Key(request.Context(), key)
	if err != nil || newer == key {
		return response, nil // there is no newer key: return the refusal
	}
	again := request
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return response, nil
		}
		again = request.Clone(request.Context())
		again.Body = body
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16)) // so that the connection can be used again
	_ = response.Body.Close()
	return t.send(again, newer)
}

func (t *Transport) send(request *http.Request, key string) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+key)
	return base.RoundTrip(request)
}

package sandbox

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"quilt-rotate/internal/sandbox/wire"
)

// Limits are the requests per second that the services accept. Other requests are refused.
//
// Zero means no limit. Limits use real time and not the sandbox's clock, because clients wait in
// real time.
type Limits struct {
	SecretWrites  float64 // PutSecretValue, UpdateSecret, UpdateSecretVersionStage and calls about replicas, combined
	RotateSecrets float64 // RotateSecret and CancelRotateSecret, combined
	SecretValues  float64 // GetSecretValue
	SecretLists   float64 // ListSecrets
	Registry      float64 // all operations of the Quilt registry, combined
}

// ServiceLimits returns the limits of AWS (AWS Secrets Manager User Guide, "Secrets Manager
// quotas"). The registry documents no limit, so the caller sets it.
func ServiceLimits(registry float64) Limits {
	return Limits{SecretWrites: 50, RotateSecrets: 50, SecretValues: 10000, SecretLists: 100, Registry: registry}
}

// Throttled returns a hook that applies limits:
//
//	defer s.Hooks.Set(sandbox.Throttled(sandbox.ServiceLimits(100)))()
//
// It accepts as many requests at the same time as the limit allows in a second, but at least one.
// Then it accepts requests at the rate of the limit. AWS does not document how it counts requests.
func Throttled(limits Limits) wire.Hook {
	buckets := map[string]*bucket{}
	share := func(b *bucket, operations ...string) {
		for _, operation := range operations {
			buckets[operation] = b
		}
	}
	share(newBucket(limits.SecretWrites), "PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage",
		"ReplicateSecretToRegions", "RemoveRegionsFromReplication", "StopReplicationToReplica")
	share(newBucket(limits.RotateSecrets), "RotateSecret", "CancelRotateSecret")
	share(newBucket(limits.SecretValues), "GetSecretValue")
	share(newBucket(limits.SecretLists), "ListSecrets")
	registry := newBucket(limits.Registry)
	return func(c *wire.Call, next func()) {
		switch {
		case c.Service == secretsManager && buckets[c.Operation].take() > 0:
			refuse(c, next, "ThrottlingException", "Rate exceeded")
		case c.Service == "registry":
			if wait := registry.take(); wait > 0 {
				seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
				c.Respond(http.StatusTooManyRequests, `{"message": "Too Many Requests"}`, "Content-Type",
					"application/json", "Retry-After", seconds)
				return
			}
			next()
		default:
			next()
		}
	}
}

// A bucket is a token bucket. A nil bucket accepts all requests.
type bucket struct {
	mu     sync.Mutex
	rate   float64 // tokens per second
	size   float64
	left   float64
	filled time.Time
}

func newBucket(rate float64) *bucket {
	if rate == 0 {
		return nil
	}
	return &bucket{rate: rate, size: max(rate, 1), left: max(rate, 1), filled: time.Now()}
}

// take takes one token, or returns the time until there is one.
func (b *bucket) take() (wait time.Duration) {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.left = min(b.size, b.left+b.rate*now.Sub(b.filled).Seconds())
	b.filled = now
	if b.left < 1 {
		return time.Duration((1 - b.left) / b.rate * float64(time.Second))
	}
	b.left--
	return 0
}

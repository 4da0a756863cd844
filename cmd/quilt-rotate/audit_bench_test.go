package main

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"quilt-rotate/internal/sandbox"
	"quilt-rotate/internal/sandbox/wire"
	"quilt-rotate/internal/terminal/commandline"
)

// BenchmarkAudit measures the whole command with a registry of few and of many keys. Compare the
// two, because the time alone depends on the machine. With 10,000 keys it should take less than 2
// seconds.
func BenchmarkAudit(b *testing.B) {
	for _, keys := range []int{10, 10_000} {
		registry := registryWithKeys(b, keys, func(*wire.Call) {})
		for _, format := range []string{"table", "json", "csv"} {
			b.Run(fmt.Sprintf("keys=%d/format=%s", keys, format), func(b *testing.B) {
				for b.Loop() {
					var stderr strings.Builder
					if status := execute(b.Context(), []string{"audit", "--format", format, "--registry", registry},
						strings.NewReader(""), io.Discard, &stderr); status != commandline.OK {
						b.Fatalf("exit status %d: %s", status, stderr.String())
					}
				}
			})
		}
	}
}

// registryWithKeys starts a registry with many keys, puts an administrator's key into the
// environment, and returns the registry's URL. It calls observe for each request.
func registryWithKeys(tb testing.TB, keys int, observe func(*wire.Call)) string {
	tb.Helper()
	box, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = box.Close() })
	for _, variable := range box.Exports() {
		tb.Setenv(variable[0], variable[1])
	}
	box.Hooks.Set(func(c *wire.Call, next func()) {
		observe(c)
		next()
	})
	_, admin := box.Registry.MintKey(sandbox.AdminEmail, "admin-prod-2026q4", 30)
	tb.Setenv(environmentKey, admin)
	for i := range keys {
		box.Registry.MintKey(sandbox.UserEmail, fmt.Sprintf("job%d-prod-2026q3", i), 1+i%365)
	}
	return box.RegistryURL
}

func TestAnAuditShowsManyKeysWithFewRequests(t *testing.T) {
	// A large registry must not need more requests than a small one.
	requests := func(keys int, format string) (n int64) {
		var asked atomic.Int64
		registry := registryWithKeys(t, keys, func(*wire.Call) { asked.Add(1) })
		var stdout, stderr strings.Builder
		if status := execute(t.Context(), []string{"audit", "--format", format, "--registry", registry},
			strings.NewReader(""), &stdout, &stderr); status != commandline.OK {
			t.Fatalf("%s: exit status %d: %s", format, status, stderr.String())
		}
		if format != "table" && strings.Count(stdout.String(), "-prod-2026q3") < keys {
			t.Errorf("%s: the output lacks keys", format)
		}
		return asked.Load()
	}
	for _, format := range []string{"table", "json", "csv"} {
		if few, many := requests(10, format), requests(10_000, format); many != few {
			t.Errorf("%s: %d requests for 10,000 keys, want %d as for 10 keys", format, many, few)
		}
	}
}
